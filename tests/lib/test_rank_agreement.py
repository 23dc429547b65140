"""Rank agreement of image quality with F1: arms in a known order, one resample for both."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from engine.errors import InputError
from lib.evaluation.image_quality import MEASURES, PAIRED
from lib.evaluation.rank_agreement import LEAST, rank_agreement, spearman

ARMS = ("untouched", "macenko", "reinhard", "cut", "cyclegan")
NONE = pd.DataFrame(columns=["arm", "measure", "value"])


def tables(level=None, groups=8, each=3, seeds=(0,), noise=0.0, seed=0):
    """Nuclei found by arms and the quality of their images; all measures are of one goodness."""
    rng = np.random.default_rng(seed)
    level = level or {arm: 0.3 + 0.12 * k for k, arm in enumerate(ARMS)}
    scores, quality = [], []
    for arm, good in level.items():
        for training in seeds:
            for k in range(groups * each):
                nuclei = int(rng.integers(4, 30))
                keys = dict(arm=arm, seed=training, id=f"f{k}", group=f"s{k // each}")
                reached = np.clip(good + noise * rng.normal(), 0.02, 0.98)
                scores.append(
                    dict(**keys, nuclei=nuclei * 100, found=nuclei * 100,
                         matched=round(reached * nuclei * 100))
                )  # fmt: skip
                signs = {m: 1 if MEASURES[m].higher_is_better else -1 for m in PAIRED}
                quality.append(dict(**keys, **{m: s * reached for m, s in signs.items()}))
    for name in ("overlap", "shared", "joined", "common", "marked"):
        scores = [row | {name: 1} for row in scores]
    return pd.DataFrame(scores), pd.DataFrame(quality)


def column(found, name):
    return found.set_index("measure")[name]


@pytest.mark.parametrize("seed", range(6))
def test_spearman_is_that_of_scipy_with_and_without_ties(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, (2, 30, 7)).astype(float)
    for x, y, found in zip(a, b, spearman(a, b), strict=True):
        assert found == pytest.approx(scipy.stats.spearmanr(x, y).statistic)


def test_spearman_is_undefined_without_an_order():
    a = np.array([[1.0, 1, 1], [1, 2, np.nan], [1, 2, 3]])
    b = np.array([[1.0, 2, 3], [1, 2, 3], [3, 2, 1]])
    np.testing.assert_array_equal(spearman(a, b), [np.nan, np.nan, -1])


def test_a_measure_that_orders_arms_as_f1_does_has_1_whatever_its_direction():
    found = rank_agreement(*tables(), NONE)
    assert found["measure"].tolist() == list(PAIRED)
    assert found["name"].tolist() == [MEASURES[m].name for m in PAIRED]
    assert (found[["value", "low", "high"]] == 1).all(axis=None)
    assert (found["arms"] == 5).all()
    assert (found["n"] == 24).all()
    assert (found["groups"] == 8).all()


def test_a_measure_that_orders_them_the_other_way_has_minus_1():
    scores, quality = tables()
    quality[["psnr", "mdsi"]] *= -1
    value = column(rank_agreement(scores, quality, NONE), "value")
    assert value[["psnr", "mdsi"]].tolist() == [-1, -1]
    assert value[["ssim", "ms_gmsd", "haarpsi"]].tolist() == [1, 1, 1]


def test_the_value_is_the_rank_correlation_of_means_with_pooled_f1():
    scores, quality = tables({arm: 0.5 for arm in ARMS}, noise=0.2, seeds=(0, 1), seed=4)
    rng = np.random.default_rng(0)
    quality["ssim"] += rng.normal(0, 0.2, len(quality))
    each = scores.groupby(["arm", "seed"])[["matched", "nuclei", "found"]].sum()
    f1 = (2 * each["matched"] / (each["nuclei"] + each["found"])).groupby("arm").mean()
    mean = quality.groupby("arm")["ssim"].mean()
    expected = scipy.stats.spearmanr(mean, f1).statistic
    shuffled = quality.sample(frac=1, random_state=1)
    value = column(rank_agreement(scores, shuffled, NONE), "value")
    assert value["ssim"] == pytest.approx(expected)
    assert -1 < expected < 1


def test_one_resample_serves_both_so_that_a_measure_equal_to_f1_is_sure():
    """Arms are alike but for slides: by resamples of their own the order of both would differ."""
    scores, quality = tables({arm: 0.5 for arm in ARMS}, noise=0.15, each=1)
    quality["psnr"] = scores["matched"] / scores["nuclei"]
    scores[["nuclei", "found"]] = 1000  # F1 is a mean over fields, as the measure
    scores["matched"] = 1000 * quality["psnr"]
    found = rank_agreement(scores, quality, NONE).set_index("measure")
    assert found.loc["psnr", ["value", "low", "high"]].tolist() == pytest.approx([1, 1, 1])
    rng = np.random.default_rng(0)
    mixed = quality.assign(
        psnr=quality.groupby("arm")["psnr"].transform(lambda own: rng.permutation(own))
    )  # the same means, of other slides
    found = rank_agreement(scores, mixed, NONE).set_index("measure")
    assert found.loc["psnr", "value"] == pytest.approx(1)
    assert found.loc["psnr", "low"] < 0.5


def test_arms_that_are_hard_to_tell_apart_have_a_wide_interval():
    close = {arm: 0.5 + 0.01 * k for k, arm in enumerate(ARMS)}
    far = {arm: 0.2 + 0.15 * k for k, arm in enumerate(ARMS)}
    widths = []
    for level in (close, far):
        scores, quality = tables(level, noise=0.1)
        for name in PAIRED:  # of fields of their own chance
            chance = np.random.default_rng(7).normal(0, 0.1, len(quality))
            quality[name] += chance
        found = rank_agreement(scores, quality, NONE)
        widths.append((found["high"] - found["low"]).mean())
    assert widths[0] > 3 * widths[1]


def test_fields_of_a_slide_are_one_group():
    scores, quality = tables(noise=0.1)
    copies = [t.assign(id=t["id"] + f"/{k}") for k in range(10) for t in (scores, quality)]
    many = rank_agreement(pd.concat(copies[::2]), pd.concat(copies[1::2]), NONE)
    few = rank_agreement(scores, quality, NONE)
    pd.testing.assert_frame_equal(few[["value", "low", "high"]], many[["value", "low", "high"]])


def test_distances_are_ranked_beside_the_others_and_hold_still():
    scores, quality = tables()
    order = dict(zip(ARMS, (9.0, 7.0, 5.0, 3.0, 1.0), strict=True))
    rows = [dict(arm=arm, measure="frechet_lite0", value=v) for arm, v in order.items()]
    rows += [dict(arm=arm, measure="kernel_lite0", value=-v) for arm, v in order.items()]
    rows += [dict(arm="floor", measure=m, value=0.1) for m in ("frechet_lite0", "kernel_lite0")]
    value = column(rank_agreement(scores, quality, pd.DataFrame(rows)), "value")
    assert value["frechet_lite0"] == 1
    assert value["kernel_lite0"] == -1


def test_arms_of_one_table_alone_are_left_out():
    scores, quality = tables()
    scores = pd.concat([scores, scores[scores["arm"] == "cut"].assign(arm="target")])
    quality = pd.concat([quality, quality[quality["arm"] == "cut"].assign(arm="virtual")])
    assert (rank_agreement(scores, quality, NONE)["arms"] == 5).all()


def test_few_arms_and_other_fields_are_refused():
    scores, quality = tables()
    few = scores[scores["arm"].isin(ARMS[: LEAST - 1])]
    with pytest.raises(InputError, match=r"3 arms .*ranks need 4"):
        rank_agreement(few, quality, NONE)
    with pytest.raises(InputError, match="2 fields, f0 the first, are in one table alone"):
        rank_agreement(scores, quality[~quality["id"].isin(["f0", "f5"])], NONE)
