"""Figures for whoever decides: what a call is worth by prevalence, and what was called wrongly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from lib.figures.style import (
    LABEL_NAMES,
    Drawn,
    arm_colour,
    arm_name,
    bare,
    styled,
    titled_sheet,
)

_PANELS = {
    "ppv": "PPV: right calls of {1}",
    "npv": "NPV: right calls of {0}",
}
_COLUMNS = 3


@styled
def predictive_value_curves(
    table: pd.DataFrame, prevalence: float, note: str, images: str,
    label_names: Mapping[int, str] = LABEL_NAMES,
) -> Drawn:  # fmt: skip
    """PPV and NPV of every arm against the prevalence.

    Parameters
    ----------
    table
        Output of ``lib.evaluation.decision.by_prevalence``.
    prevalence
        Drawn as a line: the clinic's, or that of the hold-out.
    images
        Which images were called, for the title.
    """
    detail = (
        f"frozen threshold, no gate; bands: 95 % intervals; dotted: {prevalence:.2f}, the "
        "prevalence of the table"
    )
    sheet = titled_sheet(6.9, 2.5, f"What a call is worth, {images}", note, detail)
    panels = sheet.subplots(1, 2, sharey=True)
    for axes, (metric, heading) in zip(panels, _PANELS.items(), strict=True):
        for arm, own in table[table["metric"] == metric].groupby("arm", sort=False):
            colour = arm_colour(arm)
            axes.fill_between(
                own["prevalence"], own["low"], own["high"], color=colour, alpha=0.15, lw=0
            )
            axes.plot(own["prevalence"], own["value"], color=colour, label=arm_name(arm))
        axes.axvline(prevalence, color="#222222", lw=0.9, ls=(0, (2, 2)))
        axes.set_title(heading.format(*label_names.values()), loc="left")
        axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.01))
        axes.set_xlabel(f"prevalence (share of {label_names[1]})")
    panels[0].set_ylabel("share of the calls that are right")
    handles, names = panels[0].get_legend_handles_labels()
    sheet.legend(handles, names, loc="outside lower center", ncols=len(names))
    return sheet, table.copy()


@styled
def miss_sheet(
    looks: Mapping[str, Tensor], missed: pd.DataFrame, note: str, images: str,
    label_names: Mapping[int, str] = LABEL_NAMES, most: int = 6,
) -> Drawn:  # fmt: skip
    """The images that were called wrongly, each in all its looks, with score and gate.

    Parameters
    ----------
    looks
        What it is (photograph, translated) to uint8 (N, C, H, W); the same N images in all.
    missed
        Output of ``lib.evaluation.decision.misses``, not empty: columns place, kind, label, score,
        gate, passes.
    images
        Which images were called, for the title.
    most
        Images shown of each kind, the first ones.

    Returns
    -------
    The figure, and the rows of ``missed`` that are shown.
    """
    shown = missed.groupby("kind", sort=False).head(most)
    counts = [int((missed["label"] == label).sum()) for label in (1, 0)]
    told = [f"{n} false {kind}{'s' * (n != 1)}"
            for n, kind in zip(counts, ("negative", "positive"), strict=True)]  # fmt: skip
    detail = (
        f"{' and '.join(told)}, up to {most} of each shown, furthest from the threshold first, "
        f"with their true class; left to right: {', '.join(looks)}"
    )
    blocks = [part for _, part in shown.groupby("kind", sort=False)]
    rows = sum(-(-len(part) // _COLUMNS) for part in blocks)
    strip = 6.8 / _COLUMNS / len(looks)  # inches, side of one picture
    sheet = titled_sheet(6.9, (strip + 0.2) * rows, f"Called wrongly, {images}", note, detail)
    sheet.get_layout_engine().set(h_pad=0.02, w_pad=0.03)
    grid = sheet.subplots(rows, _COLUMNS, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    first = 0
    for part in blocks:
        for axes, row in zip(grid[first:].ravel(), part.itertuples(), strict=False):
            axes.set_axis_on()
            axes.imshow(_side_by_side([stack[row.place] for stack in looks.values()]))
            bare(axes)
            stopped = "" if row.passes else ", stopped"
            axes.set_title(
                f"{label_names[row.label]}: score {row.score:.2f}, gate {row.gate:.2f}{stopped}",
                loc="left", size=6.5, pad=2, color="#a3310a" if row.label else "#222222",
            )  # fmt: skip
        first += -(-len(part) // _COLUMNS)
    return sheet, shown.copy()


def _side_by_side(images: list[Tensor]) -> np.ndarray:
    """Colour array (H, W, 3) of images (C, H, W), a white line between them."""
    parts = []
    for image in images:
        parts += [image.expand(3, -1, -1), image.new_full((3, image.shape[1], 1), 255)]
    return np.concatenate(parts[:-1], axis=2).transpose(1, 2, 0)
