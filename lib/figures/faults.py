"""One phantom embryo, and what each optical fault of the phone does to it."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pandas as pd

from lib.figures.style import Drawn, bare, styled, titled_sheet
from lib.phantom.embryo import Embryos, grow
from lib.phantom.faults import FAULTS, PHONE, photograph_with

NOTE = "synthetic phantom"
_SEED = 8  # a blastocyst, and a photograph with the well's dark edge in a corner
_WIDTH = 128  # pixels


def phone_photograph(faults: Collection[str]) -> np.ndarray:
    """The embryo by a phone with these faults: uint8 (H, W, 3)."""
    return photograph_with(_embryo(), np.array([_SEED]), faults, _WIDTH)[0]


def _embryo() -> Embryos:
    return grow(np.array([_SEED]), _WIDTH, 0.6)


@styled
def faults_sheet(columns: int = 5) -> Drawn:
    """One phantom embryo without any fault of the phone, with each alone, and with all.

    Returns
    -------
    The figure, and each photograph's mean absolute difference (grey levels) from that without.
    """
    sets = {"no fault": (), **{fault: (fault,) for fault in FAULTS}, f"all: {PHONE}": FAULTS}
    photographs = {name: phone_photograph(faults) for name, faults in sets.items()}
    ideal = photographs["no fault"].astype(float)
    rows = math.ceil(len(sets) / columns)
    cell = 1.15  # inches
    height = rows * (cell * ideal.shape[0] / ideal.shape[1] + 0.2)
    sheet = titled_sheet(
        cell * columns + 0.1, height, "What the phone does to an embryo", NOTE,
        "one embryo, each fault alone, then all of them",
    )  # fmt: skip
    drawn = []
    grid = sheet.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(sets) :]:
        axes.set_visible(False)
    for axes, (name, photograph) in zip(grid, photographs.items(), strict=False):
        axes.imshow(photograph)
        axes.set_title(name, size=8, pad=3)
        bare(axes)
        drawn.append((name, float(np.abs(photograph - ideal).mean())))
    return sheet, pd.DataFrame(drawn, columns=["fault", "mean_absolute_difference"])
