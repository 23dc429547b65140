"""95 % intervals of a mean and of a share over images, in the form that tables keep them in."""

from __future__ import annotations

import numpy as np
from scipy.stats import bootstrap
from statsmodels.stats.proportion import proportion_confint


def mean_interval(values: np.ndarray) -> dict[str, float]:
    """Mean of the finite ``values`` with its BCa limits: value, low, high, n.

    Values that are all alike have themselves as limits; without any all numbers are NaN.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return dict(value=np.nan, low=np.nan, high=np.nan, n=0)
    low = high = float(values.mean())
    if not np.allclose(values, values[0], rtol=1e-12, atol=0):  # equal ones may spread by rounding
        limits = bootstrap(
            (values,), np.mean, n_resamples=2000, rng=np.random.default_rng(0)
        ).confidence_interval
        low, high = float(limits.low), float(limits.high)
    return dict(value=float(values.mean()), low=low, high=high, n=len(values))


def share_interval(count: float, n: float) -> dict[str, float]:
    """Share ``count`` of ``n`` with its Wilson limits: value, low, high, n; NaN where n is 0."""
    if n == 0:
        return dict(value=np.nan, low=np.nan, high=np.nan, n=0)
    low, high = proportion_confint(count, n, method="wilson")
    return dict(value=count / n, low=float(low), high=float(high), n=n)
