"""Sentences a notebook prints about its own numbers, the unwelcome ones included."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from engine.progress import progress
from lib.data.parameters import ImageParameters
from lib.evaluation.arms import CONTROLS
from lib.evaluation.decision import CallCounts, decision_values
from lib.evaluation.natural_frequencies import natural_frequencies
from lib.evaluation.relevance import SEEDS_OF_A_METHOD, smallest
from lib.evaluation.statistics import aligned, delong, holm, mcnemar, paired_difference
from lib.figures.style import STRUCTURE_NAMES, arm_name

_METRICS = {"balanced_accuracy": "balanced accuracy", "auc": "AUC"}


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
    return f"{row['difference']:{sign}.3f} [{row['low']:{sign}.3f}, {row['high']:{sign}.3f}]"


def control_verdict(found: pd.DataFrame, comparison: pd.DataFrame, arm: str) -> str:
    """Markdown: which controls do as well as ``arm``, and whether a threshold alone would.

    Parameters
    ----------
    found
        Output of ``differences`` for ``arm``.
    comparison
        Output of ``lib.evaluation.arms.compare_arms``.
    """
    name = arm_name(arm)
    lines = []
    for metric, label in _METRICS.items():
        rows = found[(found["metric"] == metric) & found["arm"].isin(CONTROLS)]
        equal = rows[(rows["low"] <= 0) & (rows["high"] >= 0)]
        better = rows[rows["high"] < 0]
        for part, words in ((equal, "does as well, within the interval"), (better, "does better")):
            for _, row in part.iterrows():
                lines.append(
                    f"- **{label}: the control {arm_name(row['arm'])} {words}** "
                    f"(difference {_interval(row)})."
                )
        if not len(equal) and not len(better):
            least = rows.loc[rows["difference"].idxmin()]
            lines.append(
                f"- {label}: {name} is ahead of every control; closest is "
                f"{arm_name(least['arm'])} (difference {_interval(least)})."
            )
    lines.append(_threshold_verdict(comparison, arm))
    return "\n".join(lines)


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
        f"most that any recalibration could give, has balanced accuracy {best['value']:.3f} "
        f"[{best['low']:.3f}, {best['high']:.3f}]; {arm_name(arm)} at its frozen threshold "
        f"{frozen['value']:.3f} [{frozen['low']:.3f}, {frozen['high']:.3f}]."
    )


def texture_verdict(found: pd.DataFrame) -> str:
    """Markdown: what the texture loss does to each metric of a CycleGAN.

    ``found``: output of ``differences`` for the CycleGAN with it, one without it among the others.
    """
    lines = []
    for metric, label in _METRICS.items():
        row = found[(found["arm"] == "cyclegan") & (found["metric"] == metric)].iloc[0]
        if row["low"] > 0:
            words = "The texture loss helps"
        elif row["high"] < 0:
            words = "**The texture loss harms**"
        else:
            words = "**No effect of the texture loss can be told from chance here**"
        told = f"{label} against the same translator without it {_interval(row)}"
        lines.append(f"- {words}: {told}.")
    return "\n".join(lines)


def seeds_verdict(found: pd.DataFrame) -> str:
    """Markdown: what several trainings agree on, from ``repeats.differences_over_seeds``."""
    lines = []
    for metric, label in _METRICS.items():
        rows = found[found["metric"] == metric]
        for part, words in (
            (rows[rows["low"] > 0], "ahead of"),
            (rows[rows["high"] < 0], "**behind**"),
            (rows[(rows["low"] <= 0) & (rows["high"] >= 0)], "not told apart from"),
        ):
            for other, group in part.groupby("against", sort=False):
                named = [
                    f"{arm_name(row['arm'])} ({_interval(row)}, Holm p {row['p_holm']:.2g})"
                    for _, row in group.iterrows()
                ]
                lines.append(f"- {label}, {words} {arm_name(other)}: {'; '.join(named)}.")
    return "\n".join(lines)


_FIDELITY = {
    "inside_ssim": "SSIM inside the embryo",
    "inside_error": "error inside the embryo",
    "dice": "Dice",
    "invented": "invented",
    "erased": "erased",
    "shift": "place",
}


def judge_words(own: pd.DataFrame) -> str:
    """Markdown: how well the judge of structures sees, and of which it says nothing.

    ``own``: the judge's own table, see ``lib.evaluation.safety.refuse_blind``.
    """
    lines = []
    for _, row in own.iterrows():
        name = STRUCTURE_NAMES.get(row["structure"], row["structure"])
        if pd.isna(row["value"]):
            lines.append(f"- **{name}: not judged**, no image of the hold-out has one.")
            continue
        told = f"Dice {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}], n = {row['n']}"
        if row["speaks"]:
            lines.append(f"- {name}: the judge sees it in the true photographs ({told}).")
        else:
            lines.append(
                f"- **{name}: not judged**, the judge does not see it in the true photographs "
                f"({told}). What it would say of a translation is left out below."
            )
    return "\n".join(lines)


def fidelity_verdict(found: pd.DataFrame) -> str:
    """Markdown: whether arms are truer to the embryo, in terms of what matters.

    ``found``: output of ``lib.evaluation.fidelity.compare``.
    """
    lines = []
    for (arm, other), rows in found.groupby(["arm", "against"], sort=False):
        seeds = rows["seeds"].max()
        method = seeds >= SEEDS_OF_A_METHOD
        whose = f"{seeds} trainings" if method else "This training; of the method it says nothing"
        lines.append(f"{arm_name(arm)} against {arm_name(other)}. {whose}.\n")
        for said, part in rows.groupby("verdict", sort=False):
            told = [
                f"{_measure(row['metric'])} {_interval(row)}, "
                f"{abs(smallest(row['metric'])):g} matters"
                for _, row in part.iterrows()
                if row["n"]
            ]
            if told:
                lines.append(f"- **{said}**: {'; '.join(told)}.")
    return "\n".join(lines)


def _measure(metric: str) -> str:
    structure, _, measure = metric.rpartition("_")
    name = STRUCTURE_NAMES.get(structure, structure)
    return _FIDELITY.get(metric) or f"{name} {_FIDELITY[measure]}"


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
    interval = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    return f"Of the {count} called {called}, {right or 'none'} rightly so: {short} {interval}."
