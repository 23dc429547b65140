"""The bootstrap over groups that every interval comes from.

Images of one group (a patient, an embryo, a well) are not independent, so groups are resampled,
not images. A resample is a vector of multinomial counts, one per group; every metric is then a
weighted metric, and all resamples are computed at once. Several rows of one image (folds, seeds)
move together with its group.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import scipy.stats

from engine.errors import InputError
from lib.evaluation.metrics import METRICS

LEVEL = 0.95
_CELLS = 4_000_000  # weights in memory at once


def number_groups(predictions: pd.DataFrame) -> tuple[np.ndarray, int]:
    """Number (N,) of each row's group, and how many groups there are.

    Raises
    ------
    InputError
        One group only.
    """
    numbers, names = pd.factorize(predictions["group"])
    if len(names) < 2:
        raise InputError(
            f"all {len(predictions)} predictions belong to group {names[0]!r}: an interval needs "
            "at least two groups. Set group_column or add images of further groups."
        )
    return numbers, len(names)


class WeightedSample:
    """A prediction table ready for weighted metrics.

    Parameters
    ----------
    predictions
        Columns score and label.
    threshold : float
        Called positive from here on.
    numbers : (N,)
        Number of each row's group.
    """

    def __init__(self, predictions: pd.DataFrame, threshold: float, numbers: np.ndarray) -> None:
        order = np.argsort(predictions["score"].to_numpy(), kind="stable")
        score = predictions["score"].to_numpy()[order]
        positive = predictions["label"].to_numpy()[order].astype(float)
        called = (score >= threshold).astype(float)
        self._group = numbers[order]
        self._positive = positive
        self._ties = np.flatnonzero(np.r_[True, np.diff(score) > 0])
        cells = [
            (1 - positive) * (1 - called), (1 - positive) * called,
            positive * (1 - called), positive * called,
        ]  # fmt: skip
        self._cells = np.stack([np.bincount(self._group, weights=c) for c in cells], axis=1)

    def metrics(self, weights: np.ndarray) -> np.ndarray:
        """Weighted ``METRICS`` for group weights (R, G): (R, 5), NaN without both classes."""
        return np.stack([self.metric(weights, name) for name in METRICS], axis=1)

    def metric(self, weights: np.ndarray, name: str) -> np.ndarray:
        """One of ``METRICS``: (R,); the AUC takes far longer than all others."""
        if name == "auc":
            return self.auc(weights)
        tn, fp, fn, tp = (weights @ self._cells).T
        n = tn + fp + fn + tp
        with np.errstate(divide="ignore", invalid="ignore"):
            accuracy = (tn + tp) / n
            balanced = (tp / (tp + fn) + tn / (tn + fp)) / 2
            f1 = 2 * tp / (2 * tp + fp + fn)
            chance = ((tp + fn) * (tp + fp) + (tn + fp) * (tn + fn)) / n**2
            kappa = (accuracy - chance) / (1 - chance)
        found = dict(accuracy=accuracy, balanced_accuracy=balanced, f1=f1, kappa=kappa)
        return np.where(np.isnan(balanced), np.nan, found[name])

    def class_weights(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of the negatives and of the positives at each distinct score, rising: (R, K)."""
        rows = weights[:, self._group]
        positive = np.add.reduceat(rows * self._positive, self._ties, axis=1)
        return np.add.reduceat(rows, self._ties, axis=1) - positive, positive

    def auc(self, weights: np.ndarray) -> np.ndarray:
        """Weighted Mann-Whitney statistic, ties counted half: (R,), NaN without both classes."""
        negative, positive = self.class_weights(weights)
        below = np.cumsum(negative, axis=1) - negative / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def resample(groups: int, rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Multinomial group weights (R, G), ``resamples`` in all, in pieces that fit into memory."""
    piece = max(1, _CELLS // rows)
    if resamples * groups <= _CELLS:
        drawn = _drawn(groups, resamples, seed)
        yield from (drawn[start : start + piece] for start in range(0, resamples, piece))
        return
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, piece):
        yield _multinomial(rng, groups, min(piece, resamples - start))


@functools.lru_cache(maxsize=4)
def _drawn(groups: int, resamples: int, seed: int) -> np.ndarray:
    """All at once, and once for all arms that are judged on the same images."""
    drawn = _multinomial(np.random.default_rng(seed), groups, resamples)
    drawn.flags.writeable = False
    return drawn


def _multinomial(rng: np.random.Generator, groups: int, count: int) -> np.ndarray:
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=count).astype(float)


def _leave_one_out(groups: int, rows: int) -> Iterator[np.ndarray]:
    piece = max(1, _CELLS // rows)
    for start in range(0, groups, piece):
        left_out = np.arange(start, min(start + piece, groups))
        weights = np.ones((len(left_out), groups))
        weights[np.arange(len(left_out)), left_out] = 0
        yield weights


def bca_limits(value: float, resampled: np.ndarray, jackknifed: np.ndarray) -> tuple[float, float]:
    """95 % limits of the bias-corrected and accelerated bootstrap (Efron 1987, section 4).

    Parameters
    ----------
    value : float
        The statistic of the sample.
    resampled : (R,)
        The statistic of each resample; undefined ones (NaN) are left out.
    jackknifed : (G,)
        The statistic without each group in turn; undefined ones are left out.

    Returns
    -------
    Both limits; NaN where the statistic is undefined.
    """
    resampled = resampled[~np.isnan(resampled)]
    jackknifed = jackknifed[~np.isnan(jackknifed)]
    if np.isnan(value) or len(resampled) == 0:
        return np.nan, np.nan
    spread = jackknifed.sum() / max(1, len(jackknifed)) - jackknifed
    scale = 6 * np.sum(spread**2) ** 1.5
    acceleration = np.sum(spread**3) / scale if scale > 0 else 0.0
    share = (np.mean(resampled < value) + np.mean(resampled <= value)) / 2
    # Kept off 0 and 1, where the bias correction would be infinite.
    share = np.clip(share, 0.5 / len(resampled), 1 - 0.5 / len(resampled))
    bias = scipy.stats.norm.ppf(share)
    shifted = bias + scipy.stats.norm.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    places = scipy.stats.norm.cdf(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(resampled, places)
    return float(low), float(high)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], groups: int, rows: int, resamples: int, seed: int
) -> tuple[float, float, float]:
    """Value and 95 % BCa limits of a statistic of the group weights.

    Parameters
    ----------
    statistic
        Group weights (R, G) to values (R,), or (R, K) for K statistics at once.
    rows : int
        Rows of the prediction table; bounds the memory.

    Returns
    -------
    (value, low, high), or an array (K, 3).
    """
    value = statistic(np.ones((1, groups)))[0]
    drawn = np.concatenate([statistic(w) for w in resample(groups, rows, resamples, seed)])
    without = np.concatenate([statistic(w) for w in _leave_one_out(groups, rows)])
    if np.ndim(value) == 0:
        return float(value), *bca_limits(value, drawn, without)
    return np.array([(v, *bca_limits(v, drawn[:, k], without[:, k])) for k, v in enumerate(value)])
