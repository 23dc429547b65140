"""Several trainings judged on the same images: mean, spread, and one interval for both chances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from engine.errors import InputError
from lib.evaluation.bootstrap import LEVEL, WeightedSample, number_groups, resample
from lib.evaluation.statistics import aligned, limits_at_one

# Group weights (R, G) to a number for each resample, (R,).
Statistic = Callable[[np.ndarray], np.ndarray]


def combine_seeds(
    predictions: pd.DataFrame, thresholds: Mapping[int, float], metric: str,
    resamples: int = 2000, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """A metric over several training seeds, with a 95 % interval for both chances.

    The variance of the mean has two parts that do not depend on each other: that of the test set,
    from a bootstrap over groups of the mean over seeds, and that of training, the variance between
    seeds divided by their number. The degrees of freedom of their sum are Satterthwaite's (1946).

    Parameters
    ----------
    predictions
        One row an image and seed of one arm: columns id, seed, score, label, group.
    thresholds
        Frozen threshold of every seed.
    metric
        One of ``METRICS``.

    Returns
    -------
    ``value`` (mean), ``low``, ``high``, ``sd`` (between seeds; NaN for one), ``test_error`` (SD of
    the mean by the choice of images), ``n``, ``groups``, ``seeds``. With one seed the interval
    carries the test set alone. Limits end where the metric does; a metric that is 1 throughout has
    the lower limit that ``statistics`` gives it.

    Raises
    ------
    InputError
        The seeds do not hold the same images, or a threshold is missing.
    """
    (samples,), images = _samples([predictions], [thresholds])
    statistics = [_metric(sample, metric) for sample in samples]
    found = _over_seeds(statistics, images, resamples, seed)
    least = -1.0 if metric == "kappa" else 0.0
    low, high = max(found["low"], least), min(found["high"], 1.0)
    if found["low"] == found["high"] == 1.0:
        low, high = limits_at_one(metric, images)
    del found["p"]
    return found | dict(low=low, high=high)


def seed_difference(
    predictions_a: pd.DataFrame, predictions_b: pd.DataFrame, metric: str,
    thresholds_a: Mapping[int, float], thresholds_b: Mapping[int, float],
    resamples: int = 2000, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Difference b - a of a metric over seeds, paired by image and by seed.

    Parameters, returned fields and errors as those of ``combine_seeds``, and ``p`` (two-sided, of
    no difference). Both arms must have the same seeds.
    """
    (first, second), images = _samples([predictions_a, predictions_b], [thresholds_a, thresholds_b])

    def minus(a: WeightedSample, b: WeightedSample) -> Statistic:
        return lambda weights: b.metric(weights, metric) - a.metric(weights, metric)

    statistics = [minus(a, b) for a, b in zip(first, second, strict=True)]
    return _over_seeds(statistics, images, resamples, seed)


def seed_gap_closed(
    raw: pd.DataFrame, arm: pd.DataFrame, oracle: pd.DataFrame, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """``statistics.gap_closed`` over seeds; fields and errors as those of ``combine_seeds``."""
    tables = [raw, arm, oracle]
    # No threshold enters the AUC.
    none = dict.fromkeys(arm["seed"].unique(), np.inf)
    samples, images = _samples(tables, [none] * 3)

    def share(bottom: WeightedSample, reached: WeightedSample, top: WeightedSample) -> Statistic:
        def of(weights: np.ndarray) -> np.ndarray:
            low, here, high = (sample.auc(weights) for sample in (bottom, reached, top))
            return (here - low) / np.where(high > low, high - low, np.nan)

        return of

    return _over_seeds([share(*three) for three in zip(*samples, strict=True)], images, resamples,
                       seed)  # fmt: skip


def mean_over_seeds(values: pd.DataFrame, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Mean over images and seeds of a number that each image has; see ``combine_seeds``.

    Parameters
    ----------
    values
        One row an image and seed: columns id, group, seed, value; NaN where an image has none.

    Returns
    -------
    Fields of ``combine_seeds`` and ``p`` (two-sided, of a mean of 0); ``n`` counts the images that
    have a number from any seed. All are NaN where no image has one.

    Raises
    ------
    InputError
        The images belong to one group.
    """
    has = values["value"].notna()
    shares = values.assign(top=values["value"].fillna(0.0), bottom=has.astype(float))
    return ratio_over_seeds(shares, resamples, seed)


def ratio_over_seeds(values: pd.DataFrame, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """A ratio of sums over images, its mean over seeds; see ``combine_seeds``.

    Measures as F1 are such: nuclei of all images count alike, and an image without any counts
    nothing.

    Parameters
    ----------
    values
        One row an image and seed: columns id, group, seed, top, bottom; with ``less_top`` and
        ``less_bottom`` the ratio of those is taken away, as of another arm.

    Returns
    -------
    As ``mean_over_seeds``; ``n`` counts the images with a ``bottom`` from any seed.
    """
    keys = ["id", "group"]
    images = values[keys].drop_duplicates().sort_values(keys).reset_index(drop=True)
    numbers, groups = number_groups(images)

    def summed(own: pd.DataFrame, column: str) -> np.ndarray:
        return np.bincount(numbers, own[column].fillna(0.0), groups)

    def ratio_of(top: np.ndarray, bottom: np.ndarray) -> Statistic:
        def of(weights: np.ndarray) -> np.ndarray:
            drawn = weights @ bottom
            # A resample may draw no image that counts: it has no ratio.
            return np.divide(weights @ top, drawn, out=np.full_like(drawn, np.nan), where=drawn > 0)

        return of

    def less(one: Statistic, other: Statistic) -> Statistic:
        return lambda weights: one(weights) - other(weights)

    statistics = []
    for _, own in values.groupby("seed"):
        own = images.merge(own, on=keys, how="left")
        statistic = ratio_of(summed(own, "top"), summed(own, "bottom"))
        if "less_top" in own:
            other = ratio_of(summed(own, "less_top"), summed(own, "less_bottom"))
            statistic = less(statistic, other)
        statistics.append(statistic)
    found = _over_seeds(statistics, images, resamples, seed)
    counting = values.loc[values["bottom"] > 0, "id"].nunique()
    return found | dict(n=int(counting))


def _metric(sample: WeightedSample, metric: str) -> Statistic:
    return lambda weights: sample.metric(weights, metric)


def _samples(
    tables: Sequence[pd.DataFrame], thresholds: Sequence[Mapping[int, float]]
) -> tuple[list[list[WeightedSample]], pd.DataFrame]:
    """For every table its sample of each seed, and the images they all share."""
    parts, cuts = [], []
    seeds = [sorted(table["seed"].unique()) for table in tables]
    if any(other != seeds[0] for other in seeds):
        raise InputError(f"the arms have other seeds: {seeds}. Judge all of them from the same.")
    for table, limits in zip(tables, thresholds, strict=True):
        for key, part in table.groupby("seed"):
            if key not in limits:
                raise InputError(f"no frozen threshold for seed {key}: give one for every seed.")
            parts.append(part.drop(columns="seed"))
            cuts.append(limits[key])
    parts = aligned(*parts)
    numbers, _ = number_groups(parts[0])
    samples = [WeightedSample(part, cut, numbers) for part, cut in zip(parts, cuts, strict=True)]
    each = len(samples) // len(tables)
    return [samples[start : start + each] for start in range(0, len(samples), each)], parts[0]


def _over_seeds(
    statistics: Sequence[Statistic], images: pd.DataFrame, resamples: int, seed: int
) -> dict[str, Any]:
    numbers, groups = number_groups(images)

    def values(weights: np.ndarray) -> np.ndarray:
        return np.stack([statistic(weights) for statistic in statistics])

    each = values(np.ones((1, groups)))[:, 0]
    drawn = np.concatenate(
        [values(w).mean(axis=0) for w in resample(groups, len(numbers), resamples, seed)]
    )
    drawn = drawn[np.isfinite(drawn)]
    test = float(drawn.var(ddof=1)) if len(drawn) > 1 else float("nan")
    count = len(each)
    between = float(each.var(ddof=1)) if count > 1 else float("nan")
    training = between / count if count > 1 else 0.0
    total = test + training
    freedom = total**2 / (training**2 / (count - 1)) if training > 0 else np.inf
    error, mean = float(np.sqrt(total)), float(each.mean())
    half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p = float(2 * scipy.stats.t.sf(abs(mean) / error, freedom)) if error > 0 else float("nan")
    return dict(
        value=mean, low=mean - half, high=mean + half, sd=float(np.sqrt(between)),
        test_error=float(np.sqrt(test)), p=p, n=images["id"].nunique(), groups=groups, seeds=count,
    )  # fmt: skip
