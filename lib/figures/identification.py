"""Which losses know an object across devices, drawn."""

from __future__ import annotations

import pandas as pd

from lib.figures.style import NEUTRAL, Drawn, styled, titled_sheet

_AXES = {
    "first": "share of photographs whose own truth is nearest",
    "ratio": "own loss / mean loss to all",
}


@styled
def identification_dots(table: pd.DataFrame, note: str, title: str) -> Drawn:
    """Every loss: how often it finds the object again, and how much smaller its own loss is.

    Parameters
    ----------
    table
        Output of ``lib.evaluation.identification.identification``.

    Returns
    -------
    The figure, and ``table``.
    """
    count = int(table["n"].max())
    ratio = table[table["measure"] == "ratio"].sort_values("value")
    losses = ratio["loss"].tolist()
    detail = f"n = {count} objects, each by two devices; bar: 95 % interval; dashed: by chance"
    sheet = titled_sheet(6.9, 0.24 * len(losses) + 0.7, title, note, detail)
    for axes, (measure, name) in zip(sheet.subplots(1, 2, sharey=True), _AXES.items(), strict=True):
        rows = table[table["measure"] == measure].set_index("loss").loc[losses]
        for y, row in enumerate(rows.itertuples()):
            axes.plot([row.low, row.high], [y, y], color=NEUTRAL, lw=1.6)
            axes.plot(row.value, y, "o", color=NEUTRAL, ms=5)
        axes.axvline(1 / count if measure == "first" else 1.0, color=NEUTRAL, ls="--", lw=0.9)
        axes.set_xlabel(name)
        axes.set_xlim(left=-0.03)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(losses)), [loss.replace("_", " ") for loss in losses])
    axes.set_ylim(len(losses) - 0.5, -0.5)
    return sheet, table.copy()


def identification_words(table: pd.DataFrame) -> str:
    """What ``lib.evaluation.identification.identification`` says of every loss, in a sentence."""
    rows = table.pivot(index="loss", columns="measure", values=["value", "low", "high"])
    count = int(table["n"].max())
    known = rows[rows["low", "first"] > 0.5].sort_values(("value", "ratio"))
    blind = rows[rows["low", "first"] <= 1 / count].sort_values(("value", "ratio"))
    between = rows.drop(index=[*known.index, *blind.index]).sort_values(("value", "ratio"))

    def named(part: pd.DataFrame) -> str:
        return ", ".join(
            f"{name.replace('_', ' ')} ({value:.0%})"
            for name, value in part["value", "first"].items()
        )

    sentences = [
        (known, "Find most of {count} objects again, the surest first: {names}."),
        (between, "Find some: {names}."),
        (blind, "Are no better than chance, and cannot keep an object: {names}."),
    ]
    return " ".join(
        text.format(count=count, names=named(part)) for part, text in sentences if len(part)
    )
