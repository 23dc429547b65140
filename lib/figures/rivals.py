"""Arms beside each other: by their groups, by what they cost, and against labels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lib.evaluation.groups import GROUPS, group_of
from lib.figures.style import (
    METRIC_NAMES,
    NEUTRAL,
    Drawn,
    arm_colour,
    arm_name,
    styled,
    titled_sheet,
)
from lib.models.rivals import BOTH

_MEASURES = ("auc", "balanced_accuracy")
# Those that a figure with a line or a panel for each arm shows, where all would be too many.
CENTRAL = (
    "raw", "grey", "recalibrated", "randomised", "cdan_e", "cut", "cyclegan", "cyclegan_texture",
    "simulated", "both_devices", "oracle",
)  # fmt: skip
MOST = 12


def in_figures(arms: Iterable[str]) -> list[str]:
    """All arms, or where they are more than ``MOST`` those of ``CENTRAL``."""
    arms = list(dict.fromkeys(arms))
    return arms if len(arms) <= MOST else [arm for arm in arms if arm in CENTRAL]


def _drawn(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table as ``group_dots`` takes it that these figures draw."""
    table = table[table["protocol"] == "frozen"] if "protocol" in table else table
    return table[table["metric"].isin(_MEASURES)]


@styled
def group_dots(table: pd.DataFrame, note: str, title: str) -> Drawn:
    """AUC and balanced accuracy of every arm with its 95 % interval, arms by their groups.

    Parameters
    ----------
    table
        Columns arm, metric, value, low, high, n, and optionally protocol, of which the frozen
        threshold's rows are drawn, and seeds.

    Returns
    -------
    The figure, and arm, group, metric, value, low, high, n.
    """
    table = _drawn(table)
    table = table.assign(group=table["arm"].map(group_of))
    groups = {
        group: list(dict.fromkeys(table.loc[table["group"] == group, "arm"])) for group in GROUPS
    }
    groups = {group: arms for group, arms in groups.items() if arms}
    seeds = table["seeds"].max() if "seeds" in table else 1
    trainings = f", {seeds} trainings" if seeds > 1 else ""
    detail = f"n = {table['n'].max()} images{trainings}; 95 % intervals; frozen threshold"
    count = sum(map(len, groups.values()))
    sheet = titled_sheet(6.9, 0.21 * count + 0.3 * len(groups) + 0.5, title, note, detail)
    heights = [len(arms) for arms in groups.values()]
    grid = sheet.subplots(
        len(groups), 2, sharex="col", squeeze=False, gridspec_kw=dict(height_ratios=heights)
    )
    for line, (group, arms) in zip(grid, groups.items(), strict=True):
        for axes, metric in zip(line, _MEASURES, strict=True):
            rows = table[table["metric"] == metric].set_index("arm")
            for y, arm in enumerate(arms):
                axes.plot(rows.loc[arm, ["low", "high"]], [y, y], color=arm_colour(arm), lw=1.6)
                axes.plot(rows.loc[arm, "value"], y, "o", color=arm_colour(arm), ms=4.5)
            axes.axvline(rows.loc["grey", "value"], color=NEUTRAL, lw=0.8, ls=(0, (3, 2)))
            axes.set_yticks(range(len(arms)), [arm_name(arm) for arm in arms])
            axes.set_ylim(len(arms) - 0.4, -0.6)
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0, labelleft=axes is line[0])
        line[0].set_title(group, loc="left", size=8)
    for axes, metric in zip(grid[-1], _MEASURES, strict=True):
        axes.set_xlabel(f"{METRIC_NAMES[metric]} (dashed: grey, untouched)")
    columns = ["arm", "group", "metric", "value", "low", "high", "n"]
    return sheet, table[columns].reset_index(drop=True)


@styled
def cost_dots(table: pd.DataFrame, costs: pd.DataFrame, note: str, title: str) -> Drawn:
    """Quality against minutes of training: AUC and balanced accuracy with 95 % intervals.

    Parameters
    ----------
    table
        As of ``group_dots``.
    costs
        Output of ``lib.evaluation.costs.arm_costs``.

    Returns
    -------
    The figure, and arm, group, metric, value, low, high, n, minutes, images_per_second.
    """
    table = _drawn(table)
    drawn = table.merge(costs, on="arm").dropna(subset="minutes")
    drawn = drawn[drawn["minutes"] > 0]
    detail = f"n = {table['n'].max()} images; 95 % intervals; processor time of one training"
    sheet = titled_sheet(6.9, 3.3, title, note, detail)
    arms = list(dict.fromkeys(drawn["arm"]))
    # Arms of one colour differ by their marks.
    colours = [arm_colour(arm) for arm in arms]
    marks = {
        arm: "osv^DPX"[colours[:place].count(colours[place])] for place, arm in enumerate(arms)
    }
    for axes, metric in zip(sheet.subplots(1, 2, sharex=True), _MEASURES, strict=True):
        for row in drawn[drawn["metric"] == metric].itertuples():
            style = dict(color=arm_colour(row.arm), label=arm_name(row.arm))
            axes.plot([row.minutes] * 2, [row.low, row.high], color=style["color"], lw=1)
            axes.plot(row.minutes, row.value, marks[row.arm], ms=5, ls="", **style)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:.0e}"[0] in "25" else "")
        axes.set(xlabel="minutes of training", ylabel=METRIC_NAMES[metric])
    handles, labels = axes.get_legend_handles_labels()
    columns = min(6, -(-len(arms) // -(-len(arms) // 6)))
    sheet.legend(handles, labels, loc="outside lower center", ncols=columns, handletextpad=0.2)
    kept = ["arm", "group", "metric", "value", "low", "high", "n", "minutes", "images_per_second"]
    return sheet, drawn[kept].reset_index(drop=True)


@styled
def label_curve(table: pd.DataFrame, labels: int, note: str, title: str) -> Drawn:
    """What labelled target images buy: the source classifier with none, ten and more, and all.

    Parameters
    ----------
    table
        As of ``group_dots``; lines across are arms without a label.
    labels
        Images that the classifier of both devices knew the labels of.

    Returns
    -------
    The figure, and arm, labels, metric, value, low, high, n.
    """
    table = _drawn(table)
    few = [arm for arm in table["arm"].unique() if arm.startswith("labels_")]
    known = {"grey": 0, **{arm: int(arm.removeprefix("labels_")) for arm in few}, BOTH: labels}
    drawn = table.assign(labels=table["arm"].map(known))
    across = [
        arm for arm in ("cyclegan_texture", "simulated", "oracle") if arm in set(drawn["arm"])
    ]
    detail = f"n = {table['n'].max()} images; 95 % intervals; lines: no label of the target"
    sheet = titled_sheet(6.9, 2.6, title, note, detail)
    for axes, metric in zip(sheet.subplots(1, 2), _MEASURES, strict=True):
        rows = drawn[drawn["metric"] == metric]
        curve = rows.dropna(subset="labels").sort_values("labels")
        places = np.arange(len(curve))
        axes.errorbar(
            places, curve["value"], [curve["value"] - curve["low"], curve["high"] - curve["value"]],
            fmt="o-", color="#333333", ms=4.5, lw=1.2, capsize=2,
        )  # fmt: skip
        for arm in across:
            row = rows[rows["arm"] == arm].iloc[0]
            axes.axhline(row["value"], color=arm_colour(arm), lw=1.3, label=arm_name(arm))
            axes.axhspan(row["low"], row["high"], color=arm_colour(arm), alpha=0.1, lw=0)
        axes.set_xticks(places, [f"{count:.0f}" for count in curve["labels"]])
        axes.set(xlabel="labelled target images", ylabel=METRIC_NAMES[metric])
    sheet.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(across))
    chosen = drawn["labels"].notna() | drawn["arm"].isin(across)
    columns = ["arm", "labels", "metric", "value", "low", "high", "n"]
    return sheet, drawn.loc[chosen, columns].reset_index(drop=True)
