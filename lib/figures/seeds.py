"""Figures of several trainings: every one of them, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lib.evaluation.repeats import Choice
from lib.figures.style import (
    ARM_COLOURS,
    METRIC_NAMES,
    NEUTRAL,
    Drawn,
    arm_colour,
    arm_name,
    interval_text,
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
    detail = (
        f"n = {over['n'].max()} images, {over['seeds'].max()} trainings; hollow: one training; "
        "bar: 95 % interval over images and trainings; threshold frozen on source validation"
    )
    return _dots(over, single, note, title, detail)


@styled
def division_dots(over: pd.DataFrame, single: pd.DataFrame, note: str, title: str) -> Drawn:
    """The same of several divisions of the images: a hollow dot a division.

    Parameters
    ----------
    over
        Output of ``lib.evaluation.repeats.metrics_over_divisions``; where an arm has no interval,
        none is drawn.
    single
        Output of ``lib.evaluation.repeats.metrics_by_division``.

    Returns
    -------
    The figure, and the rows of ``over`` it shows.
    """
    detail = (
        f"n = {over['n'].max()} images a hold-out, {over['seeds'].max()} divisions, each trained "
        "anew; hollow: one division; bar: 95 % interval, corrected for shared images (Nadeau & "
        "Bengio 2003); threshold frozen on source validation"
    )
    return _dots(over, single, note, title, detail)


def _dots(over: pd.DataFrame, single: pd.DataFrame, note: str, title: str, detail: str) -> Drawn:
    names = ["auc", "balanced_accuracy"]
    arms = list(dict.fromkeys(over["arm"]))
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


def choice_words(choice: Choice) -> str:
    """Markdown: the best arm without target labels, its equals, and what its choice flatters.

    ``choice``: output of ``lib.evaluation.repeats.choose_without_labels`` by balanced accuracy.
    """
    found = choice.differences
    # An arm without an interval is not told apart either.
    apart = (found["low"] > 0) | (found["high"] < 0)
    equals = ", ".join(arm_name(arm) for arm in found.loc[~apart, "arm"]) or "no other arm"
    times = choice.nested["arm"].value_counts()
    chosen = ", ".join(f"{arm_name(arm)} {count} x" for arm, count in times.items())
    return "\n".join([
        f"- Of the {len(choice.arms)} arms that need no target labels, **{arm_name(choice.arm)}** "
        f"has the highest mean balanced accuracy over {choice.mean['seeds']} divisions: "
        f"{_mean(choice.mean)}. The best of many, chosen on the divisions that judge it: that "
        "flatters it.",
        "- Not told apart from it, the interval of the paired difference holding 0 or unknown: "
            f"{equals}.",
        f"- **Nested**, each division judging the arm that is best on the others ({chosen}): "
        f"{_mean(choice.honest)}. Hold-outs share images, so a little of the flattery stays.",
    ])  # fmt: skip


def _mean(found: Mapping[str, float]) -> str:
    if pd.isna(found["low"]):
        return f"{found['value']:.3f} (no interval)"
    return interval_text(found)
