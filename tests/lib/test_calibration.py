"""Calibration and the frozen threshold."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from lib.evaluation.intervals import mean_interval
from lib.evaluation.shift import calibration_table
from lib.models.calibration import calibrate, choose_threshold


@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=30))
def test_no_threshold_does_better(pairs):
    labels = np.array([label for label, _ in pairs], int)
    scores = np.array([score for _, score in pairs], float)
    if len(set(labels)) < 2:
        return
    threshold = choose_threshold(labels, scores)
    reached = balanced_accuracy_score(labels, scores >= threshold)
    for other in np.arange(-6, 7) + 0.5:
        assert reached >= balanced_accuracy_score(labels, scores >= other) - 1e-12


def test_threshold_lies_halfway_between_separated_classes():
    assert choose_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])) == (
        pytest.approx(0.4)
    )


def test_platt_recovers_the_true_probabilities():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    fit = calibrate(logits, labels.astype(int))
    assert fit.slope == pytest.approx(0.5, abs=0.03)
    assert fit.offset == pytest.approx(-1, abs=0.05)


def test_logits_near_one_another_are_fitted_as_any_others():
    """The solver stops at once where they hardly differ; the fit must not depend on their unit."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    logits = rng.normal(0, 1, 400) + 0.8 * labels
    usual = calibrate(logits, labels)
    for unit in (1e-2, 1e-6, 1e-9):
        near = calibrate(logits * unit + 0.25, labels)
        assert near.slope * unit == pytest.approx(usual.slope, rel=0.02)
        assert near(logits * unit + 0.25) == pytest.approx(usual(logits), rel=0.03, abs=0.01)


def test_logits_that_say_nothing_are_named_and_judged():
    labels = np.arange(16) % 2
    with pytest.warns(UserWarning, match="16 validation logits carry nothing"):
        fit = calibrate(np.full(16, 0.3), labels)
    assert fit.slope == 0
    seen = pd.DataFrame(dict(id=[f"{n}" for n in range(16)], label=labels, fold=0, score=0.5))
    table = calibration_table(seen, [fit]).set_index("method")
    assert table.loc["Platt", "brier"] == pytest.approx(0.25)
    assert table.loc[["none", "temperature"], "n"].tolist() == [0, 0]


def test_folds_that_kept_their_logits_are_judged_without_the_others():
    good = calibrate(np.linspace(-2, 2, 40), np.arange(40) > 18)
    lost = replace(good, slope=0.0)
    logits = np.linspace(-2, 2, 20)
    score = 1 / (1 + np.exp(-good(logits)))
    alone = pd.DataFrame(dict(id=np.arange(20), label=(logits > 0) * 1, fold=0, score=score))
    both = pd.concat([alone, alone.assign(fold=1, score=0.5)])
    table = calibration_table(both, [good, lost]).set_index("method")
    wanted = calibration_table(alone, [good]).set_index("method")
    pd.testing.assert_frame_equal(table.loc[["none"]], wanted.loc[["none"]])


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.0, -2.7])
def test_equal_values_have_themselves_as_limits(count, value):
    seen = mean_interval(np.full(count, value))
    assert [seen["low"], seen["high"]] == pytest.approx([value, value], rel=1e-12)
    assert seen["n"] == count
