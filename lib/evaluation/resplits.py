"""Several divisions of the same images: a mean whose interval knows that they overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.stats

from engine.errors import InputError
from lib.evaluation.bootstrap import LEVEL
from lib.evaluation.groups import group_of

# Below it numbers differ by rounding alone.
_ROUNDING = 1e-12


def combine_divisions(values: Sequence[float], test: float, train: float) -> dict[str, float]:
    """Mean over divisions with its 95 % interval: the corrected resampled t test.

    Random divisions share training and test images, so the variance between them, divided by
    their number J, is too small for that of their mean. Corrected it is variance x (1 / J + test /
    train): Nadeau & Bengio 2003, "Inference for the generalization error", Machine Learning 52,
    doi:10.1023/A:1024068626366; with J - 1 degrees of freedom. That is exact where two
    divisions correlate as test / (test + train), the share of images that two test sets have in
    common, and an approximation elsewhere.

    Parameters
    ----------
    values : (J,)
        A number of each division: a metric, or the difference of two arms on the same images.
    test, train : float
        Images that a division tests on, and that it leaves to train on.

    Returns
    -------
    ``value`` (mean), ``low``, ``high``, ``sd`` (between divisions), ``p`` (two-sided, of a mean of
    0). One division has no spread, and values that are all the same show none: limits and p are
    then NaN, not an interval of width 0.

    Raises
    ------
    InputError
        No value, or a division that trains or tests on nothing.
    """
    values = np.asarray(values, dtype=float)
    if not (len(values) and test > 0 and train > 0):
        raise InputError(
            f"{len(values)} divisions of {test} images to test and {train} to train: an interval "
            "needs one at least, and images on both sides. Check holdout_shares and the counts."
        )
    count, mean = len(values), float(values.mean())
    nothing = float("nan")
    if count < 2:
        return dict(value=mean, low=nothing, high=nothing, sd=nothing, p=nothing)
    if np.ptp(values) < _ROUNDING:
        return dict(value=mean, low=nothing, high=nothing, sd=0.0, p=nothing)
    sd = float(values.std(ddof=1))
    error = sd * np.sqrt(1 / count + test / train)
    half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, count - 1) * error)
    p = float(2 * scipy.stats.t.sf(abs(mean) / error, count - 1))
    return dict(value=mean, low=mean - half, high=mean + half, sd=sd, p=p)


def best_arm(single: pd.DataFrame, metric: str) -> str:
    """The arm of the highest mean over divisions among those that a clinic without labels has.

    The untouched images take part: an adaptation that they beat is none. Bounds do not: nobody has
    the good device's photograph of the same object, or these labels. Of equal arms the first.

    ``single``: output of ``repeats.metrics_by_division``.
    """
    able = single[single["arm"].map(group_of) != "bounds"]
    return able.groupby("arm", sort=False)[metric].mean().idxmax()


def nested_choice(single: pd.DataFrame, metric: str) -> pd.DataFrame:
    """For every division the arm that is best on all others, judged on this one.

    What is chosen on the values that then speak for it is flattered (Cawley & Talbot 2010, Journal
    of Machine Learning Research 11). Here no division has a say in the arm that it judges. Its
    images have a little: the hold-outs of other divisions hold some of them too.

    Parameters
    ----------
    single
        Output of ``repeats.metrics_by_division``.
    metric
        One of ``METRICS``, by which arms are chosen and judged.

    Returns
    -------
    Columns division, arm, the metric, n, train; one row a division.

    Raises
    ------
    InputError
        One division only.
    """
    divisions = single["division"].unique()
    if len(divisions) < 2:
        raise InputError(
            f"{len(divisions)} division: an arm chosen on the others has none to be chosen on. "
            "Set repeated_splits to 2 or more."
        )
    rows = []
    for division in divisions:
        here = single["division"] == division
        chosen = best_arm(single[~here], metric)
        rows.append(single[here & (single["arm"] == chosen)])
    return pd.concat(rows, ignore_index=True)[["division", "arm", metric, "n", "train"]]
