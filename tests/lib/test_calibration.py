"""Calibration and the frozen threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

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
