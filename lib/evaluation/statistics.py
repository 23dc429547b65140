"""Intervals and tests, all computed from stored prediction tables.

Degenerate cases, the same everywhere:

- A resample in which a metric is undefined (one class only) is left out.
- A metric that is 1 in every resample has no bootstrap spread. Its lower limit is then the exact
  binomial limit for m successes in m trials, 0.025 ** (1 / m), with m the number of groups of the
  rarer class (for kappa, twice that less 1); its upper limit is 1.
- Any other number that is the same in every resample has that value as both limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
import statsmodels.stats.contingency_tables
from statsmodels.stats.multitest import multipletests

from engine.errors import InputError
from lib.evaluation.bootstrap import LEVEL, WeightedSample, bootstrap, number_groups, resample
from lib.evaluation.metrics import METRICS, check_two_classes


def limits_at_one(metric: str, predictions: pd.DataFrame) -> tuple[float, float]:
    """Limits of a metric that is 1 in every resample, see above."""
    rarer = predictions.groupby("label")["group"].nunique().min()
    low = ((1 - LEVEL) / 2) ** (1 / rarer)
    return (2 * low - 1 if metric == "kappa" else low), 1.0


def metric_intervals(
    predictions: pd.DataFrame, threshold: float, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Every metric with its 95 % interval: BCa bootstrap over groups (Efron 1987).

    Parameters
    ----------
    predictions
        Prediction table of one arm: columns id, score, label, group.
    threshold : float
        Called positive from here on.

    Returns
    -------
    Columns metric, value, low, high, n (images), groups; one row for each of ``METRICS``.

    Raises
    ------
    InputError
        One class or one group only.
    """
    check_two_classes(predictions["label"].to_numpy())
    numbers, groups = number_groups(predictions)
    sample = WeightedSample(predictions, threshold, numbers)
    results = bootstrap(sample.metrics, groups, len(predictions), resamples, seed)
    rows = []
    for metric, (value, low, high) in zip(METRICS, results, strict=True):
        if low == high == 1.0:
            low, high = limits_at_one(metric, predictions)
        rows.append((metric, value, low, high, predictions["id"].nunique(), groups))
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "n", "groups"])


def aligned(*tables: pd.DataFrame) -> list[pd.DataFrame]:
    """The tables in one order of rows, so that row i is the same image in each.

    Raises
    ------
    InputError
        The tables do not hold the same images (and folds and seeds), or one class only.
    """
    keys = [key for key in ("id", "seed", "fold") if key in tables[0]]
    ordered = [table.sort_values(keys).reset_index(drop=True) for table in tables]
    first = ordered[0][[*keys, "label"]]
    for table in ordered[1:]:
        if not first.equals(table[[*keys, "label"]]):
            raise InputError(
                f"paired comparison: the arms do not hold the same rows ({len(first)} and "
                f"{len(table)}, matched by {', '.join(keys)}). Predict the same images with both."
            )
    check_two_classes(first["label"].to_numpy())
    return ordered


def paired_difference(
    predictions_a: pd.DataFrame, predictions_b: pd.DataFrame, metric: str,
    threshold_a: float, threshold_b: float, resamples: int = 2000, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Difference b - a of one of ``METRICS`` on the same images, paired BCa bootstrap over groups.

    Returns
    -------
    ``metric``, ``a``, ``b``, ``difference``, ``low``, ``high``, ``n`` (images), ``groups``.

    Raises
    ------
    InputError
        The arms do not share their images; one class or one group only.
    """
    tables = aligned(predictions_a, predictions_b)
    numbers, groups = number_groups(tables[0])
    a = WeightedSample(tables[0], threshold_a, numbers)
    b = WeightedSample(tables[1], threshold_b, numbers)
    difference, low, high = bootstrap(
        lambda weights: b.metric(weights, metric) - a.metric(weights, metric),
        groups, len(numbers), resamples, seed,
    )  # fmt: skip
    ones = np.ones((1, groups))
    return dict(
        metric=metric, a=float(a.metric(ones, metric)[0]), b=float(b.metric(ones, metric)[0]),
        difference=difference, low=low, high=high, n=tables[0]["id"].nunique(), groups=groups,
    )  # fmt: skip


def gap_closed(
    raw: pd.DataFrame, arm: pd.DataFrame, oracle: pd.DataFrame, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Share of the AUC gap between ``raw`` and ``oracle`` that ``arm`` closes, paired bootstrap.

    (AUC arm - AUC raw) / (AUC oracle - AUC raw): 0 as raw, 1 as oracle, below 0 worse than raw.
    Where the oracle is not above raw there is no gap and the share is undefined (NaN).

    Returns
    -------
    ``value``, ``low``, ``high``, ``n`` (images), ``groups``.

    Raises
    ------
    InputError
        The arms do not share their images; one class or one group only.
    """
    tables = aligned(raw, arm, oracle)
    numbers, groups = number_groups(tables[0])
    # No threshold enters the AUC.
    samples = [WeightedSample(table, np.inf, numbers) for table in tables]

    def share(weights: np.ndarray) -> np.ndarray:
        bottom, reached, top = (sample.auc(weights) for sample in samples)
        return (reached - bottom) / np.where(top > bottom, top - bottom, np.nan)

    value, low, high = bootstrap(share, groups, len(numbers), resamples, seed)
    return dict(value=value, low=low, high=high, n=tables[0]["id"].nunique(), groups=groups)


def roc_band(
    predictions: pd.DataFrame, grid: np.ndarray, resamples: int = 500, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Pointwise 95 % percentile band of the ROC curve, bootstrap over groups.

    Parameters
    ----------
    predictions
        Prediction table of one arm.
    grid : (K,) false positive rates in [0, 1], increasing

    Returns
    -------
    Low and high true positive rate at each point of the grid, (K,) each.

    Raises
    ------
    InputError
        One class or one group only.
    """
    check_two_classes(predictions["label"].to_numpy())
    numbers, groups = number_groups(predictions)
    sample = WeightedSample(predictions, np.inf, numbers)
    curves = []
    for weights in resample(groups, len(predictions), resamples, seed):
        for negative, positive in zip(*sample.class_weights(weights), strict=True):
            if negative.any() and positive.any():
                # From the highest score down: the order in which a falling threshold calls them.
                false = np.r_[0, np.cumsum(negative[::-1])] / negative.sum()
                true = np.r_[0, np.cumsum(positive[::-1])] / positive.sum()
                curves.append(np.interp(grid, false, true))
    low, high = np.quantile(curves, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def delong(label: Any, score_a: Any, score_b: Any) -> dict[str, float]:
    """Test of AUC b - AUC a on the same images (DeLong et al. 1988).

    Midranks as in Sun & Xu 2014. The images count as independent: where groups hold several
    images, ``paired_difference`` is the honest interval.

    Returns
    -------
    ``auc_a``, ``auc_b``, ``difference``, its 95 % limits ``low`` and ``high``, ``z``, two-sided
    ``p``. Without variance ``p`` is 1 for equal AUCs and NaN for different ones.

    Raises
    ------
    InputError
        ``label`` holds one class only.
    """
    label = np.asarray(label)
    check_two_classes(label)
    positive, negative = label == 1, label == 0
    m, n = positive.sum(), negative.sum()
    placed_positive, placed_negative = [], []
    for score in (np.asarray(score_a, dtype=float), np.asarray(score_b, dtype=float)):
        rank = scipy.stats.rankdata(score)
        own = scipy.stats.rankdata(score[positive])
        placed_positive.append((rank[positive] - own) / n)
        own = scipy.stats.rankdata(score[negative])
        placed_negative.append(1 - (rank[negative] - own) / m)
    auc_a, auc_b = (float(placed.mean()) for placed in placed_positive)
    contrast = np.array([-1.0, 1.0])
    covariance = np.cov(placed_positive) / m + np.cov(placed_negative) / n
    error = np.sqrt(contrast @ covariance @ contrast)
    difference = auc_b - auc_a
    if error > 1e-12:
        z = difference / error
        p = 2 * scipy.stats.norm.sf(abs(z))
    else:
        z, p = (0.0, 1.0) if abs(difference) < 1e-12 else (np.nan, np.nan)
    half = scipy.stats.norm.ppf((1 + LEVEL) / 2) * error
    return dict(
        auc_a=auc_a, auc_b=auc_b, difference=difference, low=float(difference - half),
        high=float(difference + half), z=float(z), p=float(p),
    )  # fmt: skip


def mcnemar(correct_a: Any, correct_b: Any) -> dict[str, float]:
    """Exact McNemar test of two paired sets of right and wrong answers.

    Parameters
    ----------
    correct_a, correct_b : (N,) bool, same images in the same order

    Returns
    -------
    ``only_a`` and ``only_b`` (images that only one got right) and ``p`` (two-sided binomial).
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    table = [[np.sum(a & b), np.sum(a & ~b)], [np.sum(~a & b), np.sum(~a & ~b)]]
    result = statsmodels.stats.contingency_tables.mcnemar(table, exact=True)
    return dict(only_a=int(table[0][1]), only_b=int(table[1][0]), p=float(result.pvalue))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """P values corrected for the number of comparisons in one table (Holm 1979); NaN stays NaN."""
    given = np.asarray(p_values, dtype=float)
    corrected = np.full(given.shape, np.nan)
    known = np.isfinite(given)
    if known.any():
        corrected[known] = multipletests(given[known], method="holm")[1]
    return corrected


def fold_summary(values: Sequence[float]) -> dict[str, float]:
    """Mean, SD and coefficient of variation over the folds, as the published Table 1 prints them.

    Returns
    -------
    ``mean``; ``sd`` (divided by k, as published); ``cv`` in percent; ``low`` and ``high``, the 95 %
    t interval of the mean (sample SD, k - 1 degrees of freedom; too narrow, since folds share
    training images); ``folds``.
    """
    values = np.asarray(values, dtype=float)
    mean, sd, k = values.mean(), values.std(), len(values)
    half = scipy.stats.t.ppf((1 + LEVEL) / 2, k - 1) * values.std(ddof=1) / np.sqrt(k)
    return dict(
        mean=float(mean), sd=float(sd), cv=float(100 * sd / mean), low=float(mean - half),
        high=float(mean + half), folds=k,
    )  # fmt: skip
