"""Figures of the reader study: how images of every kind were rated and judged, and agreement."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from compendium.reader_study.agreement import ALL
from lib.figures.style import (
    NEUTRAL,
    Drawn,
    arm_colour,
    arm_name,
    domain_colour,
    styled,
    titled_sheet,
)

_PANELS = {
    "rating": ("mean quality (1 poor, 5 excellent)", (0.9, 5.1)),
    "judged real": ("share judged {}", (-0.03, 1.03)),
    "call sensitivity": ("sensitivity: {}", (-0.03, 1.03)),
    "call specificity": ("specificity: {}", (-0.03, 1.03)),
}
_QUESTIONS = {"quality": "quality", "judged_real": "device or translator", "called": "label"}


@styled
def reader_dots(
    table: pd.DataFrame, kinds_real: dict[str, bool], note: str, label_names: list[str]
) -> Drawn:
    """Ratings and judgements by kind: a hollow dot a reader, a bar over all with its interval.

    Parameters
    ----------
    table
        Output of ``compendium.reader_study.agreement.estimates``.
    kinds_real
        Every kind, and whether its images are as a device took them.
    label_names
        Of label 0 and 1.

    Returns
    -------
    The figure, and the rows of ``table`` it shows.
    """
    real = "raw" if note.startswith("synthetic") else "real"
    words = {"judged real": real, "call sensitivity": label_names[1],
             "call specificity": label_names[0]}  # fmt: skip
    drawn = table[table["quantity"].isin(_PANELS) & (table["kind"] != ALL)]
    readers = drawn["readers"].max()
    whole = drawn[drawn["reader"] == ALL]
    images = whole.groupby("quantity")["images"].max()
    over = "readers and images" if readers > 1 else "images, of one reader alone"
    detail = (
        f"n = {images['rating']} images of a kind, half of either label, {readers} reader(s); "
        f"hollow: one reader; bar: 95 % interval over {over}"
    )
    sheet = titled_sheet(
        6.9, 2 * (0.26 * len(kinds_real) + 0.62), "What readers said", note, detail
    )
    grid = sheet.subplots(2, 2, sharey=True)
    for axes, (quantity, (label, limits)) in zip(grid.ravel(), _PANELS.items(), strict=True):
        own = drawn[drawn["quantity"] == quantity]
        for y, (kind, is_real) in enumerate(kinds_real.items()):
            colour = domain_colour(kind) if is_real else arm_colour(kind)
            _bar(axes, own[own["kind"] == kind], y, colour)
        axes.set_xlabel(label.format(words.get(quantity)))
        axes.set_xlim(*limits)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    names = [f"{kind}, {real}" if is_real else arm_name(kind)
             for kind, is_real in kinds_real.items()]  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    return sheet, drawn.reset_index(drop=True)


@styled
def agreement_dots(between: pd.DataFrame, within: pd.DataFrame, note: str) -> Drawn:
    """Agreement between and within readers on every question, with its 95 % interval.

    Parameters
    ----------
    between, within
        Outputs of ``agreement.agreement_between`` and ``agreement_within``; either may be empty.

    Returns
    -------
    The figure, and panel, question, reader, value, low, high of what it shows.
    """
    panels = {"between readers": between.assign(reader=ALL), "within a reader": within}
    names = ["panel", "question", "reader", "value", "low", "high"]
    drawn = pd.concat([part.assign(panel=panel)[names] for panel, part in panels.items()])
    pairs = within["pairs"].max() if len(within) else 0
    images = between["images"].min() if len(between) else 0
    detail = (
        f"n = {images} images that all readers judged, {pairs} repeated pairs; hollow: one reader; "
        "bar: 95 % interval over images; 0: chance, 1: always the same"
    )
    sheet = titled_sheet(6.9, 1.35, "Agreement of readers", note, detail)
    for axes, panel in zip(sheet.subplots(1, 2, sharey=True, sharex=True), panels, strict=True):
        own = drawn[drawn["panel"] == panel]
        for y, question in enumerate(_QUESTIONS):
            _bar(axes, own[own["question"] == question], y, "#0072B2")
        axes.axvline(0, color=NEUTRAL, lw=0.8)
        axes.set_title(panel, loc="left")
        axes.set_xlabel("kappa")
        axes.set_xlim(right=1.03)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(_QUESTIONS)), _QUESTIONS.values())
    axes.set_ylim(len(_QUESTIONS) - 0.5, -0.5)
    return sheet, drawn.reset_index(drop=True)


def _bar(axes: Axes, rows: pd.DataFrame, y: int, colour: str) -> None:
    """All readers as a bar with its interval, every one as a hollow dot."""
    whole, each = rows[rows["reader"] == ALL], rows[rows["reader"] != ALL]
    for row in whole.itertuples():
        axes.plot([row.low, row.high], [y, y], color=colour, lw=1.6)
        axes.plot([row.value] * 2, [y - 0.3, y + 0.3], color=colour, lw=2.2)
    axes.plot(each["value"], [y] * len(each), "o", color=colour, mfc="white", ms=3.5, mew=0.8)
