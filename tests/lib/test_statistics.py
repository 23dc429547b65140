import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics

from engine.errors import InputError
from lib.evaluation import bootstrap
from lib.evaluation.bootstrap import WeightedSample, bca_limits
from lib.evaluation.metrics import METRICS, binary_metrics
from lib.evaluation.statistics import (
    delong,
    fold_summary,
    gap_closed,
    mcnemar,
    metric_intervals,
    paired_difference,
    roc_band,
)


def table(n=120, signal=1.2, seed=0, decimals=None):
    """Prediction table of one arm, every image its own group."""
    rng = np.random.default_rng(seed)
    label = (np.arange(n) % 5 < 3).astype(int)
    score = 1 / (1 + np.exp(-signal * (label - 0.5) - rng.normal(size=n)))
    if decimals is not None:
        score = score.round(decimals)
    names = [f"image{i}" for i in range(n)]
    return pd.DataFrame(dict(id=names, score=score, label=label, group=names, seed=0, fold=-1))


@pytest.mark.parametrize("decimals", [None, 1])
def test_weighted_metrics_agree_with_scikit_learn(decimals):
    predictions = table(60, decimals=decimals)  # one decimal: many ties
    numbers = np.arange(60) // 2
    weights = np.random.default_rng(1).integers(0, 4, (5, 30)).astype(float)
    ours = WeightedSample(predictions, 0.5, numbers).metrics(weights)
    label, score = predictions["label"], predictions["score"]
    called = score >= 0.5
    for row, group_weights in zip(ours, weights, strict=True):
        w = group_weights[numbers]
        expected = [
            sklearn.metrics.accuracy_score(label, called, sample_weight=w),
            sklearn.metrics.balanced_accuracy_score(label, called, sample_weight=w),
            sklearn.metrics.f1_score(label, called, sample_weight=w),
            sklearn.metrics.roc_auc_score(label, score, sample_weight=w),
            sklearn.metrics.cohen_kappa_score(label, called, sample_weight=w),
        ]
        assert row == pytest.approx(expected)


def test_bca_limits_agree_with_scipy_on_the_same_resamples():
    values = np.random.default_rng(0).exponential(size=40)
    found = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=500, method="BCa", rng=np.random.default_rng(1)
    )
    without = np.array([np.delete(values, i).mean() for i in range(40)])
    ours = bca_limits(values.mean(), found.bootstrap_distribution, without)
    assert ours == pytest.approx(tuple(found.confidence_interval))


def test_metric_intervals_agree_with_scipy():
    predictions = table()
    ours = metric_intervals(predictions, 0.5, resamples=4000, seed=3).set_index("metric")
    label, score = predictions["label"].to_numpy(), predictions["score"].to_numpy()

    def f1(a, b):
        return 2 * np.sum(a * (b >= 0.5)) / (np.sum(a) + np.sum(b >= 0.5))

    def auc(a, b):
        return np.mean(b[a == 1][:, None] > b[a == 0][None, :])

    for metric, statistic in (("f1", f1), ("auc", auc)):
        found = scipy.stats.bootstrap(
            (label, score), statistic, paired=True, vectorized=False, n_resamples=1500,
            method="BCa", rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
        # Both are random: two standard errors of a 2.5 % quantile of 1500 resamples.
        slack = 0.15 * (found.high - found.low)
        assert ours.loc[metric, "low"] == pytest.approx(found.low, abs=slack)
        assert ours.loc[metric, "high"] == pytest.approx(found.high, abs=slack)


def test_values_are_those_of_the_plain_metrics():
    predictions = table()
    ours = metric_intervals(predictions, 0.4, resamples=200)
    assert ours["metric"].tolist() == list(METRICS)
    expected = binary_metrics(predictions["label"], predictions["score"], 0.4)
    assert ours["value"].tolist() == pytest.approx(list(expected.values()))
    assert (ours["low"] < ours["value"]).all()
    assert (ours["value"] < ours["high"]).all()
    assert ours["n"].unique() == ours["groups"].unique() == 120


def test_copies_of_an_image_in_its_group_add_no_certainty():
    once = table(80)
    thrice = pd.concat([once] * 3, ignore_index=True)
    limits = ["value", "low", "high"]
    single = metric_intervals(once, 0.5, resamples=400)[limits].to_numpy()
    grouped = metric_intervals(thrice, 0.5, resamples=400)[limits].to_numpy()
    np.testing.assert_allclose(grouped, single)
    alone = thrice.assign(group=np.arange(240).astype(str))
    careless = metric_intervals(alone, 0.5, resamples=400)[limits].to_numpy()
    width = grouped[:, 2] - grouped[:, 1]
    assert (careless[:, 2] - careless[:, 1] < 0.8 * width).all()


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        # Four images a group share their fate in part; accuracy is 0.75 by construction.
        right = np.repeat(rng.random(60) < 0.75, 4)
        apart = rng.random(240) < 0.5
        right[apart] = rng.random(apart.sum()) < 0.75
        label = rng.permutation(np.tile([0, 1], 120))
        predictions = pd.DataFrame(
            dict(id=np.arange(240), label=label, score=np.where(right, label, 1 - label),
                 group=np.arange(240) // 4)
        )  # fmt: skip
        row = metric_intervals(predictions, 0.5, resamples=400, seed=trial).iloc[0]
        covered += row["low"] <= 0.75 <= row["high"]
    # 95 % of 200, with three binomial standard errors.
    assert 180 <= covered <= 199


def test_perfect_scores_still_have_an_interval():
    predictions = table(50).assign(score=lambda t: 0.1 + 0.8 * t["label"])
    found = metric_intervals(predictions, 0.5, resamples=200).set_index("metric")
    low = 0.025 ** (1 / 20)  # 20 images of the rarer class
    assert (found["value"] == 1).all()
    assert (found["high"] == 1).all()
    assert found.loc["auc", "low"] == pytest.approx(low)
    assert found.loc["kappa", "low"] == pytest.approx(2 * low - 1)


def test_scores_that_say_nothing_have_an_auc_of_one_half():
    found = metric_intervals(table(50).assign(score=0.3), 0.5, resamples=200).set_index("metric")
    assert found.loc["auc", ["value", "low", "high"]].tolist() == [0.5, 0.5, 0.5]


def test_resamples_of_one_class_are_left_out():
    predictions = table(5, seed=2)  # two negatives: one resample in thirteen has none
    found = metric_intervals(predictions, 0.5, resamples=500)
    assert found[["low", "high"]].notna().all(axis=None)


def test_intervals_follow_from_the_seed():
    first, again, other = (metric_intervals(table(), 0.5, 300, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("change", "told"), [(dict(label=1), "both classes"), (dict(group="one"), "two groups")]
)
def test_tables_without_contrast_are_refused(change, told):
    with pytest.raises(InputError, match=told):
        metric_intervals(table(20).assign(**change), 0.5)


def test_paired_difference_ignores_the_order_of_rows():
    a, b = table(seed=0), table(seed=1, signal=2.0)
    straight = paired_difference(a, b, "auc", 0.5, 0.5, resamples=300)
    mixed = paired_difference(a, b.sample(frac=1, random_state=0), "auc", 0.5, 0.5, resamples=300)
    assert straight == mixed
    expected = [binary_metrics(t["label"], t["score"], 0.5)["auc"] for t in (a, b)]
    assert [straight["a"], straight["b"]] == pytest.approx(expected)
    assert straight["difference"] == pytest.approx(expected[1] - expected[0])
    assert straight["low"] < straight["difference"] < straight["high"]


def test_paired_difference_agrees_with_delong_where_both_apply():
    a = table(400, seed=0)
    b = a.assign(score=np.clip(a["score"] + 0.1 * (table(400, seed=1)["score"] - 0.5), 0, 1))
    ours = paired_difference(a, b, "auc", 0.5, 0.5)
    theirs = delong(a["label"], a["score"], b["score"])
    width = theirs["high"] - theirs["low"]
    assert ours["difference"] == pytest.approx(theirs["difference"])
    assert ours["low"] == pytest.approx(theirs["low"], abs=0.15 * width)
    assert ours["high"] == pytest.approx(theirs["high"], abs=0.15 * width)


def test_an_arm_does_not_differ_from_itself():
    found = paired_difference(table(), table(), "kappa", 0.5, 0.5, resamples=200)
    assert (found["difference"], found["low"], found["high"]) == (0, 0, 0)


@pytest.mark.parametrize(
    "other", [table(119), table().assign(id=lambda t: t["id"] + "x"), table().assign(seed=1)]
)
def test_arms_with_other_rows_are_refused(other):
    with pytest.raises(InputError, match="same rows"):
        paired_difference(table(), other, "auc", 0.5, 0.5)


def plain_delong(label, score_a, score_b):
    """Variance of the difference from the placement values, pair by pair."""
    kernel = lambda p, n: (p > n) + 0.5 * (p == n)  # noqa: E731
    label = np.asarray(label)
    by_positive, by_negative = [], []
    for score in (np.asarray(score_a), np.asarray(score_b)):
        pairs = kernel(score[label == 1][:, None], score[label == 0][None, :])
        by_positive.append(pairs.mean(axis=1))
        by_negative.append(pairs.mean(axis=0))
    variance = np.var(by_positive[1] - by_positive[0], ddof=1) / len(by_positive[0])
    variance += np.var(by_negative[1] - by_negative[0], ddof=1) / len(by_negative[0])
    return by_positive[0].mean(), by_positive[1].mean(), variance


@pytest.mark.parametrize("decimals", [None, 1])
def test_delong_agrees_with_counting_pairs(decimals):
    a, b = table(90, seed=4, decimals=decimals), table(90, 1.8, seed=5, decimals=decimals)
    auc_a, auc_b, variance = plain_delong(a["label"], a["score"], b["score"])
    found = delong(a["label"], a["score"], b["score"])
    assert [found["auc_a"], found["auc_b"]] == pytest.approx([auc_a, auc_b])
    assert found["z"] == pytest.approx((auc_b - auc_a) / np.sqrt(variance))
    assert found["p"] == pytest.approx(2 * scipy.stats.norm.sf(abs(found["z"])))


def test_delong_without_variance():
    label = [0, 0, 1, 1]
    assert delong(label, [1, 2, 3, 4], [1, 2, 3, 4])["p"] == 1
    assert np.isnan(delong(label, [1, 1, 1, 1], [1, 2, 3, 4])["p"])


def test_mcnemar_is_a_binomial_test_of_the_disagreements():
    a = np.array([1] * 50 + [1] * 3 + [0] * 12 + [0] * 10, dtype=bool)
    b = np.array([1] * 50 + [0] * 3 + [1] * 12 + [0] * 10, dtype=bool)
    found = mcnemar(a, b)
    assert (found["only_a"], found["only_b"]) == (3, 12)
    assert found["p"] == pytest.approx(scipy.stats.binomtest(3, 15).pvalue)


def test_gap_closed_has_its_ends_where_it_should():
    raw, arm, oracle = table(seed=1, signal=0.3), table(seed=2, signal=1.5), table(signal=4)
    assert gap_closed(raw, raw, oracle, 200)["value"] == 0
    assert list(gap_closed(raw, oracle, oracle, 200).values())[:3] == [1, 1, 1]
    found = gap_closed(raw, arm, oracle)
    aucs = [binary_metrics(t["label"], t["score"], 0.5)["auc"] for t in (raw, arm, oracle)]
    assert found["value"] == pytest.approx((aucs[1] - aucs[0]) / (aucs[2] - aucs[0]))
    assert found["low"] < found["value"] < found["high"]


def test_gap_closed_without_a_gap_is_undefined():
    found = gap_closed(table(signal=4), table(), table(signal=0.3, seed=1), 200)
    assert np.isnan([found["value"], found["low"], found["high"]]).all()


def test_roc_band_holds_the_curve():
    predictions = table(200)
    false, true, _ = sklearn.metrics.roc_curve(
        predictions["label"], predictions["score"], drop_intermediate=False
    )
    grid = np.linspace(0, 1, 41)
    low, high = roc_band(predictions, grid)
    curve = np.interp(grid, false, true)
    assert np.mean((low <= curve) & (curve <= high)) > 0.9
    assert (low >= 0).all()
    assert (high <= 1).all()
    assert 0.03 < (high - low).mean() < 0.3


def test_fold_summary_prints_the_published_table():
    found = fold_summary([0.9622, 0.9664, 0.9496, 0.9832, 0.96639])
    assert found["mean"] == pytest.approx(0.9655, abs=1e-4)
    assert f"{found['sd']:.4f}" == "0.0108"
    assert f"{found['cv']:.2f}" == "1.11"
    assert found["low"] < found["mean"] < found["high"]
    assert found["folds"] == 5


def test_resamples_are_the_same_kept_or_drawn_in_pieces(monkeypatch):
    kept = np.concatenate(list(bootstrap.resample(7, 50, 20, seed=3)))
    monkeypatch.setattr(bootstrap, "_CELLS", 100)
    pieces = list(bootstrap.resample(7, 50, 20, seed=3))
    assert len(pieces) > 1
    np.testing.assert_array_equal(kept, np.concatenate(pieces))
    assert (kept.sum(axis=1) == 7).all()
