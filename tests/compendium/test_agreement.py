"""Ratings, shares and agreement of readers, against plain versions and printed examples."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from statsmodels.stats.proportion import proportion_confint

from compendium.reader_study.agreement import (
    ALL,
    _cohen,
    _fleiss,
    _light,
    agreement_between,
    agreement_within,
    crossed_interval,
    estimates,
)
from engine.errors import InputError
from lib.evaluation.bootstrap import resample

KINDS = ("ED1", "ED4", "cyclegan", "cyclegan_texture")


def answers_of(readers=("anna", "bert", "carl"), images=40, repeats=8, seed=0):
    """Answers with some truth in them."""
    rng = np.random.default_rng(seed)
    rows = []
    for reader in readers:
        for n in range(images):
            for showing in (1, 2) if n < repeats else (1,):
                kind, label = KINDS[n % 4], n // 4 % 2
                rows.append(
                    dict(reader=reader, image=f"{n:02d}.png", showing=showing, kind=kind,
                         real=n % 4 < 2, label=label, quality=int(rng.integers(1, 6)),
                         judged_real=bool(rng.random() < (0.8 if n % 4 < 2 else 0.4)),
                         called=int(label ^ (rng.random() < 0.2)))
                )  # fmt: skip
    return pd.DataFrame(rows)


def pick(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    (row,) = table.to_dict("records")
    return row


def test_shares_and_ratings_are_those_counted_by_hand():
    answers = answers_of()
    table = estimates(answers)
    first = answers[answers["showing"] == 1]
    for kind, own in first.groupby("kind"):
        rating = pick(table, quantity="rating", kind=kind, reader=ALL)
        assert rating["value"] == pytest.approx(own["quality"].mean())
        assert (rating["readers"], rating["images"]) == (3, 10)
        real = pick(table, quantity="judged real", kind=kind, reader=ALL)
        assert real["value"] == pytest.approx(own["judged_real"].mean())
    sick = first[first["label"] == 1]
    assert pick(table, quantity="call sensitivity", kind=ALL, reader=ALL)["value"] == pytest.approx(
        (sick["called"] == 1).mean()
    )
    made = first[(~first["real"]) & (first["reader"] == "bert")]
    found = pick(table, quantity="detection sensitivity", kind=ALL, reader="bert")
    assert (found["value"], found["images"]) == (pytest.approx(1 - made["judged_real"].mean()), 20)
    taken = first[first["real"]]
    found = pick(table, quantity="detection specificity", kind=ALL, reader=ALL)
    assert found["value"] == pytest.approx(taken["judged_real"].mean())


def test_a_reader_who_always_calls_right_has_both_rates_one_and_one_always_wrong_none():
    answers = answers_of(readers=("right", "wrong"))
    right = answers["reader"] == "right"
    answers["called"] = answers["label"].where(right, 1 - answers["label"])
    answers["judged_real"] = answers["real"].where(right, ~answers["real"])
    table = estimates(answers)
    for quantity in ("call sensitivity", "call specificity", "detection sensitivity",
                     "detection specificity"):  # fmt: skip
        for reader, value in (("right", 1.0), ("wrong", 0.0), (ALL, 0.5)):
            assert pick(table, quantity=quantity, kind=ALL, reader=reader)["value"] == value


def test_second_showings_change_no_estimate_and_no_agreement_between():
    answers = answers_of()
    other = answers.copy()
    second = other["showing"] == 2
    other.loc[second, "quality"] = 6 - other.loc[second, "quality"]
    other.loc[second, "called"] = 1 - other.loc[second, "called"]
    pd.testing.assert_frame_equal(estimates(answers), estimates(other))
    pd.testing.assert_frame_equal(agreement_between(answers), agreement_between(other))
    assert not agreement_within(answers).equals(agreement_within(other))


def test_one_reader_has_wilson_limits_and_speaks_of_one_reader():
    answers = answers_of(readers=("anna",))
    table = estimates(answers)
    own = answers[(answers["showing"] == 1) & (answers["kind"] == "cyclegan")]
    low, high = proportion_confint(own["judged_real"].sum(), len(own), method="wilson")
    for reader in (ALL, "anna"):
        row = pick(table, quantity="judged real", kind="cyclegan", reader=reader)
        assert (row["low"], row["high"]) == pytest.approx((low, high))
        assert (row["readers"], row["resampled"]) == (1, "images")


def test_crossed_interval_is_that_of_drawn_rows_and_columns():
    rng = np.random.default_rng(3)
    values = rng.integers(1, 6, (4, 9)).astype(float)
    values[1, 4:] = np.nan  # a reader who has stopped early
    value, low, high = crossed_interval(values, seed=5)
    rows = np.concatenate(list(resample(4, 4, 2000, 5))).astype(int)
    columns = np.concatenate(list(resample(9, 9, 2000, 6))).astype(int)
    means = []
    for of_readers, of_images in zip(rows, columns, strict=True):
        drawn = np.repeat(np.repeat(values, of_readers, axis=0), of_images, axis=1)
        means.append(np.nanmean(drawn))
    assert value == pytest.approx(np.nanmean(values))
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_crossed_interval_covers_where_answers_taken_as_independent_do_not():
    """Readers of unlike severity and images of unlike quality; the truth is 3."""
    rng = np.random.default_rng(0)
    covered = {"crossed": 0, "independent": 0}
    rounds = 120
    for _ in range(rounds):
        severity, quality = rng.normal(0, 0.5, (10, 1)), rng.normal(0, 0.7, (1, 30))
        values = 3 + severity + quality + rng.normal(0, 0.5, (10, 30))
        _, low, high = crossed_interval(values)
        covered["crossed"] += low <= 3 <= high
        error = 1.96 * values.std() / np.sqrt(values.size)
        covered["independent"] += abs(values.mean() - 3) <= error
    assert covered["crossed"] / rounds > 0.88
    assert covered["independent"] / rounds < 0.6


def test_shares_that_are_all_alike_keep_an_interval():
    answers = answers_of()
    answers["judged_real"] = True
    row = pick(estimates(answers), quantity="judged real", kind="ED1", reader=ALL)
    low, _ = proportion_confint(10, 10, method="wilson")
    assert (row["value"], row["low"], row["high"]) == (1.0, pytest.approx(low), 1.0)


def test_fleiss_is_that_of_the_published_example():
    """Fleiss (1971) as printed in his later book: ten subjects, fourteen raters, kappa 0.210."""
    counts = np.array([
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ])  # fmt: skip
    ratings = np.array([np.repeat(np.arange(5), row) for row in counts])
    kappa = _fleiss(ratings)
    assert kappa(np.ones(10, int)) == pytest.approx(0.210, abs=5e-4)
    twice = np.r_[2, np.ones(9, int)]
    assert kappa(twice) == pytest.approx(_fleiss(np.repeat(ratings, twice, 0))(np.ones(11, int)))


@pytest.mark.parametrize("weighted", [True, False])
def test_cohen_and_light_are_those_of_scikit_learn(weighted):
    rng = np.random.default_rng(1)
    ratings = np.clip(rng.integers(1, 5, (30, 1)) + rng.integers(-1, 2, (30, 3)), 1, 5)
    weights = rng.integers(0, 4, 30)
    kind = "quadratic" if weighted else None
    drawn = np.repeat(ratings, weights, axis=0)
    plain = [sklearn.metrics.cohen_kappa_score(drawn[:, i], drawn[:, j], weights=kind)
             for i, j in ((0, 1), (0, 2), (1, 2))]  # fmt: skip
    assert _cohen(ratings[:, 0], ratings[:, 1], weighted)(weights) == pytest.approx(plain[0])
    if weighted:
        assert _light(ratings)(weights) == pytest.approx(np.mean(plain))


def test_between_uses_images_that_all_have_judged_and_covers_its_value():
    answers = answers_of()
    stopped = answers[~((answers["reader"] == "carl") & (answers["image"] > "24.png"))]
    table = agreement_between(stopped).set_index("question")
    assert table["images"].tolist() == [25] * 3
    assert table["readers"].tolist() == [3] * 3
    assert table["statistic"].tolist() == [
        "mean pairwise kappa, quadratic weights", "Fleiss' kappa", "Fleiss' kappa",
    ]  # fmt: skip
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()
    first = stopped[(stopped["showing"] == 1) & (stopped["image"] <= "24.png")]
    wide = first.pivot(index="image", columns="reader", values="called").to_numpy()
    # Fleiss' kappa of two categories by hand.
    agree = np.mean([(row.sum() * (row.sum() - 1) + (3 - row.sum()) * (2 - row.sum())) / 6
                     for row in wide])  # fmt: skip
    chance = wide.mean() ** 2 + (1 - wide.mean()) ** 2
    assert table.loc["called", "value"] == pytest.approx((agree - chance) / (1 - chance))


def test_within_looks_at_repeats_of_each_reader():
    answers = answers_of()
    table = agreement_within(answers)
    assert (
        table.groupby("question", sort=False)["reader"].agg(list).tolist()
        == [[ALL, "anna", "bert", "carl"]] * 3
    )
    for reader, pairs in ((ALL, 24), ("bert", 8)):
        row = pick(table, question="called", reader=reader)
        own = answers if reader == ALL else answers[answers["reader"] == reader]
        wide = own.pivot(index=["reader", "image"], columns="showing", values="called").dropna()
        assert row["pairs"] == len(wide) == pairs
        assert row["value"] == pytest.approx(sklearn.metrics.cohen_kappa_score(wide[1], wide[2]))
        assert row["same"] == (wide[1] == wide[2]).mean()


def test_perfect_agreement_has_a_limit_and_one_answer_for_all_has_no_kappa():
    answers = answers_of()
    answers["called"] = answers["label"]
    answers["judged_real"] = True
    between = agreement_between(answers).set_index("question")
    low = 2 * 0.025 ** (1 / 20) - 1  # twenty images of the rarer label
    assert between.loc["called", ["value", "low", "high"]].tolist() == pytest.approx([1, low, 1])
    assert np.isnan(between.loc["judged_real", "value"])
    within = agreement_within(answers)
    assert pick(within, question="called", reader=ALL)["value"] == pytest.approx(1)
    assert np.isnan(pick(within, question="judged_real", reader=ALL)["value"])
    assert pick(within, question="judged_real", reader=ALL)["same"] == 1


def test_one_reader_agrees_with_nobody_and_no_repeats_with_nothing():
    one = answers_of(readers=("anna",), repeats=0)
    assert agreement_between(one).empty
    assert agreement_within(one).empty
    assert len(estimates(one)) > 0
    with pytest.raises(InputError, match="no answers yet"):
        estimates(one.head(0))
