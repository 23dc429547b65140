import numpy as np
import pytest

from engine.errors import InputError
from lib.evaluation.metrics import (
    METRICS,
    binary_metrics,
    confusion,
    expected_calibration_error,
    reliability,
)


def from_confusion(table):
    """Labels and scores (0.2 or 0.8) with these counts."""
    label = np.repeat([0, 0, 1, 1], np.ravel(table))
    return label, np.repeat([0.2, 0.8, 0.2, 0.8], np.ravel(table))


@pytest.mark.parametrize(
    ("table", "accuracy", "balanced", "f1", "kappa"),
    [
        # Published confusion matrices and the metrics printed beside them.
        ([[65, 25], [59, 147]], 0.7162, 0.7179, 0.7778, 0.3939),
        ([[58, 32], [31, 175]], 0.7872, 0.7470, 0.8475, 0.4955),
        ([[66, 24], [56, 150]], 0.7297, 0.7307, 0.7895, 0.4195),
    ],
)
def test_metrics_of_published_confusions(table, accuracy, balanced, f1, kappa):
    label, score = from_confusion(table)
    metrics = binary_metrics(label, score, 0.5)
    assert tuple(metrics) == METRICS
    printed = [metrics[name] for name in ("accuracy", "balanced_accuracy", "f1", "kappa")]
    assert printed == pytest.approx([accuracy, balanced, f1, kappa], abs=5e-5)
    np.testing.assert_array_equal(confusion(label, score, 0.5), table)


def test_auc_counts_ordered_pairs():
    label, score = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.1, 0.4, 0.7, 0.3])
    pairs = [(p > n) + 0.5 * (p == n) for p in score[label == 1] for n in score[label == 0]]
    assert binary_metrics(label, score, 0.5)["auc"] == pytest.approx(np.mean(pairs))


def test_threshold_itself_is_positive():
    np.testing.assert_array_equal(confusion([0, 1], [0.5, 0.5], 0.5), [[0, 1], [0, 1]])


@pytest.mark.parametrize("label", [[1, 1], [0, 0], [0, 2]])
def test_labels_of_one_class_are_refused(label):
    with pytest.raises(InputError, match="both classes"):
        binary_metrics(label, [0.2, 0.7], 0.5)


def test_reliability_against_counting_by_hand():
    score = np.array([0.0, 0.04, 0.05, 0.31, 0.39, 1.0])
    label = np.array([0, 0, 1, 1, 0, 1])
    table = reliability(label, score, bins=10)
    assert table["n"].tolist() == [3, 2, 1]
    assert table["score"].tolist() == pytest.approx([0.03, 0.35, 1.0])
    assert table["share"].tolist() == pytest.approx([1 / 3, 0.5, 1.0])
    assert (table["low"] < table["share"]).all()
    assert (table["high"].iloc[:2] > table["share"].iloc[:2]).all()
    expected = (3 * abs(1 / 3 - 0.03) + 2 * abs(0.5 - 0.35)) / 6
    assert expected_calibration_error(label, score, bins=10) == pytest.approx(expected)


def test_calibrated_scores_have_a_small_error():
    rng = np.random.default_rng(0)
    score = rng.random(20_000)
    label = (rng.random(20_000) < score).astype(int)
    assert expected_calibration_error(label, score) < 0.015
    assert expected_calibration_error(label, score**3) > 0.1
