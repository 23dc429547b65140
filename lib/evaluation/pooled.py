"""Arms compared by a measure that is a ratio of sums over fields: a mean, a Dice, an F1.

``shares`` are columns arm, id (a field), group (frame, slide), seed, top and bottom of the ratio,
as ``seeds.ratio_over_seeds`` takes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.evaluation.seeds import ratio_over_seeds
from lib.evaluation.statistics import holm

_RESAMPLES = 2000


def differences_to(shares: pd.DataFrame, other: str, arms: Sequence[str] = ()) -> pd.DataFrame:
    """Difference of arms to ``other`` on the same fields and seeds, with Holm's correction.

    Of all arms where none are named. Columns arm, difference, low, high, p, p_holm, n, groups,
    seeds.
    """
    base = shares[shares["arm"] == other].drop(columns="arm")
    base = base.rename(columns=dict(top="less_top", bottom="less_bottom"))
    rows = []
    for arm in arms or [name for name in shares["arm"].unique() if name != other]:
        own = shares[shares["arm"] == arm]
        found = ratio_over_seeds(own.merge(base, on=["id", "group", "seed"], validate="one_to_one"))
        rows.append(dict(arm=arm, difference=found.pop("value"), **found))
    return pd.DataFrame(rows).assign(p_holm=lambda t: holm(t["p"]))


def gap_closed(shares: pd.DataFrame, arm: str, untouched: str, upper: str) -> dict[str, float]:
    """Share of the way from ``untouched`` to ``upper`` that an arm goes, means over seeds.

    Interval: bootstrap over groups, seeds together. Returns ``value``, ``low``, ``high``, ``n``,
    ``groups``, ``seeds``.
    """
    own = shares[shares["arm"].isin([untouched, arm, upper])]
    sums = own.groupby(["seed", "arm", "group"])[["top", "bottom"]].sum().unstack("group")
    groups = own["group"].nunique()
    draws = np.random.default_rng(0).integers(groups, size=(_RESAMPLES, groups))
    weights = np.stack([np.bincount(one, minlength=groups) for one in draws])

    def share(weights: np.ndarray) -> np.ndarray:
        low, reached, high = (
            np.mean(np.divide(*(sums.xs(name, level="arm")[part].to_numpy() @ weights.T
                                for part in ("top", "bottom"))), axis=0)
            for name in (untouched, arm, upper)
        )  # fmt: skip
        return (reached - low) / np.where(high > low, high - low, np.nan)

    low, high = np.nanquantile(share(weights), [0.025, 0.975])
    return dict(
        value=float(share(np.ones((1, groups)))[0]), low=float(low), high=float(high),
        n=own["id"].nunique(), groups=groups, seeds=own["seed"].nunique(),
    )  # fmt: skip
