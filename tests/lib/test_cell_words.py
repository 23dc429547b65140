"""Sentences on cell segmentation, on tables in which the answer is known."""

import functools

import numpy as np
import pandas as pd
import pytest

from lib.evaluation.cell_arms import best_without_labels, compare_arms, gaps_closed, worth_a_look
from lib.figures.cell_words import (
    count_words,
    gap_words,
    grouped_words,
    published_words,
    texture_words,
    translation_words,
)
from lib.figures.cells import cell_arm_name

HOME = dict(value=0.91, low=0.9, high=0.92)
MEANS = {
    "unet": 0.40, "otsu": 0.20, "randomised": 0.62, "unet_pretrained": 0.60,
    "unet_particles": 0.50, "random_optics": 0.55, "reversal_bottom": 0.30,
    "reversal_last": 0.35, "cyclegan_source": 0.25, "cyclegan_empty": 0.10, "cyclegan": 0.40,
    "cyclegan_mind": 0.48, "cyclegan_structure": 0.40, "simulated": 0.70, "labels_1": 0.75,
    "oracle": 0.85, "target": 0.80,
}  # fmt: skip


@functools.cache
def judged(seeds=1, without=(), **other):
    """Scores and Table 1: twelve frames of two tiles; arms differ by their means and some noise."""
    means = {arm: mean for arm, mean in (MEANS | other).items() if arm not in without}
    rng = np.random.default_rng(0)
    frames = rng.normal(0, 0.03, 12)
    rows = [
        dict(id=f"f{f}#{t}", group=f"f{f}", seed=seed, arm=arm, domain="gel", label="b",
             dice=mean + frames[f] + 0.01 * rng.normal())
        for seed in range(seeds) for arm, mean in means.items()
        for f in range(12) for t in range(2)
    ]  # fmt: skip
    scores = pd.DataFrame(rows)
    for name in ("iou", "average_precision"):
        scores[name] = scores["dice"] / 2
    scores["count_error"] = 1.0
    return scores, compare_arms(scores, ["dice", "iou"])


def line(text, words):
    (found,) = [part for part in text.splitlines() if words in part]
    return found


def test_what_is_lost_and_what_comes_back():
    scores, table = judged()
    words = gap_words(scores, table, HOME)
    home, bound, oracle, best = words.splitlines()
    assert "0.910 [0.900, 0.920]" in home
    dice = table[table["metric"] == "dice"].set_index("arm")["value"]
    assert f"{dice['unet']:.3f} [" in home
    assert f"{dice['target']:.3f} [" in bound
    assert f"{dice['oracle']:.3f} [" in oracle
    # The best for which nobody draws cells: neither labels nor bounds, which are higher.
    assert best_without_labels(table) == "simulated"
    assert "**simulated translator** is best in this training" in best
    share = (dice["simulated"] - dice["unet"]) / (dice["target"] - dice["unet"])
    assert f"It closes {100 * share:.0f} % [" in best
    assert "flatters" in best


def test_where_no_network_learnt_from_the_target_no_way_is_measured():
    scores, table = judged(without=("target",))
    words = gap_words(scores, table, HOME)
    assert "simulated translator" in words
    assert "closes" not in words
    assert gaps_closed(scores).empty


def test_without_an_oracle_nothing_is_said_of_it():
    scores, table = judged(without=("oracle",))
    assert "source's device" not in gap_words(scores, table, HOME)


@pytest.mark.parametrize(("seeds", "words"), [(1, "in this training"), (3, "over 3 trainings")])
def test_one_training_speaks_for_itself(seeds, words):
    scores, table = judged(seeds=seeds)
    assert words in gap_words(scores, table, HOME)
    assert words in translation_words(scores, table).splitlines()[0]


@pytest.mark.parametrize(
    ("simulated", "verdict", "sign"),
    [(0.70, "better than", "+0."), (0.5, "worse than", "-0."), (0.62, "not told apart from", "")],
)
def test_translation_against_random_looks(simulated, verdict, sign):
    scores, table = judged(simulated=simulated)
    words = line(translation_words(scores, table), "randomised")
    assert f"**simulated translator** is {verdict} randomised: difference {sign}" in words
    means = scores.groupby("arm")["dice"].mean()
    assert f"difference {means['simulated'] - means['randomised']:+.3f} [" in words


def test_a_rival_that_was_not_trained_is_not_named():
    assert "random microscopes" not in translation_words(*judged(without=("random_optics",)))
    assert "random microscopes" in translation_words(*judged())


def test_published_order():
    """The best of the source's images, of reversals and of the published GANs, and no other."""
    words = published_words(*judged())
    # Neither ImageNet's weights nor simulated images alone nor our CycleGANs were published.
    for other in ("ImageNet", "random microscopes", "MIND"):
        assert other not in words
    assert line(words, f"**{cell_arm_name('unet_particles')}** is better than U-Net, untouched")
    assert "is worse than U-Net, untouched" in line(words, "**reversal: last** is")
    assert line(words, "**CycleGAN: source** is worse than U-Net, untouched")
    assert line(words, "**CycleGAN: source** is worse than reversal: last")
    better = published_words(*judged(cyclegan_empty=0.9))
    assert line(better, "**CycleGAN: empty** is better than reversal: last")


def test_texture_losses_against_none():
    words = texture_words(judged()[0])
    assert line(words, "**CycleGAN + MIND** is better than CycleGAN, ours")
    assert line(words, "**CycleGAN + structure** is not told apart from CycleGAN, ours")
    few = judged(without=("cyclegan_mind",))[0]
    assert "MIND" not in texture_words(few)


def test_table_as_printed_has_a_row_an_arm_and_its_own_numbers():
    _, table = judged()
    printed = grouped_words(table)
    assert len(printed) == len(MEANS)
    row = table[(table["arm"] == "unet_particles") & (table["metric"] == "iou")].iloc[0]
    expected = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    assert printed.loc[("source images", cell_arm_name("unet_particles")), "iou"] == expected


def test_worth_a_look_is_the_best_of_every_kind():
    _, table = judged()
    assert worth_a_look(table) == [
        "unet", "randomised", "unet_pretrained", "reversal_last", "simulated", "labels_1", "oracle",
    ]  # fmt: skip


def test_no_two_arms_have_one_name():
    names = [cell_arm_name(arm) for arm in MEANS]
    assert len(set(names)) == len(names)
    assert cell_arm_name("labels_10") == "10 labelled"
    assert cell_arm_name("reversal_small_particles") == "reversal: small cells + particles"
    assert cell_arm_name("reversal_up_1") == "reversal: up 1"


def test_cells_are_counted_a_field():
    scores = pd.DataFrame(dict(arm=["unet", "unet", "target", "target"], cells=[3, 4, 3, 4],
                               found=[10, 12, 3, 3]))  # fmt: skip
    words = count_words(scores, ["unet", "target"])
    assert words == (
        "Cells found in a field where 3.5 are: U-Net, untouched 11.0, trained on the target 3.0."
    )
