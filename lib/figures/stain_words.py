"""Sentences on stain translation, printed from results."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lib.evaluation.stain_arms import (
    ENSEMBLE,
    ORACLE,
    UNTOUCHED,
    UPPER,
    best_of,
    compare_with,
    gap_closed,
)
from lib.figures.comparison_words import told_apart, trainings
from lib.figures.stains import stain_arm_name
from lib.figures.style import interval_text


def gap_words(scores: pd.DataFrame, table: pd.DataFrame, home: Mapping[str, float]) -> str:
    """Markdown: what another stain takes, and what translation brings back.

    Parameters
    ----------
    scores
        Output of ``lib.evaluation.stain_arms.score_arms``.
    table
        Output of ``lib.evaluation.stain_arms.compare_arms`` of it.
    home
        F1 of the source's own hold-out with ``low`` and ``high``.
    """
    f1 = table[table["metric"] == "f1"].set_index("arm")
    lines = [
        f"- At home the detector finds nuclei with F1 {interval_text(home)}; in the other stain, "
        f"untouched, {interval_text(f1.loc[UNTOUCHED])}."
    ]
    bounds = {ORACLE: "The same tissue in the source's stain", UPPER: "Trained on the other stain"}
    lines += [
        f"- {told}: {interval_text(f1.loc[arm])}."
        for arm, told in bounds.items()
        if arm in f1.index
    ]
    upper = next((arm for arm in bounds if arm in f1.index), None)
    for kind, told in (("translators", "translation"), ("adapted detectors", "adapted detector")):
        best = best_of(table, kind)
        closes = ""
        if upper:
            share = gap_closed(scores, best, upper)
            closes = (
                f" It closes {100 * share['value']:.0f} % [{100 * share['low']:.0f}, "
                f"{100 * share['high']:.0f}] of the gap to {stain_arm_name(upper)}."
            )
        lines.append(
            f"- The best {told} {trainings(scores)} is **{stain_arm_name(best)}**: "
            f"{interval_text(f1.loc[best])}.{closes}"
        )
    lines.append("- The best of several, chosen on the fields that judge it: that flatters it.")
    return "\n".join(lines)


def _against(scores: pd.DataFrame, arm: str, others: list[str]) -> list[str]:
    rows = [compare_with(scores, other, [arm]).iloc[0] for other in others]
    return [
        f"- {told_apart(stain_arm_name(arm), stain_arm_name(other), row)}."
        for other, row in zip(others, rows, strict=True)
    ]


def control_words(scores: pd.DataFrame, table: pd.DataFrame) -> str:
    """Markdown: whether the best translation beats every colour control, corrected for their
    number (Holm)."""
    best = best_of(table, "translators")
    controls = list(dict.fromkeys(table.loc[table["kind"] == "colour controls", "arm"]))
    compared = compare_with(scores, best, controls)
    beaten = (compared["high"] < 0) & (compared["p_holm"] < 0.05)
    verdict = f"**{stain_arm_name(best)}** beats all {len(controls)} colour controls"
    if not beaten.all():
        left = ", ".join(stain_arm_name(arm) for arm in compared.loc[~beaten, "arm"])
        verdict = f"**{stain_arm_name(best)}** does not beat every colour control: {left}"
    closest = compared.loc[compared["difference"].idxmax()]
    return (
        f"{verdict} (Holm). The closest, {stain_arm_name(closest['arm'])}, differs by "
        f"{closest['difference']:+.3f} [{closest['low']:+.3f}, {closest['high']:+.3f}]."
    )


def texture_words(scores: pd.DataFrame) -> str:
    """Markdown: whether texture or structure losses, CUT, or a mean of all keep nuclei better."""
    there = set(scores["arm"])
    arms = ("cyclegan_mind", "cyclegan_structure", "cut", ENSEMBLE)
    return "\n".join(
        line for arm in arms if arm in there for line in _against(scores, arm, ["cyclegan"])
    )


def random_words(scores: pd.DataFrame, table: pd.DataFrame) -> str:
    """Markdown: whether translation beats detectors that learnt under changed stains."""
    rivals = list(dict.fromkeys(table.loc[table["kind"] == "adapted detectors", "arm"]))
    return "\n".join(_against(scores, best_of(table, "translators"), rivals))


def agreement_words(agreement: pd.DataFrame) -> str:
    """Markdown: which measures of quality rank arms as the F1 of nuclei does.

    ``agreement`` has columns measure, name, value, low, high.
    """

    def named(rows: pd.DataFrame) -> str:
        return (
            ", ".join(
                f"{row.name_} {row.value:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"
                for row in rows.rename(columns={"name": "name_"}).itertuples()
            )
            or "none"
        )

    agree = agreement["low"] > 0
    against = agreement["high"] < 0
    return "\n".join(
        [
            f"- Rank arms as F1 does (rank correlation above 0): {named(agreement[agree])}.",
            f"- Rank them the other way: {named(agreement[against])}.",
            f"- Undecided: {named(agreement[~agree & ~against])}.",
        ]
    )


def index_words(errors: pd.DataFrame, names: Mapping[str, str], limit: float = 0.05) -> str:
    """Markdown: how far the Ki67 index measured in images lies from the truth.

    ``errors`` has columns image, value (measured minus true), low, high; ``names`` say what each
    kind of images is.
    """
    lines = []
    for row in errors.itertuples():
        verdict = "not decided whether within"
        if -limit < row.low and row.high < limit:
            verdict = "within"
        elif row.low > limit or row.high < -limit:
            verdict = "not within"
        lines.append(
            f"- {names[row.image]}: off by {row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}], "
            f"{verdict} {limit:g} of the truth."
        )
    return "\n".join(lines)


def grouped_words(table: pd.DataFrame) -> pd.DataFrame:
    """Table 1 as printed: a row an arm, a column a metric, value [low, high]."""
    text = [interval_text(row._asdict()) for row in table.itertuples(index=False)]
    names = table["arm"].map(stain_arm_name)
    return table.assign(text=text, name=names).pivot_table(
        "text", ["kind", "name"], "metric", "first", sort=False
    )
