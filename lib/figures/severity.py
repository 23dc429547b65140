"""Phones from mild to harsh: where a translation helps, and where it harms."""

from __future__ import annotations

import pandas as pd

from lib.evaluation.relevance import BETTER, MATTERS, SAME, UNDECIDED, WORSE
from lib.figures.style import NEUTRAL, Drawn, arm_colour, arm_name, styled, titled_sheet


@styled
def severity_curves(
    table: pd.DataFrame, differences: pd.DataFrame, note: str, title: str,
    published: float | None = None,
) -> Drawn:  # fmt: skip
    """AUC of every arm against the severity, and its gain over the untouched image against that.

    Parameters
    ----------
    table, differences
        Output of ``lib.evaluation.transfer.by_severity``.
    published
        AUC of untouched real images, drawn as a line.

    Returns
    -------
    The figure, and ``differences`` of the AUC.
    """
    auc = table[table["metric"] == "auc"]
    gains = differences[differences["metric"] == "auc"]
    detail = (
        f"n = {auc['n'].max()} images at each severity; severity 1: the phone of the other "
        "figures; bars and bands: 95 % intervals; grey: no difference that matters"
    )
    sheet = titled_sheet(6.9, 2.9, title, note, detail)
    left, right = sheet.subplots(1, 2)
    for arm, own in auc.groupby("arm", sort=False):
        colour = arm_colour(arm)
        left.fill_between(own["severity"], own["low"], own["high"], color=colour, alpha=0.15, lw=0)
        left.plot(own["severity"], own["value"], "o-", color=colour, ms=3, label=arm_name(arm))
    left.set(xlabel="severity of the phone", ylabel="AUC")
    matters = MATTERS["auc"]
    right.axhspan(-matters, matters, color=NEUTRAL, alpha=0.2, lw=0)
    for arm, own in gains.sort_values("untouched").groupby("arm", sort=False):
        colour = arm_colour(arm)
        right.vlines(own["untouched"], own["low"], own["high"], color=colour, lw=1)
        right.plot(own["untouched"], own["difference"], "o-", color=colour, ms=3)
    if published is not None:
        right.axvline(published, color=NEUTRAL, ls="--", lw=0.9)
        right.text(published, right.get_ylim()[1], "published ", color=NEUTRAL, size=7, ha="right",
                   va="top")  # fmt: skip
    right.set(xlabel="AUC of the untouched image", ylabel="gain in AUC")
    lines, names = left.get_legend_handles_labels()
    sheet.legend(lines, names, loc="outside lower center", ncols=len(names))
    return sheet, gains.copy()


def severity_words(differences: pd.DataFrame, arm: str, published: float | None) -> str:
    """Markdown: from which shift on ``arm`` helps, and where it harms, by the AUC.

    Parameters
    ----------
    differences
        Second output of ``lib.evaluation.transfer.by_severity``.
    published
        AUC of untouched real images; the severity nearest to it is named. None: not known.
    """
    own = differences[(differences["arm"] == arm) & (differences["metric"] == "auc")]
    own = own.sort_values("severity")
    lines = []
    for verdict, words in (
        (BETTER, "is read better than the untouched image"),
        (SAME, "makes no difference that matters"),
        (WORSE, "**is read worse**"),
        (UNDECIDED, "cannot be told"),
    ):
        rows = own[own["verdict"] == verdict]
        if len(rows):
            at = ", ".join(f"{row.severity:g} ({row.untouched:.3f})" for row in rows.itertuples())
            lines.append(f"- {arm_name(arm)} {words} at severity (untouched AUC): {at}.")
    if published is not None:
        row = own.loc[(own["untouched"] - published).abs().idxmin()]
        lines.append(
            f"- The published untouched AUC is {published:.3f}; nearest is severity "
            f"{row['severity']:g} with {row['untouched']:.3f}, and the gain there is "
            f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]: "
            f"{row['verdict']}."
        )
    return "\n".join(lines)


def published_untouched(published: pd.DataFrame) -> float | None:
    """The highest AUC that is published for images of a domain as they are; None where none is.

    ``published``: columns published_as, auc, as ``run.published("adaptation", domain)`` gives them.
    """
    if published.empty:
        return None
    untouched = published["published_as"].str.contains("not translated|not adapted")
    return float(published.loc[untouched, "auc"].max()) if untouched.any() else None
