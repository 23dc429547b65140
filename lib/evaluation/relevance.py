"""What a difference means: whether it matters, and whether it can be told."""

from __future__ import annotations

import pandas as pd

# The smallest difference that matters, fixed before any arm was judged by it, in the unit of the
# measure and in its direction of better: positive where more is better. No threshold of the
# literature stands behind any of them.
MATTERS = {
    # Fixed by the plan of the study.
    "auc": 0.02,
    "invented": -0.05,
    "erased": -0.05,
    # This compendium's own choice; read the intervals where another suits you better.
    "balanced_accuracy": 0.02,
    "ssim": 0.02,
    "error": -2.0,  # grey levels
    "dice": 0.05,
    "shift": -0.05,  # embryo radii
}
# A method is a way to train; one or two trainings are examples of it.
SEEDS_OF_A_METHOD = 3

BETTER, WORSE, SAME, UNDECIDED = "better", "worse", "the same", "undecided"


def verdict(low: float, high: float, matters: float) -> str:
    """What the 95 % interval [low, high] of a paired difference says.

    Parameters
    ----------
    low, high : float
        Of the new minus the old.
    matters : float
        The smallest difference that matters; negative where less is better.

    Returns
    -------
    ``better`` or ``worse``: the whole interval lies beyond ``matters``. ``the same``: the whole
    interval lies within it on both sides, as in a test of equivalence (Schuirmann 1987,
    doi:10.1007/BF01068419). ``undecided``: any other, also a difference that is surely
    not 0 and perhaps too small to matter; and one that is not known (NaN).
    """
    if matters < 0:
        low, high, matters = -high, -low, -matters
    if low > matters:
        return BETTER
    if high < -matters:
        return WORSE
    if -matters <= low and high <= matters:
        return SAME
    return UNDECIDED


def with_verdicts(differences: pd.DataFrame) -> pd.DataFrame:
    """``differences`` (columns metric, low, high) with the column verdict.

    ``metric`` is a key of ``MATTERS``, or ends in one after an underscore, as cavity_dice does.
    """
    said = [verdict(row.low, row.high, smallest(row.metric)) for row in differences.itertuples()]
    return differences.assign(verdict=said)


def smallest(metric: str) -> float:
    """The smallest difference of a metric that matters; a KeyError for one that has none."""
    return MATTERS[metric if metric in MATTERS else metric.rpartition("_")[2]]
