"""Sentences on cell segmentation, printed from results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from lib.evaluation.cell_arms import (
    ORACLE,
    UNTOUCHED,
    UPPER,
    best_without_labels,
    compare_with,
    gap_closed,
)
from lib.figures.cells import cell_arm_name
from lib.figures.comparison_words import told_apart, trainings
from lib.figures.style import interval_text


def _best(table: pd.DataFrame, kind: str) -> pd.Series | None:
    own = table[(table["metric"] == "dice") & (table["kind"] == kind)]
    return own.loc[own["value"].idxmax()] if len(own) else None


def gap_words(scores: pd.DataFrame, table: pd.DataFrame, home: Mapping[str, float]) -> str:
    """Markdown: what is lost between the microscopes, and what comes back without labels.

    Parameters
    ----------
    scores
        Output of ``lib.evaluation.cell_arms.score_arms``.
    table
        Output of ``lib.evaluation.cell_arms.compare_arms`` of it.
    home
        Mean Dice of the source's own hold-out with ``low`` and ``high``.
    """
    dice = table[table["metric"] == "dice"].set_index("arm")
    best = best_without_labels(table)
    lines = [
        f"- At home the source's U-Net reaches Dice {interval_text(home)}; on the target, "
        f"untouched, {interval_text(dice.loc[UNTOUCHED])}."
    ]
    closes = ""
    if UPPER in dice.index:
        lines.append(f"- Trained on the target's own labels: {interval_text(dice.loc[UPPER])}.")
        share = gap_closed(scores, best)
        closes = (
            f" It closes {100 * share['value']:.0f} % [{100 * share['low']:.0f}, "
            f"{100 * share['high']:.0f}] of the way from untouched to trained on the target."
        )
    if ORACLE in dice.index:
        lines.append(
            f"- The same fields by the source's device: {interval_text(dice.loc[ORACLE])}. What is "
            "then missing to the Dice at home, other cells, particles and a gel take, no "
            "microscope."
        )
    lines.append(
        f"- Of the arms for which nobody draws cells in target images, **{cell_arm_name(best)}** "
        f"is best {trainings(scores)}: {interval_text(dice.loc[best])}.{closes} The best of many, "
        "chosen on the fields that judge it: that flatters it."
    )
    return "\n".join(lines)


def _difference(scores: pd.DataFrame, arm: str, other: str) -> str:
    """In words: how ``arm`` stands to ``other``, paired by field and seed."""
    row = compare_with(scores[scores["arm"].isin([arm, other])], other).iloc[0]
    return told_apart(cell_arm_name(arm), cell_arm_name(other), row)


def translation_words(scores: pd.DataFrame, table: pd.DataFrame) -> str:
    """Markdown: whether translation beat U-Nets trained under random looks."""
    translator = _best(table, "translators")["arm"]
    rivals = [arm for arm in ("randomised", "random_optics") if arm in set(table["arm"])]
    lines = [f"- {_difference(scores, translator, rival)}." for rival in rivals]
    return "\n".join([f"The best translator {trainings(scores)} against random looks:", *lines])


def published_words(scores: pd.DataFrame, table: pd.DataFrame) -> str:
    """Markdown: whether the published order comes back: plain U-Net first, CycleGAN last."""
    published = [
        _best(table[~table["arm"].isin(["unet_pretrained", "random_optics"])], "source images"),
        _best(table, "gradient reversal"),
    ]
    gans = table[
        (table["metric"] == "dice")
        & (table["kind"] == "translators")
        & table["arm"].str.startswith("cyclegan_")
        & ~table["arm"].isin(["cyclegan_mind", "cyclegan_structure"])
    ]
    gan = gans.loc[gans["value"].idxmax(), "arm"]
    arms = [row["arm"] for row in published if row is not None]
    lines = [
        "The published study found its plain U-Net best and CycleGAN worst. Here, best of each:"
    ]
    lines += [f"- {_difference(scores, arm, UNTOUCHED)}." for arm in [*arms, gan]]
    if len(arms) == 2:
        lines.append(f"- {_difference(scores, gan, arms[1])}.")
    return "\n".join(lines)


def texture_words(scores: pd.DataFrame) -> str:
    """Markdown: whether a texture or structure loss keeps masks."""
    arms = [arm for arm in ("cyclegan_mind", "cyclegan_structure") if arm in set(scores["arm"])]
    return "\n".join(f"- {_difference(scores, arm, 'cyclegan')}." for arm in arms)


def count_words(scores: pd.DataFrame, arms: Sequence[str]) -> str:
    """Markdown: how many cells a field has on average, and how many some arms find there."""
    means = scores.groupby("arm")[["cells", "found"]].mean()
    told = ", ".join(f"{cell_arm_name(arm)} {means.loc[arm, 'found']:.1f}" for arm in arms)
    return f"Cells found in a field where {means.loc[arms[0], 'cells']:.1f} are: {told}."


def grouped_words(table: pd.DataFrame) -> pd.DataFrame:
    """Table 1 as printed: a row an arm, a column a metric, value [low, high]."""
    text = [interval_text(row._asdict()) for row in table.itertuples(index=False)]
    names = table["arm"].map(cell_arm_name)
    return table.assign(text=text, name=names).pivot_table(
        "text", ["kind", "name"], "metric", "first", sort=False
    )
