"""What is printed of stains and GANs follows from the numbers, each way."""

import pandas as pd
import pytest

from lib.figures.augmentation_words import gan_words, way_words
from lib.figures.comparison_words import told_apart
from lib.figures.stain_words import agreement_words, index_words

GANS = ("dcgan", "sngan", "acgan", "wgan_gp", "smoothed", "spectral", "two_rates", "small_batch",
        "large_latent", "short", "floor")  # fmt: skip


def distances(**values):
    rows = [
        dict(arm=arm, measure="kernel_lite0", value=values.get(arm, 2.0),
             low=values.get(arm, 2.0) - 0.1, high=values.get(arm, 2.0) + 0.1)
        for arm in GANS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def line_of(text, said):
    (line,) = (line for line in text.split("\n") if said in line)
    return line


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (dict(sngan=1.0), "so it is in this training"),
        (dict(sngan=1.0, acgan=0.5), "not so in this training"),
        (dict(sngan=1.95), "undecided"),
    ],
)
def test_the_best_of_four_must_beat_each(values, verdict):
    assert f"**{verdict}**" in line_of(gan_words(distances(**values)), "SNGAN is the best")


@pytest.mark.parametrize(
    ("latent", "verdict"),
    [(1.0, "not so in this training"), (3.0, "so it is in this training"),
     (2.0, "no improvement was seen")],
)  # fmt: skip
def test_no_improvement_is_contradicted_by_one(latent, verdict):
    text = gan_words(distances(large_latent=latent))
    assert f"**{verdict}**" in line_of(text, "a larger latent does not")


def ways(synthetic, p):
    rows = [
        dict(images=images, way=way, against=against, metric="auc", difference=value,
             low=value - 0.01, high=value + 0.01, p_holm=p)
        for images, way, against, value in (
            ("25", "synthetic", "plain", synthetic),
            ("unbalanced", "balanced_synthetic", "unbalanced", 0.0),
        )
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("difference", "p", "verdict"),
    [(0.1, 0.001, "not so in this training"), (0.1, 0.5, "no improvement was seen"),
     (-0.1, 0.001, "so it is in this training")],
)  # fmt: skip
def test_ways_are_told_apart_after_correction(difference, p, verdict):
    line = line_of(way_words(ways(difference, p)), "synthetic images do not improve")
    assert f"**{verdict}**" in line
    assert f"25 a class {difference:+.3f}" in line


def test_an_index_is_within_its_limit_or_not_or_undecided():
    errors = pd.DataFrame(
        [("a", 0.0, -0.01, 0.01), ("b", 0.2, 0.15, 0.25), ("c", 0.04, 0.0, 0.08)],
        columns=["image", "value", "low", "high"],
    )
    lines = index_words(errors, dict(a="A", b="B", c="C")).split("\n")
    assert "within 0.05" in lines[0]
    assert "not decided" not in lines[0]
    assert "not within 0.05" in lines[1]
    assert "not decided whether within 0.05" in lines[2]


def test_measures_are_sorted_by_whether_they_rank_as_f1():
    told = pd.DataFrame(
        [("ssim", "SSIM", 0.8, 0.6, 0.9), ("fid", "FID", -0.5, -0.8, -0.1),
         ("psnr", "PSNR", 0.1, -0.3, 0.4)],
        columns=["measure", "name", "value", "low", "high"],
    )  # fmt: skip
    agree, against, undecided = agreement_words(told).split("\n")
    assert "SSIM" in agree
    assert "FID" in against
    assert "PSNR" in undecided


def test_two_arms_are_told_apart_by_their_interval():
    row = dict(difference=0.1, low=0.05, high=0.15)
    assert "better than" in told_apart("a", "b", row)
    assert "worse than" in told_apart("a", "b", dict(difference=-0.1, low=-0.2, high=-0.05))
    assert "not told apart" in told_apart("a", "b", row | dict(low=-0.05))
