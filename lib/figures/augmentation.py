"""Figures of GAN augmentation: what GANs make, how far from real it is, whether it helps."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from lib.evaluation.augmentation import UNBALANCED
from lib.evaluation.image_quality import FLOOR
from lib.figures.sheets import row_name, tight
from lib.figures.style import NEUTRAL, Drawn, bare, styled, titled_sheet
from lib.models.gan_variants import BASE, FACTORS, KINDS

_WAYS = {
    "plain": ("real images alone", "#333333"),
    "augmented": ("turned and stained at random", "#117733"),
    "synthetic": ("with images of a GAN", "#882255"),
    "both": ("with both", "#DDAA33"),
    "unbalanced": ("one to nine, as it is", "#333333"),
    "balanced_synthetic": ("filled up by a GAN", "#882255"),
    "balanced_weights": ("weighted classes", "#0072B2"),
    "balanced_oversampling": ("drawn more often, augmented", "#117733"),
}
_GANS = {
    "dcgan": "DCGAN",
    "sngan": "SNGAN",
    "acgan": "ACGAN",
    "wgan_gp": "WGAN-GP",
    "smoothed": "smoothed labels",
    "spectral": "spectral norm",
    "two_rates": "two time scales",
    "small_batch": "half the batch",
    "large_latent": "four times the latent",
    "short": "half the steps",
    FLOOR: "real against real",
}


def way_name(way: str) -> str:
    """Name of a way to train a classifier as figures and sentences print it."""
    return _WAYS[way][0]


def gan_name(gan: str) -> str:
    """Name of a GAN as figures print it; where it is DCGAN with one change, with that."""
    name = _GANS[gan]
    return f"{_GANS[BASE]}, {name}" if gan in FACTORS else name


@styled
def gan_sheet(images: Mapping[str, Tensor], note: str, title: str) -> Drawn:
    """Tiles that GANs made below real ones, a row each, none chosen.

    ``images`` is name of a row to uint8 (N, 3, H, W), as many in each. Returned are the figure, and
    row, place, mean_level.
    """
    columns = len(next(iter(images.values())))
    cell = 6.5 / columns
    detail = "left half benign, right half malignant; not chosen"
    sheet = titled_sheet(6.9, (cell + 0.02) * len(images) + 0.1, title, note, detail)
    tight(sheet, left=0.3)
    grid = sheet.subplots(len(images), columns, squeeze=False)
    drawn = []
    for line, (name, stack) in zip(grid, images.items(), strict=True):
        for place, (axes, image) in enumerate(zip(line, stack, strict=True)):
            axes.imshow(image.permute(1, 2, 0).numpy())
            bare(axes)
            drawn.append((name, place, float(image.float().mean())))
        row_name(line[0], _GANS.get(name, name))
    return sheet, pd.DataFrame(drawn, columns=["row", "place", "mean_level"])


@styled
def gan_dots(distances: pd.DataFrame, note: str, title: str) -> Drawn:
    """Distance of every GAN's images to real ones of other slides; kinds, then one change each.

    Parameters
    ----------
    distances
        Output of ``lib.evaluation.image_quality.unpaired_quality`` with the GANs as arms.

    Returns
    -------
    The figure, and the rows of ``distances`` it shows.
    """
    own = distances[distances["measure"] == "kernel_lite0"].set_index("arm")
    arms = [arm for arm in _GANS if arm in own.index and arm != FLOOR]
    detail = "95 % intervals over slides; band: real tiles against real tiles of other slides"
    sheet = titled_sheet(6.9, 0.2 * len(arms) + 0.5, title, note, detail)
    axes = sheet.subplots()
    floor = own.loc[FLOOR]
    axes.axvspan(floor["low"], floor["high"], color=NEUTRAL, alpha=0.25, lw=0)
    axes.axvline(own.loc[BASE, "value"], color=NEUTRAL, lw=0.8, ls=(0, (3, 2)))
    for y, arm in enumerate(arms):
        colour = "#882255" if arm in KINDS else "#117733"
        axes.plot(own.loc[arm, ["low", "high"]], [y, y], color=colour, lw=1.6)
        axes.plot(own.loc[arm, "value"], y, "o", color=colour, ms=4)
    axes.set_yticks(range(len(arms)), [gan_name(arm) for arm in arms])
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("kernel distance on features of EfficientNet-Lite0, less is better")
    return sheet, own.loc[[*arms, FLOOR]].reset_index()


@styled
def augmentation_curves(scores: pd.DataFrame, note: str, title: str) -> Drawn:
    """AUC against real images of a class for every way, and beside it under imbalance.

    ``scores`` is output of ``lib.evaluation.augmentation.scores_of_ways``; returned are its rows.
    """
    auc = scores[scores["metric"] == "auc"]
    curves, remedies = auc[auc["images"] != UNBALANCED], auc[auc["images"] == UNBALANCED]
    detail = (
        f"n = {auc['n'].max()} tiles of {auc['groups'].max()} slides, {auc['seeds'].max()} "
        "classifiers each; 95 % intervals"
    )
    sheet = titled_sheet(6.9, 2.4, title, note, detail)
    left, right = sheet.subplots(1, 2, sharey=True, width_ratios=[1.5, 1])
    ways = list(dict.fromkeys(curves["way"]))
    for place, way in enumerate(ways):
        own = curves[curves["way"] == way]
        x = np.arange(len(own)) + 0.08 * (place - (len(ways) - 1) / 2)
        below, above = own["value"] - own["low"], own["high"] - own["value"]
        left.errorbar(x, own["value"], [below, above], fmt="o-", ms=3.5, lw=1.1, capsize=1.5,
                      color=_WAYS[way][1], label=way_name(way))  # fmt: skip
    left.set_xticks(range(curves["images"].nunique()), list(dict.fromkeys(curves["images"])))
    left.set(xlabel="real images of each class", ylabel="AUC, benign against malignant")
    for place, row in enumerate(remedies.itertuples()):
        colour = _WAYS[row.way][1]
        right.plot([place, place], [row.low, row.high], color=colour, lw=1.6)
        right.plot(place, row.value, "o", color=colour, ms=4)
    names = [textwrap.fill(way_name(way), 11) for way in remedies["way"]]
    right.set_xticks(range(len(remedies)), names, size=6)
    right.set_xlim(-0.5, len(remedies) - 0.5)
    right.set_title("one malignant to nine benign", size=7.5, loc="left")
    sheet.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7)
    return sheet, auc.reset_index(drop=True)
