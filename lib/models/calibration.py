"""Probabilities and the decision threshold, both fitted on validation images and then frozen."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar
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

    ``threshold`` is a calibrated logit; ``called_positive`` the share of the validation images at
    or above it; ``temperature`` the alternative to Platt's map that notebook 02 compares it with.
    """

    slope: float
    offset: float
    threshold: float
    called_positive: float
    temperature: float

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits, same shape."""
        return self.slope * logits + self.offset


def calibrate(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fit Platt scaling (Platt 1999) and choose the threshold on validation logits (N,).

    Logits near one another leave the solver where it began, at a slope of 0; they are fitted again
    in units of their spread. Logits that are all the same keep the slope 0, with a warning.
    """
    slope, offset = _platt(logits, labels)
    spread = float(np.std(logits))
    if slope == 0 and spread > 0:
        slope, offset = _platt((logits - logits.mean()) / spread, labels)
        slope, offset = slope / spread, offset - slope * float(logits.mean()) / spread
    if slope == 0:
        warnings.warn(
            f"The {len(logits)} validation logits carry nothing (slope 0): every image gets the "
            "same probability. Train longer, or look at the images.",
            stacklevel=2,
        )
    scores = slope * logits + offset
    threshold = choose_threshold(labels, scores)
    called = float(np.mean(scores >= threshold))
    return Calibration(slope, offset, threshold, called, fit_temperature(logits, labels))


def _platt(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    fit = LogisticRegression(C=1e4).fit(logits[:, None], labels)
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def match_called(calibration: Calibration, logits: np.ndarray) -> Calibration:
    """Move the threshold so that the same share of ``logits`` (N,) is called positive as of the
    validation images.

    Needs images of the target domain but no label of theirs. It is right where the score is
    shifted and the share of positives is not; where that share differs, so will the calls.
    """
    scores = calibration(logits)
    threshold = float(np.quantile(scores, 1.0 - calibration.called_positive))
    return replace(calibration, threshold=threshold)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature whose quotient ``logits / t`` has the least log loss (Guo et al. 2017).

    One number less than Platt's map: it cannot move the scores to one side.
    """
    signs = np.where(np.asarray(labels) == 1, 1.0, -1.0)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0.0, -signs * logits * np.exp(-log_temperature)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x))
