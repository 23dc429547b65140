"""Figures of the safety audit: flips, structures, hidden information, risk and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lib.figures.style import (
    LABEL_NAMES,
    NEUTRAL,
    STRUCTURE_NAMES,
    Drawn,
    arm_colour,
    arm_name,
    styled,
    titled_sheet,
)

# Neither the colour of a domain nor that of an arm: these are ways to doubt, and classes.
_DOUBT_COLOURS = {"gate": "#AA4499", "margin": "#999933", "at random": NEUTRAL}
_CLASS_STYLES = (dict(color="#888888", mfc="white", ls="--"), dict(color="#222222"))
_MEASURES = {
    "dice": ("Dice, of {n} with one", "Dice (1 is perfect)"),
    "invented": ("invented, of {n} without", "share of images"),
    "erased": ("erased, of {n} with one", "share of images"),
}
_FIDELITY = {
    "inside_ssim": ("likeness", "SSIM (1 is the truth)"),
    "inside_error": ("error", "grey levels (0 is the truth)"),
    "ssim": ("likeness", "SSIM (1 is the truth)"),
    "error": ("error", "grey levels (0 is the truth)"),
    "cavity_shift": ("place of the cavity", "off by (embryo radii)"),
}


def _arm_dots(axes: Axes, table: pd.DataFrame, arms: Sequence[str]) -> None:
    """A dot with its interval for every arm, the first on top."""
    rows = table.set_index("arm")
    for y, arm in enumerate(arms):
        colour = arm_colour(arm)
        axes.plot(rows.loc[arm, ["low", "high"]], [y, y], color=colour, lw=1.4)
        axes.plot(rows.loc[arm, "value"], y, "o", color=colour, ms=5)
    axes.set_yticks(range(len(arms)), [arm_name(arm) for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


@styled
def flip_dots(
    flips: pd.DataFrame, note: str, label_names: Mapping[int, str] = LABEL_NAMES
) -> Drawn:
    """Share of images whose call by the judge changes, by arm and true class.

    Parameters
    ----------
    flips
        Output of ``lib.evaluation.safety.label_flips``.
    """
    arms = list(dict.fromkeys(flips["arm"]))
    counts = flips.groupby("label")["n"].max()
    words = ", ".join(f"{counts[label]} {label_names[label]}" for label in counts.index)
    detail = f"n = {words}; against the untouched image; bars: 95 % Wilson interval"
    sheet = titled_sheet(
        6.9, 0.3 * len(arms) + 0.8, "Calls that a change of look flips", note, detail
    )
    panels = sheet.subplots(1, 2, sharey=True, sharex=True)
    for axes, label in zip(panels, (0, 1), strict=True):
        _arm_dots(axes, flips[flips["label"] == label], arms)
        axes.set_title(f"true class: {label_names[label]}", loc="left")
        axes.set_xlabel("share of flipped calls")
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlim(left=-0.01)  # of both, and only now: a limit that is set no longer grows
    return sheet, flips.copy()


@styled
def structure_dots(kept: pd.DataFrame, note: str) -> Drawn:
    """Dice, invented and erased structures by arm.

    Parameters
    ----------
    kept
        Output of ``lib.evaluation.safety.structure_kept``.
    """
    arms = list(dict.fromkeys(kept["arm"]))
    structures = list(dict.fromkeys(kept["structure"]))
    detail = (
        "read by a network trained on the source; bars: 95 % intervals; band: that of the oracle, "
        "the network's own error"
    )
    height = 0.26 * len(arms) * len(structures) + 0.6 + 0.5 * len(structures)
    sheet = titled_sheet(6.9, height, "Structures that carry the diagnosis", note, detail)
    grid = sheet.subplots(len(structures), 3, sharey=True, squeeze=False)
    for panels, structure in zip(grid, structures, strict=True):
        for axes, (measure, (title, unit)) in zip(panels, _MEASURES.items(), strict=True):
            own = kept[(kept["structure"] == structure) & (kept["measure"] == measure)]
            _own_error(axes, own)
            _arm_dots(axes, own, arms)
            axes.set(xlim=(-0.03, 1.03), xlabel=unit)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.set_title(title.format(n=own["n"].max()), loc="left", size=8)
        panels[0].set_ylabel(STRUCTURE_NAMES.get(structure, structure), weight="bold")
    return sheet, kept.copy()


def _own_error(axes: Axes, table: pd.DataFrame) -> None:
    """A band where the oracle lies: no translation can be told to be better than that."""
    for _, row in table[table["arm"] == "oracle"].iterrows():
        axes.axvspan(row["low"], row["high"], color=arm_colour("oracle"), alpha=0.12, lw=0)


@styled
def fidelity_dots(summary: pd.DataFrame, note: str) -> Drawn:
    """How true every arm is to the object: SSIM, error, and the place of the cavity where read.

    Parameters
    ----------
    summary
        Output of ``lib.evaluation.fidelity.summarise``.
    """
    metrics = [name for name in _FIDELITY if name in set(summary["metric"])]
    shown = summary[summary["metric"].isin(metrics)]
    arms = list(dict.fromkeys(shown["arm"]))
    inside = "inside_ssim" in metrics
    where = "inside the embryo only" if inside else "the whole image: no outline is known"
    detail = f"images against their truth, {where}; bars: 95 % intervals"
    if "cavity_shift" in metrics:
        detail += "; band: the judge of the cavity's own error"
    title = f"How true to the {'embryo' if inside else 'object'}?"
    sheet = titled_sheet(6.9, 0.26 * len(arms) + 0.8, title, note, detail)
    panels = sheet.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        own = shown[shown["metric"] == metric]
        _arm_dots(axes, own, arms)
        axes.set_title(f"{_FIDELITY[metric][0]}, n = {own['n'].max()}", loc="left", size=8)
        axes.set_xlabel(_FIDELITY[metric][1])
        if metric.endswith("shift"):
            _own_error(axes, own)
        least, most = axes.get_xlim()
        axes.set_xlim(left=min(least, -0.04 * most))  # with room for the dot of the truth at 0
    return sheet, shown.copy()


@styled
def hidden_information_dots(table: pd.DataFrame, note: str) -> Drawn:
    """Error of the round trip after each disturbance of the translated image, by arm.

    Parameters
    ----------
    table
        ``lib.evaluation.safety.hidden_information`` with the column arm.
    """
    arms = list(dict.fromkeys(table["arm"]))
    names = list(dict.fromkeys(table["disturbance"]))
    detail = (
        f"n = {table['n'].max()} images; bars: 95 % BCa interval of the mean; dashed: the "
        "undisturbed round trip"
    )
    sheet = titled_sheet(5.0, 2.5, "Is the way back hidden in faint patterns?", note, detail)
    axes = sheet.subplots()
    for i, arm in enumerate(arms):
        own = table[table["arm"] == arm].set_index("disturbance").loc[names]
        x = np.arange(len(names)) + 0.12 * (i - (len(arms) - 1) / 2)
        colour = arm_colour(arm)
        axes.vlines(x, own["low"], own["high"], color=colour, lw=1.2)
        axes.plot(x, own["value"], "o", color=colour, ms=4.5, label=arm_name(arm))
        axes.axhline(own["value"].iloc[0], color=colour, lw=0.7, ls=(0, (4, 3)))
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("disturbance (noise: SD in grey levels; JPEG: quality)")
    axes.set_ylabel("round-trip error (grey levels)")
    sheet.legend(loc="outside lower center", ncols=len(arms))
    return sheet, table.copy()


@styled
def risk_coverage_plot(table: pd.DataFrame, note: str, kept: float, n: int) -> Drawn:
    """Share of wrong calls against the share of images that are kept.

    Parameters
    ----------
    table
        Output of ``lib.evaluation.safety.risk_coverage``.
    kept
        Coverage at the gate's threshold, drawn as a line.
    n
        Number of images.
    """
    detail = (
        f"n = {n} images, least doubtful first; bands: 95 % bootstrap over images; dotted: where "
        "the gate's threshold lies"
    )
    sheet = titled_sheet(4.6, 2.8, "Leave or translate", note, detail)
    axes = sheet.subplots()
    for name, own in table.groupby("doubt", sort=False):
        colour = _DOUBT_COLOURS[name]
        axes.fill_between(own["coverage"], own["low"], own["high"], color=colour, alpha=0.12, lw=0)
        axes.plot(own["coverage"], own["risk"], color=colour, label=name)
    axes.axvline(kept, color="#222222", lw=0.9, ls=(0, (2, 2)))
    axes.set(xlabel="coverage (share of images kept)", ylabel="risk (share of wrong calls)")
    axes.set_xlim(0.08, 1.02)
    axes.set_ylim(bottom=0)
    sheet.legend(loc="outside lower center", ncols=3)
    return sheet, table.copy()


@styled
def prior_stress_plot(
    flips: pd.DataFrame, source_share: float, note: str,
    label_names: Mapping[int, str] = LABEL_NAMES,
) -> Drawn:  # fmt: skip
    """Flipped calls against the share of positives that the translator was trained with.

    Parameters
    ----------
    flips
        ``lib.evaluation.safety.label_flips`` with the column share.
    source_share
        Share of positives in the source domain, drawn as a line: no mismatch there.
    """
    counts = flips.groupby("label")["n"].max()
    words = ", ".join(f"{counts[label]} {label_names[label]}" for label in counts.index)
    detail = f"n = {words}; bars: 95 % Wilson interval; dotted: share in the source domain"
    sheet = titled_sheet(4.6, 2.6, "Translators trained on another mix of classes", note, detail)
    axes = sheet.subplots()
    for label, style in enumerate(_CLASS_STYLES):
        own = flips[flips["label"] == label].sort_values("share")
        x = own["share"] + (0.008 if label else -0.008)
        axes.vlines(x, own["low"], own["high"], color=style["color"], lw=1.2)
        axes.plot(x, own["value"], marker="o", ms=4.5, label=label_names[label], **style)
    axes.axvline(source_share, color="#222222", lw=0.9, ls=(0, (2, 2)))
    axes.set_xlabel("share of positives among the target images it saw")
    axes.set_ylabel("share of flipped calls")
    axes.set_ylim(bottom=0)
    sheet.legend(loc="outside lower center", ncols=2)
    return sheet, flips.copy()
