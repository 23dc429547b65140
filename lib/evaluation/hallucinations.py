"""Single images in which a translator invented or erased a structure, as far as it can be told."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from lib.evaluation.safety import PRESENT


def verdicts(read: Tensor, control: Tensor, truth: Tensor) -> pd.DataFrame:
    """What became of a structure in each translated image.

    Only images in whose true photograph the segmenting network is right about the structure: where
    it fails on the good device's own photograph, its reading of a translation says nothing.

    Parameters
    ----------
    read, control, truth : bool (N, H, W)
        The structure as read in the translation and in the true photograph, and as it is.

    Returns
    -------
    Columns place (0 to N - 1), verdict (``invented``, ``erased``, or ``kept``, also where
    there is none and none is read), read, true (shares of the image). A structure is there from
    ``lib.evaluation.safety.PRESENT`` on.
    """
    shares = {"read": read, "control": control, "true": truth}
    table = pd.DataFrame({name: m.float().mean((1, 2)).double() for name, m in shares.items()})
    there = table >= PRESENT
    table["verdict"] = "kept"
    table.loc[there["read"] & ~there["true"], "verdict"] = "invented"
    table.loc[~there["read"] & there["true"], "verdict"] = "erased"
    sure = there["control"] == there["true"]
    return table[sure].rename_axis("place").reset_index()[["place", "verdict", "read", "true"]]


def first_of_each(table: pd.DataFrame, count: int, skip: int = 0) -> pd.DataFrame:
    """Up to ``count`` images of every verdict after the first ``skip``, in the order of images."""
    turn = table.groupby("verdict").cumcount()
    return table[(turn >= skip) & (turn < skip + count)].reset_index(drop=True)
