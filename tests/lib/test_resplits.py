"""Several divisions of the same images: what they share, and what may be said of their mean."""

import math
import statistics
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import balanced_accuracy_score

from engine.errors import InputError
from engine.results import read_table
from lib.data.splits import split_table
from lib.evaluation import repeats
from lib.evaluation.metrics import METRICS
from lib.evaluation.relevance import with_verdicts
from lib.evaluation.resplits import best_arm, combine_divisions, nested_choice
from lib.figures.seeds import choice_words, division_dots
from lib.figures.verdicts import difference_verdict
from lib.models.fitting import TranslatorRecipe


def sides(split: pd.DataFrame) -> pd.Series:
    return split["split"] + split["fold"].astype(str)


def judged(**arms) -> pd.DataFrame:
    """``metrics_by_division`` of arms with these balanced accuracies, all metrics the same."""
    rows = [
        dict(arm=arm, division=division, n=30, train=60, **dict.fromkeys(METRICS, value))
        for arm, values in arms.items()
        for division, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def many(dataset):
    """The data set with 240 images, two or three to a group, whose names are numbers."""
    rows = [
        (f"{domain}/{number}", domain, number % 2, f"{first + number // size}")
        for domain, first, size in (("ED4", 1, 3), ("ED1", 90, 2), ("ED3", 200, 3))
        for number in range(80)
    ]
    table = pd.DataFrame(rows, columns=["id", "domain", "label", "group"])
    p = dataset.params
    return replace(dataset, split=split_table(table, p.folds, p.holdout_shares, p.seed))


def test_the_seed_of_the_run_draws_its_own_division_from_the_kept_table_too(dataset, tmp_path):
    assert dataset.divided(dataset.params.seed).split.equals(dataset.split)
    own = many(dataset)
    own.split.to_csv(tmp_path / "split.csv", index=False)
    kept = replace(dataset, split=read_table(tmp_path / "split.csv"))
    pd.testing.assert_frame_equal(kept.divided(dataset.params.seed).split, kept.split)


def test_no_group_lies_on_two_sides_of_any_division(dataset):
    own = many(dataset)
    drawn = [own.divided(seed).split for seed in range(6)]
    for split in drawn:
        assert (sides(split).groupby(split["group"]).nunique() == 1).all()
        for name in ("id", "domain", "label", "group"):
            assert split[name].tolist() == own.split[name].tolist()
        held = (split["split"] == "holdout").groupby([split["domain"], split["label"]]).mean()
        assert held["ED4"].between(0.1, 0.3).all()
        assert held[["ED1", "ED3"]].between(0.4, 0.6).all()
    assert len({tuple(sides(split)) for split in drawn}) == 6


def test_every_division_trains_all_arms_anew_and_the_first_is_the_run(dataset):
    recipes = {"cyclegan": TranslatorRecipe(["ED1"], texture=False)}
    predictions, limits = repeats.judge_divisions(dataset, "ED1", recipes, 2)
    rows = dataset.rows("ED1", "holdout")
    run, frozen, _ = repeats.judge_seed(dataset, rows, recipes, dataset.params.seed)
    first = predictions[predictions["division"] == 0].drop(columns="division")
    pd.testing.assert_frame_equal(first.reset_index(drop=True), run)
    own = limits[limits["division"] == 0].set_index("arm")
    assert own["threshold"].to_dict() == frozen
    assert (own["train"] == len(dataset.rows("ED1", "train"))).all()
    second = predictions[predictions["division"] == 1]
    held = dataset.divided(1).rows("ED1", "holdout")
    assert set(second["id"]) == set(held["id"]) != set(rows["id"])
    assert set(second["seed"]) == {1}
    single = repeats.metrics_by_division(predictions, limits)
    assert len(single) == 2 * len(frozen)
    cut = limits[(limits["arm"] == "grey") & (limits["division"] == 1)]["threshold"].iloc[0]
    grey = repeats.combine_folds(second[second["arm"] == "grey"])
    plain = balanced_accuracy_score(grey["label"], grey["score"] >= cut)
    told = single[(single["arm"] == "grey") & (single["division"] == 1)].iloc[0]
    assert told["balanced_accuracy"] == pytest.approx(plain)
    assert (told["n"], told["train"]) == (len(held), 12 - len(held))


def test_corrected_interval_by_hand():
    """Oracle: the formula of the paper in plain Python, its quantile from a table."""
    values, test, train = [0.81, 0.78, 0.86, 0.80, 0.75], 72, 144
    mean = sum(values) / 5
    error = math.sqrt((1 / 5 + test / train) * statistics.variance(values))
    found = combine_divisions(values, test, train)
    assert found["value"] == pytest.approx(mean)
    assert found["high"] - mean == pytest.approx(2.776445 * error, rel=1e-6)
    assert mean - found["low"] == pytest.approx(2.776445 * error, rel=1e-6)
    assert found["sd"] == pytest.approx(statistics.stdev(values))
    against = combine_divisions([value - 0.7 for value in values], test, train)
    exact = scipy.stats.t(4).sf((mean - 0.7) / error) * 2
    assert against["p"] == pytest.approx(exact)
    limit = combine_divisions(values, 1e-9, 1.0)  # without the correction: the plain t test
    assert limit["p"] == pytest.approx(scipy.stats.ttest_1samp(values, 0).pvalue, rel=1e-6)


def accuracies(rng, images, test, divisions):
    """Accuracy of nearest means on random divisions of one sample, and on new images."""

    def drawn(count):
        label = np.arange(count) % 2
        return rng.normal(size=(count, 4)) + 0.3 * (2 * label - 1)[:, None], label

    def means(points, label):
        return [points[label == value].mean(axis=0) for value in (0, 1)]

    def right(centres, points, label):
        far = [np.square(points - centre).sum(axis=1) for centre in centres]
        return np.mean((far[1] < far[0]) == label)

    points, label = drawn(images)
    found = []
    for _ in range(divisions):
        order = rng.permutation(images)
        out, rest = order[:test], order[test:]
        found.append(right(means(points[rest], label[rest]), points[out], label[out]))
    return found, np.mean([right(means(*drawn(images - test)), *drawn(2000)) for _ in range(4)])


def test_corrected_interval_covers_and_the_naive_one_does_not():
    """The truth: what classifiers trained on so many images reach on new ones, over all samples."""
    rng = np.random.default_rng(3)
    images, test, divisions, trials = 60, 30, 10, 300
    samples = [accuracies(rng, images, test, divisions) for _ in range(trials)]
    truth = np.mean([reached for _, reached in samples])
    corrected = naive = 0
    for values, _ in samples:
        found = combine_divisions(values, test, images - test)
        corrected += found["low"] <= truth <= found["high"]
        low, high = scipy.stats.t.interval(
            0.95, divisions - 1, np.mean(values), scipy.stats.sem(values)
        )
        naive += low <= truth <= high
    assert corrected / trials > 0.92
    assert naive / trials < 0.7


def test_one_division_and_no_spread_have_no_interval():
    one, same = combine_divisions([0.8], 30, 60), combine_divisions([0.7 + 0.1, 0.8, 0.8], 30, 60)
    for found in (one, same):
        assert found["value"] == pytest.approx(0.8)
        assert np.isnan([found["low"], found["high"], found["p"]]).all()
    assert np.isnan(one["sd"])
    assert same["sd"] == 0
    for values, test, train in (([], 30, 60), ([0.8, 0.9], 0, 60), ([0.8, 0.9], 30, 0)):
        with pytest.raises(InputError, match="Check holdout_shares"):
            combine_divisions(values, test, train)
    alone = judged(grey=[0.8], raw=[0.7])
    assert repeats.metrics_over_divisions(alone)["low"].isna().all()
    with pytest.raises(InputError, match="Set repeated_splits to 2 or more"):
        repeats.choose_without_labels(alone)


def test_limits_end_where_the_metric_does():
    over = repeats.metrics_over_divisions(judged(grey=[0.95, 1.0], raw=[0.1, 0.0])).set_index(
        ["arm", "metric"]
    )
    assert over.loc[("grey", "auc"), "high"] == 1
    assert over.loc[("raw", "auc"), "low"] == 0
    assert -1 <= over.loc[("raw", "kappa"), "low"] < 0
    assert (over["n"] == 30).all()
    assert (over["seeds"] == 2).all()


def test_differences_are_paired_by_division():
    """What moves both arms of a division alike is no uncertainty of their difference."""
    hard = np.array([0.70, 0.80, 0.75, 0.85, 0.65])
    gain = np.array([0.09, 0.10, 0.11, 0.10, 0.10])
    single = judged(grey=hard, better=hard + gain, equal=hard)
    single = single.sample(frac=1, random_state=0)  # whatever the order of the rows
    found = repeats.differences_over_divisions(single, {"better": "grey", "equal": "grey"})
    auc = found[found["metric"] == "auc"].set_index("arm")
    expected = combine_divisions(gain, 30, 60)
    for name in ("low", "high", "sd", "p"):
        assert auc.loc["better", name] == pytest.approx(expected[name])
    assert auc.loc["better", "p_holm"] == auc.loc["better", "p"]  # the other has none
    assert with_verdicts(auc).loc["better", "verdict"] == "better"
    said = difference_verdict(found)
    assert "- **better**, AUC (0.02 matters): better +0.100 [" in said
    assert "equal +0.000 (no interval)" in said
    with pytest.raises(InputError, match=r"better has divisions \[1, 2, 3, 4\]"):
        repeats.differences_over_divisions(
            single[(single["arm"] != "better") | (single["division"] > 0)], {"better": "grey"}
        )


def test_choice_leaves_the_oracle_out_and_a_division_no_say_in_its_own_judge():
    single = judged(
        grey=[0.70, 0.70, 0.70], lucky=[0.99, 0.66, 0.66], near=[0.72, 0.74, 0.73],
        oracle=[1.0, 1.0, 1.0],
    )  # fmt: skip
    assert best_arm(single, "balanced_accuracy") == "lucky"
    nested = nested_choice(single, "balanced_accuracy")
    assert nested["arm"].tolist() == ["near", "lucky", "lucky"]
    assert nested["balanced_accuracy"].tolist() == [0.72, 0.66, 0.66]
    choice = repeats.choose_without_labels(single)
    assert choice.mean["value"] == pytest.approx(0.77)
    assert choice.honest["value"] == pytest.approx(0.68)
    assert choice.differences["arm"].tolist() == ["grey", "near"]
    words = choice_words(choice)
    assert "Of the 3 arms that need no target labels, **lucky**" in words
    assert "holding 0 or unknown: grey, near." in words
    assert "(lucky 2 x, near 1 x): 0.680 [" in words


def test_chance_alone_is_flattered_by_the_choice_and_not_by_the_nested_one():
    """Oracle: arms that differ by chance only, so that any choice is worth their common mean."""
    rng = np.random.default_rng(0)
    best, honest = [], []
    for _ in range(60):
        single = judged(**{f"arm {number}": rng.normal(0.7, 0.05, 5) for number in range(10)})
        chosen = single[single["arm"] == best_arm(single, "auc")]
        best.append(chosen["auc"].mean())
        honest.append(nested_choice(single, "auc")["auc"].mean())
    assert np.mean(best) > 0.725
    assert np.mean(honest) == pytest.approx(0.7, abs=0.01)


def test_an_arm_without_interval_is_drawn_by_its_dots():
    single = judged(grey=[0.7, 0.8, 0.9], raw=[0.6, 0.6, 0.6])
    sheet, drawn = division_dots(
        repeats.metrics_over_divisions(single), single, "real images", "ED1"
    )
    assert set(drawn["arm"]) == {"grey", "raw"}
    assert "3 divisions" in " ".join(text.get_text() for text in sheet.texts)
    hollow = [line.get_xdata() for line in sheet.axes[0].lines if line.get_marker() == "o"]
    assert sorted(map(len, hollow)) == [3, 3]
