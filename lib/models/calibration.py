"""Probabilities and the decision threshold, both fitted on validation images and then frozen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve


def choose_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """The threshold with the best balanced accuracy, halfway between the two scores it parts.

    Parameters
    ----------
    labels : (N,) of 0 and 1, both present
    scores : (N,) any scale; a score at or above the threshold is called positive

    Notes
    -----
    Among equally good thresholds the median is taken: the edges of a plateau are the scores of
    single images.
    """
    false_positive, true_positive, cuts = roc_curve(labels, scores, drop_intermediate=False)
    gain = true_positive - false_positive
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    upper = cuts[best[len(best) // 2]]
    if not np.isfinite(upper):  # no threshold beats calling every image negative
        return float(np.nextafter(scores.max(), np.inf))
    below = scores[scores < upper]
    return float((upper + below.max()) / 2) if len(below) else float(upper)


@dataclass(frozen=True)
class Calibration:
    """Platt's logistic map from a logit to a probability, and the frozen decision threshold.

    ``threshold`` is a calibrated logit.
    """

    slope: float
    offset: float
    threshold: float

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits, same shape."""
        return self.slope * logits + self.offset


def calibrate(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fit Platt scaling (Platt 1999) and choose the threshold on validation logits (N,)."""
    fit = LogisticRegression(C=1e4).fit(logits[:, None], labels)
    slope, offset = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    return Calibration(slope, offset, choose_threshold(labels, slope * logits + offset))
