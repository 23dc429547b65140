"""Sentences a notebook prints about its own numbers, the unwelcome ones included."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lib.evaluation.statistics import paired_difference
from lib.report.style import arm_name

CONTROLS = ("raw", "grey", "histogram", "fda")


def differences(
    combined: pd.DataFrame, frozen: Mapping[str, float], arm: str, resamples: int = 2000
) -> pd.DataFrame:
    """AUC and balanced accuracy of ``arm`` minus those of every other arm, on the same images.

    Returns
    -------
    Columns arm (the other one), metric, difference, low, high, n: paired BCa intervals.
    """
    tables = dict(list(combined.groupby("arm", sort=False)))
    rows = []
    for other, table in tables.items():
        if other == arm:
            continue
        for metric in ("auc", "balanced_accuracy"):
            found = paired_difference(
                table, tables[arm], metric, frozen[other], frozen[arm], resamples
            )
            kept = {key: found[key] for key in ("difference", "low", "high", "n")}
            rows.append(dict(arm=other, metric=metric, **kept))
    return pd.DataFrame(rows)


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
    for metric, label in (("balanced_accuracy", "balanced accuracy"), ("auc", "AUC")):
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
    lines += _texture_verdict(found, arm)
    return "\n".join(lines)


def _threshold_verdict(comparison: pd.DataFrame, arm: str) -> str:
    balanced = comparison[comparison["metric"] == "balanced_accuracy"]
    frozen = balanced[(balanced["arm"] == arm) & (balanced["protocol"] == "frozen")].iloc[0]
    tuned = balanced[balanced["arm"].isin(CONTROLS) & (balanced["protocol"] == "optimistic")]
    best = tuned.loc[tuned["value"].idxmax()]
    words = "would do as well" if best["value"] >= frozen["value"] else "would not do"
    emphasis = "**" if best["value"] >= frozen["value"] else ""
    return (
        f"- {emphasis}Recalibration alone {words}{emphasis}: the best control "
        f"({arm_name(best['arm'])}) at a threshold tuned on the very labels it is judged by, the "
        f"most that any recalibration could give, has balanced accuracy {best['value']:.3f} "
        f"[{best['low']:.3f}, {best['high']:.3f}]; {arm_name(arm)} at its frozen threshold "
        f"{frozen['value']:.3f} [{frozen['low']:.3f}, {frozen['high']:.3f}]."
    )


def _texture_verdict(found: pd.DataFrame, arm: str) -> list[str]:
    rows = found[(found["arm"] == "cyclegan") & (found["metric"] == "auc")]
    if arm == "cyclegan" or rows.empty:
        return []
    row = rows.iloc[0]
    if row["low"] > 0:
        words = "The texture loss helps"
    elif row["high"] < 0:
        words = "**The texture loss harms**"
    else:
        words = "**No effect of the texture loss can be told from chance here**"
    return [f"- {words}: AUC against the same translator without it {_interval(row)}."]
