"""How well the embryo is found where its true place is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.evaluation.intervals import share_interval

CENTRE_LIMIT = 0.05  # of the true diameter
RADIUS_LIMIT = 0.10  # of the true radius


def framing_accuracy(frames: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Share of the images in which the embryo's place was found within the limits.

    Parameters
    ----------
    frames
        Frame table with the column domain.
    truth
        id, x, y, radius in pixels.

    Returns
    -------
    Columns domain, measure (``centre``, ``radius``, ``both``, and ``found``: the share that is not
    left whole), value, low, high (95 % Wilson interval), n.
    """
    both = frames.merge(truth, on="id", suffixes=("", "_true"), validate="one_to_one")
    miss = np.hypot(both["x"] - both["x_true"], both["y"] - both["y_true"])
    near = miss <= CENTRE_LIMIT * 2 * both["radius_true"]
    sized = (both["radius"] - both["radius_true"]).abs() <= RADIUS_LIMIT * both["radius_true"]
    judged = dict(centre=near, radius=sized, both=near & sized, found=both["found"])
    rows = []
    for domain, members in both.groupby("domain", sort=False).groups.items():
        for measure, right in judged.items():
            n, k = len(members), int(right.loc[members].sum())
            rows.append(dict(domain=domain, measure=measure, **share_interval(k, n)))
    return pd.DataFrame(rows)
