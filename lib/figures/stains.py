"""Figures of stain translation: tissue with its nuclei, arms, quality beside what it is for."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from torch import Tensor

from lib.evaluation.stain_arms import GROUPS, ORACLE, UNTOUCHED
from lib.evaluation.stain_quality import BACK, VIRTUAL
from lib.figures.grouped import dots_by_group
from lib.figures.sheets import row_name, tight
from lib.figures.style import NEUTRAL, Drawn, bare, styled, titled_sheet
from lib.models.nuclei_maps import centroids, matched_centroids

FOUND, TRUTH = "#FFD400", "#00E5FF"  # seen on pink, blue and brown
COLOURS = dict(
    zip(GROUPS, ("#333333", "#888888", "#117733", "#882255", "#332288"), strict=True)
)  # fmt: skip
_NAMES = {
    "hovernet": "HoVer-Net, untouched",
    "stained": "stain augmentation",
    "random_stains": "random stains",
    "published": "HoVer-Net of its authors",
    "macenko": "Macenko",
    "reinhard": "Reinhard",
    "recombination": "DAB to haematoxylin",
    "haematoxylin": "haematoxylin alone",
    "cyclegan": "CycleGAN",
    "cyclegan_mind": "CycleGAN + MIND",
    "cyclegan_structure": "CycleGAN + structure",
    "cut": "CUT",
    "simulated": "simulated translator",
    "ensemble": "mean of translations",
    "oracle": "oracle: same tissue in H&E",
    "target": "trained on IHC",
}


def stain_arm_name(arm: str) -> str:
    """Name of an arm of stain translation as figures and sentences print it."""
    return _NAMES.get(arm, arm.replace("_", " "))


def _picture(axes: Axes, image: Tensor) -> None:
    axes.imshow(image.permute(1, 2, 0).numpy())
    bare(axes)


def _points(axes: Axes, instances: np.ndarray, colour: str, marker: str, size: float) -> None:
    places = centroids(instances)
    axes.plot(places[:, 1], places[:, 0], marker, ms=size, mec=colour, mfc="none", mew=0.9)


@styled
def tissue_sheet(
    rows: Mapping[str, tuple[Tensor, Tensor]], note: str, title: str, columns: int = 6
) -> Drawn:
    """Fields of either stain with the centroids of their nuclei, a row each.

    Parameters
    ----------
    rows
        Name of a row to images, uint8 (N, 3, S, S), and nuclei, int32 (N, 1, S, S); the first
        ``columns`` are shown.

    Returns
    -------
    The figure, and row, place, nuclei.
    """
    cell = 6.5 / columns
    sheet = titled_sheet(
        6.9, (cell + 0.02) * len(rows) + 0.1, title, note, "crosses: nuclei as they were drawn"
    )
    tight(sheet, left=0.34)
    grid = sheet.subplots(len(rows), columns, squeeze=False)
    drawn = []
    for line, (name, (images, instances)) in zip(grid, rows.items(), strict=True):
        for place, axes in enumerate(line):
            if place >= len(images):
                axes.set_visible(False)
                continue
            _picture(axes, images[place])
            _points(axes, instances[place, 0].numpy(), TRUTH, "+", 3.5)
            drawn.append((name, place, int(instances[place].max())))
        row_name(line[0], name)
    return sheet, pd.DataFrame(drawn, columns=["row", "place", "nuclei"])


@styled
def overlay_sheet(
    images: Mapping[str, Tensor], found: Mapping[str, Tensor], truth: Tensor,
    um_per_px: float, note: str, title: str,
) -> Drawn:  # fmt: skip
    """What each arm reads and what it finds there: a row a field, a column an arm.

    Parameters
    ----------
    images
        Arm to the images that its detector reads, uint8 (N, 3, S, S).
    found
        Arm to nuclei, int32 (N, 1, S, S); of arms that are not in it the image stands alone.
    truth
        int32 (N, 1, S, S)

    Returns
    -------
    The figure, and field, arm, f1 (NaN where nothing is and nothing was found).
    """
    arms, count = list(images), len(truth)
    cell = 6.8 / len(arms)
    detail = "fields not chosen"
    if found:
        detail = "yellow: found; blue crosses: drawn; number: F1 of this field; " + detail
    sheet = titled_sheet(6.9, (cell + 0.03) * count + 0.4, title, note, detail)
    tight(sheet)
    grid = sheet.subplots(count, len(arms), squeeze=False)
    drawn = []
    for place, line in enumerate(grid):
        for axes, arm in zip(line, arms, strict=True):
            _picture(axes, images[arm][place])
            if arm not in found:
                continue
            own, all_of = (part[place, 0].numpy() for part in (found[arm], truth))
            hits, total = matched_centroids(own, all_of, um_per_px), own.max() + all_of.max()
            f1 = 2 * hits / total if total else np.nan
            _points(axes, all_of, TRUTH, "+", 3.0)
            _points(axes, own, FOUND, "o", 3.6)
            axes.text(0.03, 0.04, f"{f1:.2f}", transform=axes.transAxes, size=7, color="white",
                      bbox=dict(facecolor="#222222", pad=1.2, lw=0))  # fmt: skip
            drawn.append((place, arm, f1))
    for axes, arm in zip(grid[0], arms, strict=True):
        name = textwrap.fill(stain_arm_name(arm), int(16 * cell), break_long_words=False)
        axes.set_title(name, size=7)
    return sheet, pd.DataFrame(drawn, columns=["field", "arm", "f1"])


def arm_dots(table: pd.DataFrame, note: str, title: str) -> Drawn:
    """Table 1 as a figure: F1 of centroids and panoptic quality of every arm.

    ``table`` is output of ``lib.evaluation.stain_arms.compare_arms``.
    """
    measures = {"f1": "F1 of centroids within 6 µm", "pq": "panoptic quality"}
    unit = "fields of {groups} slides"
    return dots_by_group(table, measures, COLOURS, stain_arm_name, UNTOUCHED, unit, note, title)


@styled
def quality_against_f1(
    quality: pd.DataFrame, table: pd.DataFrame, agreement: pd.DataFrame, note: str, title: str
) -> Drawn:
    """Each measure of image quality beside the F1 of nuclei, a point an arm.

    Parameters
    ----------
    quality
        Columns arm, measure, value, low, high.
    table
        Output of ``lib.evaluation.stain_arms.compare_arms``.
    agreement
        Columns measure, name, value, low, high: rank correlation with F1, 1 where the measure ranks
        arms as F1 does.

    Returns
    -------
    The figure, and measure, arm, quality, f1.
    """
    measures = agreement["measure"].tolist()
    columns = 4
    lines = -(-len(measures) // columns)
    f1 = table[table["metric"] == "f1"].set_index("arm")
    detail = "95 % intervals over slides; rho: rank correlation with F1, 1: the same order"
    sheet = titled_sheet(6.9, 1.75 * lines + 0.35, title, note, detail)
    grid = sheet.subplots(lines, columns, sharey=True, squeeze=False)
    for axes in grid.ravel()[len(measures) :]:
        axes.set_visible(False)
    drawn, kinds = [], {}
    for axes, told in zip(grid.ravel(), agreement.itertuples(), strict=False):
        own = quality[quality["measure"] == told.measure].set_index("arm")
        for arm, row in own.iterrows():
            if arm == ORACLE or arm not in f1.index:  # the truth itself; the floor
                continue
            kind, reached = f1.loc[arm, "kind"], f1.loc[arm, "value"]
            axes.plot(
                [row["low"], row["high"]], [reached] * 2, color=COLOURS[kind], lw=1, alpha=0.6
            )
            (kinds[kind],) = axes.plot(row["value"], reached, "o", color=COLOURS[kind], ms=3.5)
            drawn.append((told.measure, arm, row["value"], reached))
        axes.set_title(
            f"{told.name}\nrho {told.value:+.2f} [{told.low:+.2f}, {told.high:+.2f}]", size=7.5
        )
        axes.tick_params(labelsize=6.5)
    for line in grid:
        line[0].set_ylabel("F1 of centroids")
    sheet.legend(kinds.values(), kinds.keys(), loc="outside lower center", ncols=len(kinds))
    return sheet, pd.DataFrame(drawn, columns=["measure", "arm", "quality", "f1"])


def kind_name(kind: str) -> str:
    """What images of a kind are, see ``lib.evaluation.stain_quality.stained_nuclei``."""
    for start, told in ((BACK, "to H&E and back"), (VIRTUAL, "IHC made of H&E")):
        if kind.startswith(start):
            return f"{told}, {stain_arm_name(kind.removeprefix(start))}"
    return "IHC itself"


@styled
def index_dots(nuclei: pd.DataFrame, names: Mapping[str, str], note: str, title: str) -> Drawn:
    """The Ki67 index of each slide, measured in images, against the true one; a panel a kind.

    Parameters
    ----------
    nuclei
        Output of ``lib.evaluation.stain_quality.stained_nuclei``.
    names
        Kind of images to the heading of its panel, in their order.

    Returns
    -------
    The figure, and image, group, truth, measured.
    """
    shares = nuclei.groupby(["image", "group"])[["positive", "measured"]].mean()
    shares = shares.rename(columns={"positive": "truth"})
    columns, slides = 4, nuclei.groupby("image")["group"].nunique().max()
    lines = -(-len(names) // columns)
    detail = f"{slides} slides a panel; band: within 0.05 of the truth"
    sheet = titled_sheet(6.9, 1.9 * lines + 0.1, title, note, detail)
    grid = sheet.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    top = 1.05 * max(float(shares.to_numpy().max()), 0.1)
    ends = np.array([0.0, top])
    for axes in grid.ravel()[len(names) :]:
        axes.set_visible(False)
    for axes, (kind, name) in zip(grid.ravel(), names.items(), strict=False):
        own = shares.loc[kind]
        axes.fill_between(ends, ends - 0.05, ends + 0.05, color=NEUTRAL, alpha=0.2, lw=0)
        axes.plot(ends, ends, color=NEUTRAL, lw=0.7)
        axes.plot(own["truth"], own["measured"], "o", color="#8C510A", ms=3, alpha=0.8)
        axes.set_title(textwrap.fill(name, 24), size=7)
        axes.set(xlim=ends, ylim=(-0.02, top))
        axes.tick_params(labelsize=6.5)
    sheet.supxlabel("true index", size=8)
    sheet.supylabel("measured index", size=8)
    shown = shares.reset_index()
    return sheet, shown[shown["image"].isin(names)].reset_index(drop=True)
