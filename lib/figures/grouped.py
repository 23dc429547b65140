"""Arms below each other by their groups, a column a measure: what the field calls a dot plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from lib.figures.style import NEUTRAL, Drawn, styled, titled_sheet


@styled
def dots_by_group(
    table: pd.DataFrame, measures: Mapping[str, str], colours: Mapping[str, str],
    name_of: Callable[[str], str], untouched: str, unit: str, note: str, title: str,
) -> Drawn:  # fmt: skip
    """Every measure of every arm with its 95 % interval; dashed: that of the arm ``untouched``.

    Parameters
    ----------
    table
        Columns arm, kind, metric, value, low, high, n, groups, seeds.
    measures
        Metric to its name on the axis, a column each.
    colours
        Kind of arms to its colour, in the order of the figure.
    name_of
        Name of an arm as the figure prints it.
    unit
        What was measured and what it belongs to, as "fields of {groups} slides".

    Returns
    -------
    The figure, and the rows of ``table`` that it shows.
    """
    kinds = [kind for kind in colours if kind in set(table["kind"])]
    arms = {kind: list(dict.fromkeys(table.loc[table["kind"] == kind, "arm"])) for kind in kinds}
    count = sum(map(len, arms.values()))
    trainings = f", {table['seeds'].max()} trainings" if table["seeds"].max() > 1 else ""
    detail = (
        f"n = {table['n'].max()} {unit.format(groups=table['groups'].max())}{trainings}; "
        "95 % intervals; dashed: untouched"
    )
    sheet = titled_sheet(6.9, 0.19 * count + 0.28 * len(kinds) + 0.4, title, note, detail)
    heights = [len(arms[kind]) for kind in kinds]
    grid = sheet.subplots(
        len(kinds), len(measures), sharex="col", squeeze=False,
        gridspec_kw=dict(height_ratios=heights),
    )  # fmt: skip
    for line, kind in zip(grid, kinds, strict=True):
        for axes, metric in zip(line, measures, strict=True):
            rows = table[table["metric"] == metric].set_index("arm")
            for y, arm in enumerate(arms[kind]):
                if arm in rows.index:
                    axes.plot(rows.loc[arm, ["low", "high"]], [y, y], color=colours[kind], lw=1.6)
                    axes.plot(rows.loc[arm, "value"], y, "o", color=colours[kind], ms=4)
            if untouched in rows.index:
                axes.axvline(rows.loc[untouched, "value"], color=NEUTRAL, lw=0.8, ls=(0, (3, 2)))
            axes.set_yticks(range(len(arms[kind])), [name_of(arm) for arm in arms[kind]])
            axes.set_ylim(len(arms[kind]) - 0.4, -0.6)
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0, labelleft=axes is line[0])
        line[0].set_title(kind, loc="left", size=8)
    for axes, name in zip(grid[-1], measures.values(), strict=True):
        axes.set_xlabel(name)
    return sheet, table[table["metric"].isin(measures)].reset_index(drop=True)
