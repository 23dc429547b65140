"""Figures of several trainings: every one of them, and what they say together."""

from __future__ import annotations

import pandas as pd

from lib.figures.style import (
    ARM_COLOURS,
    METRIC_NAMES,
    NEUTRAL,
    Drawn,
    arm_colour,
    arm_name,
    styled,
    titled_sheet,
)


@styled
def seed_dots(over: pd.DataFrame, single: pd.DataFrame, note: str, title: str) -> Drawn:
    """AUC and balanced accuracy of every arm: a hollow dot a seed, mean and 95 % interval.

    Parameters
    ----------
    over
        Output of ``lib.evaluation.repeats.metrics_over_seeds``.
    single
        Output of ``lib.evaluation.repeats.metrics_by_seed``.

    Returns
    -------
    The figure, and the rows of ``over`` it shows.
    """
    names = ["auc", "balanced_accuracy"]
    arms = list(dict.fromkeys(over["arm"]))
    detail = (
        f"n = {over['n'].max()} images, {over['seeds'].max()} trainings; hollow: one training; "
        "bar: 95 % interval over images and trainings; threshold frozen on source validation"
    )
    sheet = titled_sheet(6.9, 0.26 * len(arms) + 0.8, title, note, detail)
    for axes, metric in zip(sheet.subplots(1, 2, sharey=True), names, strict=True):
        rows = over[over["metric"] == metric].set_index("arm")
        for y, arm in enumerate(arms):
            # Of a dozen variants of one method some would share a colour that means nothing.
            colour = arm_colour(arm) if set(arms) & set(ARM_COLOURS) else NEUTRAL
            each = single.loc[single["arm"] == arm, metric]
            axes.plot(rows.loc[arm, ["low", "high"]], [y, y], color=colour, lw=1.6)
            axes.plot(each, [y] * len(each), "o", color=colour, mfc="white", ms=3.5, mew=0.8)
            axes.plot([rows.loc[arm, "value"]] * 2, [y - 0.3, y + 0.3], color=colour, lw=2.2)
        axes.set_xlabel(METRIC_NAMES[metric])
        axes.margins(x=0.06)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(arms)), [arm_name(arm) for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    return sheet, over[over["metric"].isin(names)].copy()
