"""What one prediction table is worth.

A score is a probability of label 1; an image is called positive where ``score >= threshold``.
Two protocols say where the threshold comes from. ``frozen``: chosen on the source domain's
validation images and never touched again; the headline. ``optimistic``: chosen on the labels of the
very images that are judged, as the published evaluation did; an upper bound, not a result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import sklearn.metrics
from statsmodels.stats.proportion import proportion_confint

from engine.errors import InputError

METRICS = ("accuracy", "balanced_accuracy", "f1", "auc", "kappa")
PROTOCOLS = ("frozen", "optimistic")


def check_two_classes(label: np.ndarray) -> None:
    """Refuse labels that cannot carry a metric.

    Raises
    ------
    InputError
        A label other than 0 and 1, or one class only.
    """
    found = np.unique(label)
    if not np.array_equal(found, [0, 1]):
        raise InputError(
            f"labels are {found.tolist()}: metrics need images of both classes, 0 and 1. "
            "Add images of the missing class or leave this domain out."
        )


def binary_metrics(label: Any, score: Any, threshold: float) -> dict[str, float]:
    """Accuracy, balanced accuracy, F1, AUC and Cohen's kappa, under the names of ``METRICS``.

    Parameters
    ----------
    label : (N,) of 0 and 1
    score : (N,) probabilities of label 1
    threshold : float
        Called positive from here on.

    Raises
    ------
    InputError
        ``label`` holds one class only.
    """
    label, score = np.asarray(label), np.asarray(score)
    check_two_classes(label)
    called = (score >= threshold).astype(int)
    return dict(
        accuracy=float(sklearn.metrics.accuracy_score(label, called)),
        balanced_accuracy=float(sklearn.metrics.balanced_accuracy_score(label, called)),
        f1=float(sklearn.metrics.f1_score(label, called)),
        auc=float(sklearn.metrics.roc_auc_score(label, score)),
        kappa=float(sklearn.metrics.cohen_kappa_score(label, called)),
    )


def confusion(label: Any, score: Any, threshold: float) -> np.ndarray:
    """Counts, (2, 2): rows are true labels 0 and 1, columns called 0 and 1."""
    called = (np.asarray(score) >= threshold).astype(int)
    return sklearn.metrics.confusion_matrix(np.asarray(label), called, labels=[0, 1])


def logits_of(scores: pd.Series) -> np.ndarray:
    """Logits of probabilities (N,); 0 and 1 count as 1e-12 away from themselves."""
    limited = np.clip(scores.to_numpy(dtype=float), 1e-12, 1 - 1e-12)
    return np.log(limited / (1 - limited))


def combine_folds(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per image and arm: the mean of the folds' calibrated logits, as a probability.

    ``fold`` is -1 there. The order of arms and images is kept.
    """
    logits = predictions.assign(score=logits_of(predictions["score"]))
    keys = ["arm", "seed", "id", "domain", "label", "group"]
    mean = logits.groupby(keys, sort=False, as_index=False)["score"].mean()
    return mean.assign(fold=-1, score=1 / (1 + np.exp(-mean["score"])))


def reliability(label: Any, score: Any, bins: int = 10) -> pd.DataFrame:
    """Reliability table: one row per occupied bin of equal width on [0, 1].

    Columns: ``score`` (mean score), ``share`` (share of positives), ``low`` and ``high`` (its 95 %
    Wilson interval), ``n`` (images).
    """
    label, score = np.asarray(label), np.asarray(score, dtype=float)
    place = np.minimum((score * bins).astype(int), bins - 1)
    n = np.bincount(place, minlength=bins)
    used = n > 0
    positives = np.bincount(place, weights=label, minlength=bins)[used]
    low, high = proportion_confint(positives, n[used], method="wilson")
    mean = np.bincount(place, weights=score, minlength=bins)[used] / n[used]
    return pd.DataFrame(dict(score=mean, share=positives / n[used], low=low, high=high, n=n[used]))


def expected_calibration_error(label: Any, score: Any, bins: int = 10) -> float:
    """Mean distance of score and share of positives over the bins (Guo et al. 2017, eq. 3).

    Between 0 (calibrated) and 1; binned as in ``reliability``.
    """
    table = reliability(label, score, bins)
    gaps = (table["share"] - table["score"]).abs()
    return float(np.average(gaps, weights=table["n"]))
