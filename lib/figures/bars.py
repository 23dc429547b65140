"""Figures of numbers with intervals: folds, metrics by arm, confusion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from lib.evaluation.metrics import METRICS, PROTOCOLS
from lib.evaluation.statistics import fold_summary
from lib.figures.style import (
    LABEL_NAMES,
    METRIC_NAMES,
    NEUTRAL,
    Drawn,
    arm_colour,
    arm_name,
    styled,
    titled_sheet,
)

_PROTOCOL_NAMES = {
    "frozen": "frozen threshold, from source validation",
    "optimistic": "optimistic threshold, from the labels of these images",
}


@styled
def fold_dots(folds: pd.DataFrame, published: pd.DataFrame | None, note: str) -> Drawn:
    """Table 1 as a figure: one dot a fold, with mean and 95 % t interval of every series.

    Parameters
    ----------
    folds
        Columns series (a classifier, coloured as its arm), fold, and any of ``METRICS``.
    published
        The same columns from a publication, drawn hollow and named as measured on other images;
        None leaves them out.

    Returns
    -------
    The figure, and series, source, metric, mean, sd, cv (percent), low, high, folds.
    """
    parts = [folds.assign(source="ours")]
    if published is not None:
        parts.append(published.assign(source="published"))
    table = pd.concat(parts, ignore_index=True)
    names = [metric for metric in METRICS if metric in table]
    series = list(dict.fromkeys(zip(table["series"], table["source"], strict=True)))
    detail = "dot: one fold; bar: mean and 95 % t interval of the n folds"
    if published is not None:
        detail += "; hollow: published values, measured on other images"
    sheet = titled_sheet(
        6.9, 0.42 * len(series) + 0.75, "Cross-validation of the classifier", note, detail
    )
    drawn = []
    counts = table.groupby(["series", "source"])["fold"].nunique()
    grid = sheet.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axes, metric in zip(grid, names, strict=True):
        for y, (name, source) in enumerate(series):
            chosen = (table["series"] == name) & (table["source"] == source)
            values = table.loc[chosen, metric].dropna().to_numpy()
            if len(values) == 0:
                continue
            colour = NEUTRAL if source == "published" else arm_colour(name)
            summary = fold_summary(values)
            face = "white" if source == "published" else colour
            axes.plot([summary["low"], min(1, summary["high"])], [y, y], color=colour, lw=1.2)
            axes.plot([summary["mean"]] * 2, [y - 0.24, y + 0.24], color=colour, lw=1.8)
            axes.plot(values, np.full(len(values), y), "o", color=colour, mfc=face, ms=4, alpha=0.9)
            drawn.append(dict(series=name, source=source, metric=metric, **summary))
        axes.set_title(METRIC_NAMES[metric].replace(" ", "\n"))
        axes.margins(x=0.15)
        axes.locator_params(axis="x", nbins=2)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.3g}".removeprefix("0"))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
    named = [f"{arm_name(name)}\nn = {counts[name, source]}" for name, source in series]
    grid[0].set_yticks(range(len(series)), named)
    grid[0].set_ylim(len(series) - 0.5, -0.5)
    return sheet, pd.DataFrame(drawn)


@styled
def metric_bars(table: pd.DataFrame, note: str, title: str = "Metrics by arm") -> Drawn:
    """Every metric of every arm with its 95 % interval (Fig. 8).

    Parameters
    ----------
    table
        Columns arm, metric, value, low, high, n, groups, and optionally protocol: one panel for
        each of ``PROTOCOLS`` then.
    """
    table = table if "protocol" in table else table.assign(protocol="frozen")
    arms = list(dict.fromkeys(table["arm"]))
    names = [metric for metric in METRICS if metric in set(table["metric"])]
    protocols = [protocol for protocol in PROTOCOLS if protocol in set(table["protocol"])]
    detail = f"n = {table['n'].max()} images, {table['groups'].max()} groups; 95 % BCa intervals"
    sheet = titled_sheet(6.9, 2.0 * len(protocols) + 0.6, title, note, detail)
    panels = sheet.subplots(len(protocols), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    width = 0.84 / len(arms)
    for axes, protocol in zip(panels, protocols, strict=True):
        for row in table[table["protocol"] == protocol].itertuples():
            place = arms.index(row.arm) - (len(arms) - 1) / 2
            x = names.index(row.metric) + place * width
            axes.bar(x, row.value, 0.9 * width, color=arm_colour(row.arm))
            axes.vlines(x, row.low, row.high, color="white", lw=2)
            axes.vlines(x, row.low, row.high, color="#222222", lw=1)
        axes.axhline(0, color="#555555", lw=0.7)
        axes.set_title(_PROTOCOL_NAMES[protocol], loc="left")
        axes.set_xticks(range(len(names)), [METRIC_NAMES[name] for name in names], size=8)
        axes.set(ylabel="value (1 is perfect)", xlim=(-0.5, len(names) - 0.5))
        axes.set_ylim(min(0, 1.1 * table["low"].min()), 1.02)
        axes.grid(axis="x", visible=False)
        axes.tick_params(axis="x", length=0)
        axes.spines["bottom"].set_visible(False)
    handles = [Line2D([], [], marker="s", ls="", ms=7, color=arm_colour(arm)) for arm in arms]
    sheet.legend(
        handles, [arm_name(arm) for arm in arms], loc="outside lower center",
        ncols=-(-len(arms) // -(-len(arms) // 7)),
        columnspacing=1.2, handletextpad=0.2,
    )  # fmt: skip
    return sheet, table.copy()


@styled
def confusion_panel(
    confusions: Mapping[str, np.ndarray], note: str, label_names: Mapping[int, str] = LABEL_NAMES
) -> Drawn:
    """Confusion matrix of every arm: counts, coloured by the share of the true class.

    Parameters
    ----------
    confusions
        Arm to counts (2, 2); rows are true labels 0 and 1, columns called 0 and 1.

    Returns
    -------
    The figure, and arm, label, called, images, share.
    """
    rows = -(-len(confusions) // 5)
    columns = -(-len(confusions) // rows)  # as full a last row as there can be
    n = int(next(iter(confusions.values())).sum())
    detail = f"n = {n} images; percent of the true class; frozen threshold"
    width = min(6.9, 1.55 * columns + 0.7)
    sheet = titled_sheet(width, 1.5 * rows + 0.45, "Confusion by arm", note, detail)
    grid = sheet.subplots(rows, columns, squeeze=False)
    drawn = []
    for place, axes in enumerate(grid.ravel()):
        if place >= len(confusions):
            axes.set_visible(False)
            continue
        arm, counts = list(confusions.items())[place]
        shares = counts / counts.sum(axis=1, keepdims=True)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for label in (0, 1):
            for called in (0, 1):
                share = shares[label, called]
                ink = "white" if share > 0.68 else "#222222"  # contrast above 4.5 on either side
                axes.text(called, label - 0.09, f"{counts[label, called]}", color=ink, ha="center",
                          va="center", size=10, weight="bold")  # fmt: skip
                axes.text(called, label + 0.22, f"{100 * share:.0f} %", color=ink, ha="center",
                          va="center", size=7)  # fmt: skip
                drawn.append((arm, label, called, int(counts[label, called]), share))
        axes.set_title(arm_name(arm), weight="bold", size=8, pad=5)
        axes.plot([0, 1], [1, 1], color=arm_colour(arm), lw=4, transform=axes.transAxes)
        names = [label_names[0].replace(" ", "\n"), label_names[1].replace(" ", "\n")]
        last = place >= columns * (rows - 1)
        axes.set_xticks([0, 1], names if last else ["", ""], size=6.5)
        axes.set_yticks([0, 1], names if place % columns == 0 else ["", ""], size=6.5)
        axes.set_xlabel("called" if last else "")
        axes.set_ylabel("true" if place % columns == 0 else "")
        axes.tick_params(length=0)
        axes.grid(False)
        axes.spines[:].set_visible(False)
    return sheet, pd.DataFrame(drawn, columns=["arm", "label", "called", "images", "share"])
