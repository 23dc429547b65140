"""Figures of cell segmentation: fields with outlines, arms by their groups, depth, labels."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from torch import Tensor

from lib.evaluation.cell_arms import GROUPS, ORACLE, UNTOUCHED, UPPER
from lib.evaluation.overlap import dice
from lib.figures.grouped import dots_by_group
from lib.figures.sheets import row_name, tight
from lib.figures.style import Drawn, bare, styled, titled_sheet
from lib.models.unet import PLACES

FOUND, TRUTH = "#D55E00", "#56B4E9"  # outlines
_COLOURS = dict(
    zip(GROUPS, ("#333333", "#888888", "#117733", "#CC3311", "#882255", "#B8A07E", "#332288"),
        strict=True)
)  # fmt: skip
_NAMES = {
    "unet": "U-Net, untouched",
    "half": "threshold one half",
    "gradient": "gradient threshold",
    "otsu": "Otsu",
    "adabn": "AdaBN",
    "fda": "FDA",
    "unet_pretrained": "ImageNet encoder",
    "random_optics": "random microscopes",
    "simulated": "simulated translator",
    "oracle": "oracle: source's device",
    "target": "trained on the target",
    "cyclegan": "CycleGAN, ours",
    "cyclegan_mind": "CycleGAN + MIND",
    "cyclegan_structure": "CycleGAN + structure",
}
_PARTS = {"source": "source", "small": "small cells", "particles": "particles"}


def cell_arm_name(arm: str) -> str:
    """Name of an arm of cell segmentation as figures and sentences print it."""
    if arm in _NAMES:
        return _NAMES[arm]
    if arm.startswith("labels_"):
        return f"{arm.removeprefix('labels_')} labelled"
    for start, kind in (("unet_", ""), ("reversal_", "reversal: "), ("cyclegan_", "CycleGAN: ")):
        if arm.startswith(start):
            rest = arm.removeprefix(start)
            if rest in PLACES:
                return f"{kind}{rest.replace('_', ' ')}"
            parts = [_PARTS.get(part, part) for part in rest.split("_")]
            return f"{kind}{' + '.join(parts)}"
    return arm.replace("_", " ")


def _outline(axes: Axes, mask: np.ndarray, colour: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask.astype(float), [0.5], colors=[colour], linewidths=0.9)


def _picture(axes: Axes, image: np.ndarray) -> None:
    low, high = np.quantile(image, [0.002, 0.998])
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1))
    bare(axes)


@styled
def field_sheet(
    fields: Mapping[str, tuple[Tensor, Tensor]], note: str, title: str, columns: int = 6
) -> Drawn:
    """Fields of every domain or device with the outlines that were drawn, a row each.

    Parameters
    ----------
    fields
        Name of a row to images, uint8 (N, 1, H, W), and masks, bool (N, 1, H, W); the first
        ``columns`` are shown, each stretched between its darkest and its brightest grey.

    Returns
    -------
    The figure, and row, place, cell_share.
    """
    cell = 6.5 / columns
    detail = "outlines: cells as they were drawn; grey values stretched"
    sheet = titled_sheet(6.9, (cell + 0.02) * len(fields) + 0.1, title, note, detail)
    tight(sheet, left=0.34)
    grid = sheet.subplots(len(fields), columns, squeeze=False)
    drawn = []
    for line, (name, (images, masks)) in zip(grid, fields.items(), strict=True):
        for place, axes in enumerate(line):
            if place >= len(images):
                axes.set_visible(False)
                continue
            _picture(axes, images[place, 0].numpy())
            _outline(axes, masks[place, 0].numpy(), TRUTH)
            drawn.append((name, place, float(masks[place].float().mean())))
        row_name(line[0], name)
    return sheet, pd.DataFrame(drawn, columns=["row", "place", "cell_share"])


@styled
def overlay_sheet(
    images: Tensor, masks: Tensor, found: Mapping[str, Tensor], note: str, title: str
) -> Drawn:
    """What each arm found, outlined over the field: a row a field, a column an arm.

    Parameters
    ----------
    images, masks : uint8 and bool (N, 1, H, W)
    found : arm to bool (N, 1, H, W)

    Returns
    -------
    The figure, and field, arm, dice.
    """
    arms = list(found)
    cell = 6.8 / len(arms)
    detail = "orange: found; blue: drawn; number: Dice of this field; fields not chosen"
    sheet = titled_sheet(6.9, (cell + 0.03) * len(images) + 0.45, title, note, detail)
    tight(sheet)
    grid = sheet.subplots(len(images), len(arms), squeeze=False)
    drawn = []
    for place, line in enumerate(grid):
        truth = masks[place, 0].numpy()
        for axes, arm in zip(line, arms, strict=True):
            mask = found[arm][place, 0].numpy()
            value = dice(mask, truth)
            _picture(axes, images[place, 0].numpy())
            _outline(axes, truth, TRUTH)
            _outline(axes, mask, FOUND)
            axes.text(0.03, 0.04, f"{value:.2f}", transform=axes.transAxes, size=7, color="white",
                      bbox=dict(facecolor="#222222", pad=1.2, lw=0))  # fmt: skip
            drawn.append((place, arm, value))
    for axes, arm in zip(grid[0], arms, strict=True):
        axes.set_title(textwrap.fill(cell_arm_name(arm), int(16 * cell)), size=7)
    return sheet, pd.DataFrame(drawn, columns=["field", "arm", "dice"])


def arm_dots(table: pd.DataFrame, note: str, title: str) -> Drawn:
    """Table 1 as a figure: Dice and average precision of every arm with 95 % intervals.

    Parameters
    ----------
    table
        Output of ``lib.evaluation.cell_arms.compare_arms``.

    Returns
    -------
    The figure, and the rows of ``table`` that it shows.
    """
    measures = {"dice": "Dice", "average_precision": "average precision at 0.5"}
    unit = "fields of {groups} frames or images"
    return dots_by_group(table, measures, _COLOURS, cell_arm_name, UNTOUCHED, unit, note, title)


def _curve(axes: Axes, shown: pd.DataFrame, colour: str) -> None:
    """The rows of Table 1 beside each other, with their intervals."""
    axes.errorbar(
        np.arange(len(shown)), shown["value"],
        [shown["value"] - shown["low"], shown["high"] - shown["value"]],
        fmt="o-", color=colour, ms=4.5, lw=1.2, capsize=2,
    )  # fmt: skip


def _lines(axes: Axes, rows: pd.DataFrame, colours: Mapping[str, str], alpha: float) -> list[str]:
    """A line and a band across for each arm that there is; those arms."""
    there = [arm for arm in colours if arm in rows.index]
    for arm in there:
        row = rows.loc[arm]
        axes.axhline(row["value"], color=colours[arm], lw=1.3, label=cell_arm_name(arm))
        axes.axhspan(row["low"], row["high"], color=colours[arm], alpha=alpha, lw=0)
    return there


@styled
def depth_plot(table: pd.DataFrame, note: str, title: str) -> Drawn:
    """Dice on the target against where in the U-Net the discriminator looked.

    ``table`` is output of ``lib.evaluation.cell_arms.compare_arms``; returned are the rows shown.
    """
    rows = table[table["metric"] == "dice"].set_index("arm")
    arms = [f"reversal_{place}" for place in PLACES]
    shown = rows.loc[arms]
    detail = f"n = {shown['n'].max()} fields; 95 % intervals; from the bottom to the output"
    sheet = titled_sheet(6.9, 2.3, title, note, detail)
    axes = sheet.subplots()
    _curve(axes, shown, _COLOURS["gradient reversal"])
    across = _lines(
        axes, rows, {UNTOUCHED: _COLOURS["untouched"], UPPER: _COLOURS["bounds"]}, alpha=0.12
    )
    axes.set_xticks(range(len(arms)), [place.replace("_", " ") for place in PLACES])
    axes.set(xlabel="features that the discriminator was shown", ylabel="Dice on the target")
    sheet.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return sheet, rows.loc[[*arms, *across]].reset_index()


@styled
def label_dots(table: pd.DataFrame, best: str, note: str, title: str) -> Drawn:
    """Dice on the target against labelled target groups; a line for the best arm without any.

    ``table`` is output of ``lib.evaluation.cell_arms.compare_arms``; returned are the rows shown.
    """
    rows = table[table["metric"] == "dice"].set_index("arm")
    few = [arm for arm in rows.index if arm.startswith("labels_")]
    few.sort(key=lambda arm: int(arm.removeprefix("labels_")))
    all_of = [UPPER] if UPPER in rows.index else []
    arms = [UNTOUCHED, *few, *all_of]
    names = ["0", *(arm.removeprefix("labels_") for arm in few), *["all, no source"] * len(all_of)]
    shown = rows.loc[arms]
    detail = f"n = {shown['n'].max()} fields; 95 % intervals; line: no label of the target"
    sheet = titled_sheet(6.9, 2.2, title, note, detail)
    axes = sheet.subplots()
    _curve(axes, shown, "#333333")
    across = _lines(axes, rows, {best: FOUND, ORACLE: _COLOURS["bounds"]}, alpha=0.1)
    axes.set_xticks(range(len(arms)), names)
    axes.set(xlabel="labelled target frames or images", ylabel="Dice on the target")
    sheet.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return sheet, rows.loc[[*arms, *across]].reset_index()
