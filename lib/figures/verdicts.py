"""Sentences a notebook prints about its own numbers, the unwelcome ones included."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from engine.progress import progress
from lib.data.parameters import ImageParameters
from lib.evaluation.arms import CONTROLS
from lib.evaluation.decision import CallCounts, decision_values
from lib.evaluation.natural_frequencies import natural_frequencies
from lib.evaluation.relevance import (
    BETTER,
    SAME,
    SEEDS_OF_A_METHOD,
    UNDECIDED,
    WORSE,
    smallest,
    with_verdicts,
)
from lib.evaluation.statistics import aligned, delong, holm, mcnemar, paired_difference
from lib.figures.style import STRUCTURE_NAMES, arm_name, interval_text

_MEASURES = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "inside_ssim": "SSIM inside the embryo",
    "inside_error": "error inside the embryo",
    "ssim": "SSIM of the whole image",
    "error": "error of the whole image",
    "dice": "Dice",
    "invented": "invented",
    "erased": "erased",
    "shift": "place",
}


def differences(
    combined: pd.DataFrame, frozen: Mapping[str, float], arm: str, resamples: int = 2000
) -> pd.DataFrame:
    """``arm`` minus every other arm, on the same images.

    Returns
    -------
    Columns arm (the other one), metric (auc, balanced_accuracy, accuracy), difference, low, high
    (paired BCa), n, test, p (DeLong for the AUC, exact McNemar for the accuracy at the frozen
    thresholds, none for the balanced accuracy), p_holm (corrected over the arms of the table).
    """
    tables = dict(list(combined.groupby("arm", sort=False)))
    rows = []
    for other, table in progress(tables.items(), label="differences"):
        if other == arm:
            continue
        for metric in ("auc", "balanced_accuracy", "accuracy"):
            found = paired_difference(
                table, tables[arm], metric, frozen[other], frozen[arm], resamples
            )
            kept = {key: found[key] for key in ("difference", "low", "high", "n")}
            test, p = _test(metric, *aligned(table, tables[arm]), frozen[other], frozen[arm])
            rows.append(dict(arm=other, metric=metric, **kept, test=test, p=p))
    result = pd.DataFrame(rows)
    return result.assign(p_holm=result.groupby("metric")["p"].transform(holm))


def _test(
    metric: str, a: pd.DataFrame, b: pd.DataFrame, threshold_a: float, threshold_b: float
) -> tuple[str, float]:
    label = a["label"].to_numpy()
    if metric == "auc":
        return "DeLong", delong(label, a["score"], b["score"])["p"]
    if metric == "accuracy":
        right = ((t["score"] >= cut) == label for t, cut in ((a, threshold_a), (b, threshold_b)))
        return "McNemar", mcnemar(*right)["p"]
    return "", float("nan")


def _interval(row: pd.Series, sign: str = "+") -> str:
    if pd.isna(row["low"]):
        return f"{row['difference']:{sign}.3f} (no interval)"
    return f"{row['difference']:{sign}.3f} [{row['low']:{sign}.3f}, {row['high']:{sign}.3f}]"


def _tested(row: pd.Series) -> str:
    p = row.get("p_holm")
    return _interval(row) if pd.isna(p) else f"{_interval(row)}, Holm p {p:.2g}"


def _measure(metric: str) -> str:
    structure, _, measure = metric.rpartition("_")
    name = STRUCTURE_NAMES.get(structure, structure)
    return _MEASURES.get(metric) or f"{name} {_MEASURES[measure]}"


def _whose(seeds: int) -> str:
    """Whom a verdict is about: a method only where several trainings stand behind it."""
    if seeds >= SEEDS_OF_A_METHOD:
        return f"{seeds} trainings"
    if seeds == 1:
        return "This training; of the method it says nothing"
    return "These two trainings; of the method they say nothing"


def _lines(found: pd.DataFrame, heading: str) -> str:
    """A line for each verdict and measure; the arms are named where there are several."""
    seeds = int(found["seeds"].max()) if "seeds" in found else 1
    lines = [f"{heading}. {_whose(seeds)}.", ""]
    several = found["arm"].nunique() > 1
    judged = with_verdicts(found[found["n"] > 0])
    for said in (BETTER, WORSE, SAME, UNDECIDED):
        for metric, part in judged[judged["verdict"] == said].groupby("metric", sort=False):
            each = [
                (f"{arm_name(row['arm'])} " if several else "") + _tested(row)
                for _, row in part.iterrows()
            ]
            matters = f"{_measure(metric)} ({abs(smallest(metric)):g} matters)"
            lines.append(f"- **{said}**, {matters}: {'; '.join(each)}.")
    return "\n".join(lines)


def difference_verdict(found: pd.DataFrame) -> str:
    """Markdown: arms against those they are held against, in terms of what matters.

    ``found``: columns arm, against, metric, difference, low, high, n and, of several trainings,
    seeds; as of ``repeats.differences_over_seeds``, ``repeats.differences_over_divisions`` and
    ``fidelity.compare``.
    """
    parts = []
    for other, rows in found.groupby("against", sort=False):
        arms = rows["arm"].unique()
        who = arm_name(arms[0]) if len(arms) == 1 else "Each"
        parts.append(_lines(rows, f"{who} against {arm_name(other)}"))
    return "\n\n".join(parts)


def control_verdict(found: pd.DataFrame, comparison: pd.DataFrame, arm: str) -> str:
    """Markdown: ``arm`` against each control, and whether a threshold alone would do.

    Parameters
    ----------
    found
        Output of ``differences`` for ``arm``.
    comparison
        Output of ``lib.evaluation.arms.compare_arms``.
    """
    rows = found[found["metric"].isin(_MEASURES) & found["arm"].isin(CONTROLS)]
    lines = _lines(rows, f"{arm_name(arm)} against each control")
    return f"{lines}\n{_threshold_verdict(comparison, arm)}"


def _threshold_verdict(comparison: pd.DataFrame, arm: str) -> str:
    balanced = comparison[comparison["metric"] == "balanced_accuracy"]
    frozen = balanced[(balanced["arm"] == arm) & (balanced["protocol"] == "frozen")].iloc[0]
    untouched = balanced["arm"].isin(["raw", "grey"])
    tuned = balanced[untouched & (balanced["protocol"] == "optimistic")]
    best = tuned.loc[tuned["value"].idxmax()]
    words = "would do as well" if best["value"] >= frozen["value"] else "would not do"
    emphasis = "**" if best["value"] >= frozen["value"] else ""
    return (
        f"- {emphasis}Recalibration alone {words}{emphasis}: the untouched images "
        f"({arm_name(best['arm'])}) at a threshold tuned on the very labels it is judged by, the "
        f"most that any recalibration could give, has balanced accuracy {interval_text(best)}; "
        f"{arm_name(arm)} at its frozen threshold {interval_text(frozen)}."
    )


def texture_verdict(found: pd.DataFrame) -> str:
    """Markdown: what the texture loss does to each metric of a CycleGAN.

    ``found``: output of ``differences`` for the CycleGAN with it, one without it among the others.
    """
    rows = found[found["metric"].isin(_MEASURES) & (found["arm"] == "cyclegan")]
    return difference_verdict(rows.assign(arm="cyclegan_texture", against="cyclegan"))


def judge_words(sight: pd.DataFrame) -> str:
    """Markdown: how well the judge of structures sees, and of which it says nothing.

    ``sight``: output of ``lib.evaluation.fidelity.judge_sight``.
    """
    lines = []
    for structure, rows in sight.groupby("structure", sort=False):
        name = STRUCTURE_NAMES.get(structure, structure)
        if rows["n"].max() == 0:
            lines.append(f"- **{name}: not judged**, no image of the hold-out has one.")
            continue
        told = ", ".join(f"{row['view']} {interval_text(row)}" for _, row in rows.iterrows())
        told = f"Dice {told}, n = {rows['n'].max()}"
        if rows["speaks"].all():
            lines.append(f"- {name}: the judge sees it in the true photographs ({told}).")
        else:
            lines.append(
                f"- **{name}: not judged**, the judge does not see it in the true photographs "
                f"({told}). What it would say of a translation is left out below."
            )
    return "\n".join(lines)


def decision_words(
    counts: CallCounts, prevalence: float | None, arm: str, params: ImageParameters
) -> str:
    """Plain sentences: what happens to 100 embryos of a clinic, and what a call is worth there.

    Parameters
    ----------
    counts
        How the hold-out was called by way of ``arm``.
    prevalence : float
        The clinic's share of positives; None takes that of the hold-out.
    """
    names, (things, positives) = params.label_names, params.counted
    missing = [names[label] for label in (1, 0) if sum(counts.of(label)) == 0]
    if missing:
        return f"Not known: the hold-out has no image of class {missing[0]}."
    table = natural_frequencies(counts, prevalence)
    number = table["count"].astype(int)
    ranges = {row.Index: f"({row.low:.0f} to {row.high:.0f})" for row in table.itertuples()}
    worth = decision_values(counts, prevalence).set_index("metric")
    hit, missed, held = (number[1, call] for call in ("positive", "negative", "stopped"))
    alarm, cleared, held_too = (number[0, call] for call in ("positive", "negative", "stopped"))
    sentences = [
        f"Of {number.sum()} {things}, {number[1].sum()} {are(number[1].sum(), positives)}.",
        f"The gate stops {held} of them." if held else "",
        f"{arm_name(arm)} calls {hit or 'none'} of them {names[1]} and misses {missed or 'none'} "
        f"{ranges[1, 'negative']}.",
        f"Of the {number[0].sum()} {'other' if number[0].sum() == 1 else 'others'} "
        + (f"the gate stops {held_too}; " if held_too else "")
        + f"{alarm or 'none'} {are(alarm)} wrongly called {names[1]} "
        f"{ranges[0, 'positive']}.",
        _worth(names[1], hit, hit + alarm, "PPV", worth.loc["ppv"]),
        _worth(names[0], cleared, cleared + missed, "NPV", worth.loc["npv"]),
        "In brackets: 95 % intervals.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def are(count: int, what: str = "") -> str:
    """``are blastocysts``, of a single one ``is a blastocyst``; ``of class good`` stays."""
    if count != 1:
        return f"are {what}".rstrip()
    plural = what and not what.startswith("of ")
    return (f"is a {what.removesuffix('s')}" if plural else f"is {what}").rstrip()


def _worth(called: str, right: int, count: int, short: str, row: pd.Series) -> str:
    if pd.isna(row["value"]):
        return f"Nothing is called {called}: there is no {short}."
    interval = interval_text(row)
    return f"Of the {count} called {called}, {right or 'none'} rightly so: {short} {interval}."
