"""What so many embryos meet with: the form of a probability that is understood.

"Of 100 embryos, 5 of 60 blastocysts are missed" is read rightly by far more physicians than a
sensitivity and a prevalence are (Gigerenzer & Hoffrage 1995, Psychological Review 102:684).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.evaluation.decision import CALLS, CallCounts
from lib.evaluation.intervals import share_interval

COHORTS = (100, 1000, 10_000, 100_000, 1_000_000)


def natural_frequencies(counts: CallCounts, prevalence: float | None = None) -> pd.DataFrame:
    """What happens to so many embryos, in whole ones that add up.

    Of 100; of ten times as many and more where a call that does happen would else be rounded to
    none.
    Within a class, what is left after rounding down goes to the largest remainders.

    Returns
    -------
    Index label and call (``CALLS``), columns count, low, high: 95 % Wilson limits of the call's
    share of its class, rounded outwards. A class without an image in the hold-out has NaN.

    Raises
    ------
    InputError
        A prevalence that is not between 0 and 1.
    """
    prior = counts.prior(prevalence)
    happens = np.array([*counts.of(1)[:2], 0, *counts.of(0)[:2], 0]) > 0
    for cohort in COHORTS:
        positive = int(np.floor(prior * cohort + 0.5))
        table = pd.concat([_of_class(counts, 1, positive), _of_class(counts, 0, cohort - positive)])
        if (table["count"].to_numpy()[happens] >= 1).all():
            break
    return table


def _of_class(counts: CallCounts, label: int, size: int) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([[label], CALLS], names=["label", "call"])
    cells, n = counts.effective(label), sum(counts.of(label))
    if n == 0:
        return pd.DataFrame(np.nan, index=index, columns=["count", "low", "high"])
    exact = size * np.array(counts.of(label)) / n
    whole = np.floor(exact)
    left = size - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:left]] += 1
    limits = [share_interval(cell, cells.sum()) for cell in cells]
    # Rounded to nine digits first, so that 3.0000000000000004 is not 4.
    low = np.floor(np.round([size * share["low"] for share in limits], 9))
    high = np.ceil(np.round([size * share["high"] for share in limits], 9))
    return pd.DataFrame(
        dict(count=whole, low=np.minimum(low, whole), high=np.maximum(high, whole)), index=index
    )
