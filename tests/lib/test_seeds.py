"""Several seeds, many comparisons, and what scores say without labels."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import brier_score_loss

from engine.errors import InputError
from lib.evaluation.repeats import differences_over_seeds, gaps_over_seeds, metrics_over_seeds
from lib.evaluation.seeds import combine_seeds, seed_difference, seed_gap_closed
from lib.evaluation.shift import calibration_table, score_shift
from lib.evaluation.statistics import gap_closed, holm, metric_intervals, paired_difference
from lib.figures.verdicts import difference_verdict, differences
from lib.models.calibration import Calibration, calibrate, fit_temperature


def table(scores, label, seed=0, arm="a") -> pd.DataFrame:
    ids = [f"{i}" for i in range(len(label))]
    return pd.DataFrame(dict(id=ids, arm=arm, seed=seed, score=scores, label=label, group=ids))


@pytest.fixture
def label():
    return np.tile([0, 1], 100)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def test_one_seed_carries_the_test_set_alone(label):
    one = table(logistic(label + np.random.default_rng(0).normal(size=200)), label)
    found = combine_seeds(one, {0: 0.5}, "auc")
    plain = metric_intervals(one, 0.5).set_index("metric").loc["auc"]
    assert found["value"] == pytest.approx(plain["value"])
    assert found["high"] - found["low"] == pytest.approx(plain["high"] - plain["low"], rel=0.15)
    assert np.isnan(found["sd"])


def test_seeds_that_agree_add_nothing_and_seeds_that_differ_widen(label):
    rng = np.random.default_rng(1)
    base = label + rng.normal(size=200)
    same = pd.concat([table(logistic(base), label, seed) for seed in range(5)])
    spread = pd.concat(
        [table(logistic(base + seed * rng.normal(size=200)), label, seed) for seed in range(5)]
    )
    cuts = dict.fromkeys(range(5), 0.5)
    one, alike, unlike = (
        combine_seeds(t, cuts, "auc") for t in (same[same["seed"] == 0], same, spread)
    )
    assert alike["high"] - alike["low"] == pytest.approx(one["high"] - one["low"], rel=1e-9)
    assert alike["sd"] == pytest.approx(0, abs=1e-12)
    assert unlike["high"] - unlike["low"] > 1.5 * (alike["high"] - alike["low"])
    assert unlike["seeds"] == 5


def test_interval_over_seeds_covers_the_mean_of_all_seeds_and_images():
    """Oracle: a mean of which both variances are known; coverage of 95 % to within chance."""
    rng = np.random.default_rng(2)
    hit, trials, seeds, n = 0, 120, 5, 80
    for _ in range(trials):
        hard = rng.normal(0, 0.5, n)
        parts, label = [], np.ones(n, int)
        label[0] = 0  # metrics need both classes; one image of 80 moves the accuracy by 1/80
        for seed in range(seeds):
            right = rng.normal(0, 0.25) + hard + rng.normal(0, 1, n) > -0.5
            parts.append(table(np.where(right, label, 1 - label).astype(float), label, seed))
        found = combine_seeds(pd.concat(parts), dict.fromkeys(range(seeds), 0.5), "accuracy", 200)
        truth = norm.cdf(0.5 / np.sqrt(0.25**2 + 0.5**2 + 1))
        hit += found["low"] <= truth <= found["high"]
    assert 0.88 <= hit / trials <= 1.0


def test_difference_and_gap_of_one_seed_are_the_plain_ones(label):
    rng = np.random.default_rng(7)
    raw, arm, top = (table(logistic(g * label + rng.normal(size=200)), label) for g in (0.3, 1, 2))
    plain = paired_difference(raw, arm, "auc", 0.5, 0.5)
    over = seed_difference(raw, arm, "auc", {0: 0.5}, {0: 0.5})
    assert over["value"] == pytest.approx(plain["difference"])
    width = plain["high"] - plain["low"]
    assert over["high"] - over["low"] == pytest.approx(width, rel=0.15)
    closed = seed_gap_closed(raw, arm, top)
    assert closed["value"] == pytest.approx(gap_closed(raw, arm, top)["value"])


def arms_over_seeds(label, gains, luck, seeds=4) -> pd.DataFrame:
    """Predictions of arms whose gain differs between seeds by ``luck``, the same for all arms."""
    rng = np.random.default_rng(8)
    hard, parts = rng.normal(size=len(label)), []
    for seed in range(seeds):
        drawn = luck * rng.normal()
        for arm, gain in gains.items():
            noise = hard + 0.3 * rng.normal(size=len(label))
            parts.append(table(logistic((gain + drawn) * label + noise), label, seed, arm))
    return pd.concat(parts, ignore_index=True)


def test_differences_are_paired_by_seed(label):
    """What moves both arms of a seed alike is no uncertainty of their difference."""
    both = arms_over_seeds(label, dict(near=2.0, far=1.0), luck=0.4)
    limits = pd.DataFrame(
        [dict(arm=arm, seed=seed, threshold=0.6) for arm in ("near", "far") for seed in range(4)]
    )
    found = differences_over_seeds(both, limits, {"near": "far"}).set_index("metric").loc["auc"]
    alone = metrics_over_seeds(both, limits).query("metric == 'auc'")
    assert found["low"] > 0
    assert found["p"] < 0.01
    assert found["p_holm"] == found["p"]  # one comparison
    assert found["sd"] < alone["sd"].min()
    said = difference_verdict(found.to_frame().T.assign(metric="auc"))
    assert said.startswith("near against far. 4 trainings.\n\n- **better**, AUC (0.02 matters): +")


def test_gap_over_seeds_lies_between_raw_and_oracle(label):
    arms = arms_over_seeds(label, dict(raw=0.2, half=0.9, oracle=3.0), luck=0.1)
    found = gaps_over_seeds(arms).set_index("arm")
    assert list(found.index) == ["half"]
    assert 0 < found.loc["half", "low"] < found.loc["half", "value"] < found.loc["half", "high"] < 1
    assert found.loc["half", "seeds"] == 4


def test_a_seed_without_threshold_is_named(label):
    with pytest.raises(InputError, match="seed 1"):
        combine_seeds(
            pd.concat([table(label * 0.5, label, s) for s in (0, 1)]), {0: 0.5}, "auc", 10
        )


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, float("nan")])[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(holm([0.01, float("nan")])[1])


def test_differences_are_tested_and_corrected(label):
    rng = np.random.default_rng(3)
    noise = rng.normal(size=200)
    arms = [
        table(logistic(gain * label + noise), label, arm=arm)
        for arm, gain in (("best", 3.0), ("near", 2.9), ("far", 0.2))
    ]
    found = differences(pd.concat(arms), dict.fromkeys(["best", "near", "far"], 0.8), "best", 200)
    auc = found[found["metric"] == "auc"].set_index("arm")
    assert (auc["p_holm"] >= auc["p"]).all()
    assert auc.loc["far", "p_holm"] < 0.001
    assert set(found["test"]) == {"DeLong", "McNemar", ""}


def test_temperature_recovers_what_the_logits_were_multiplied_by():
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 2, 40_000)
    label = (rng.random(40_000) < logistic(logits)).astype(int)
    assert fit_temperature(3.0 * logits, label) == pytest.approx(3.0, rel=0.05)


def test_calibration_table_scores_the_maps_it_says():
    rng = np.random.default_rng(5)
    truth = rng.normal(0, 1.5, 4000)
    label = (rng.random(4000) < logistic(truth)).astype(int)
    logits = 4.0 * truth + 2.0  # overconfident, and shifted as only Platt's map can mend
    fit = calibrate(logits, label)
    kept = table(logistic(fit(logits)), label).assign(fold=0)
    found = calibration_table(kept, [fit]).set_index("method")
    assert found.loc["none", "brier"] == pytest.approx(brier_score_loss(label, logistic(logits)))
    assert found.loc["none", "ece"] > found.loc["temperature", "ece"] > found.loc["Platt", "ece"]
    assert found.loc["Platt", "ece"] < 0.03
    assert isinstance(fit, Calibration)


def test_shift_is_none_for_the_same_scores_and_seen_for_moved_ones(label):
    rng = np.random.default_rng(6)
    home = table(logistic(rng.normal(size=200)), label)
    same = table(logistic(rng.normal(size=200)), label, arm="same")
    moved = table(logistic(2 + rng.normal(size=200)), label, arm="moved")
    both = pd.concat([same, moved])
    found = score_shift(dict.fromkeys(["same", "moved"], home), both).set_index("arm")
    assert found.loc["same", "p"] > 0.01
    assert found.loc["moved", "p"] < 1e-6
    assert found.loc["moved", "wasserstein"] == pytest.approx(2.0, abs=0.35)
