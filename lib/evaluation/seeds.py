"""Several trainings judged on the same images: mean, spread, and one interval for both chances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from lib.evaluation.bootstrap import LEVEL, WeightedSample, number_groups, resample
from lib.evaluation.metrics import METRICS
from lib.evaluation.statistics import aligned
from lib.params import InputError


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
    carries the test set alone.

    Raises
    ------
    InputError
        The seeds do not hold the same images, or a threshold is missing.
    """
    parts = dict(list(predictions.groupby("seed")))
    missing = sorted(set(parts) - set(thresholds))
    if missing:
        raise InputError(f"no frozen threshold for seed {missing[0]}: give one for every seed.")
    tables = aligned(*(part.drop(columns="seed") for part in parts.values()))
    numbers, groups = number_groups(tables[0])
    column = METRICS.index(metric)
    samples = [
        WeightedSample(table, thresholds[key], numbers)
        for key, table in zip(parts, tables, strict=True)
    ]

    def values(weights: np.ndarray) -> np.ndarray:
        return np.stack([sample.metrics(weights)[:, column] for sample in samples])

    each = values(np.ones((1, groups)))[:, 0]
    drawn = np.concatenate(
        [values(w).mean(axis=0) for w in resample(groups, len(numbers), resamples, seed)]
    )
    test = float(np.nanvar(drawn, ddof=1))
    count = len(each)
    between = float(each.var(ddof=1)) if count > 1 else float("nan")
    training = between / count if count > 1 else 0.0
    total = test + training
    freedom = total**2 / (training**2 / (count - 1)) * 1.0 if training > 0 else np.inf
    half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(total))
    mean = float(each.mean())
    return dict(
        value=mean, low=mean - half, high=mean + half, sd=float(np.sqrt(between)),
        test_error=float(np.sqrt(test)), n=tables[0]["id"].nunique(), groups=groups, seeds=count,
    )  # fmt: skip
