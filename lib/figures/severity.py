"""Other devices and embryos than a translator was made for: where it helps, and where it harms."""

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


@styled
def elsewhere_dots(table: pd.DataFrame, note: str) -> Drawn:
    """How true translations are on embryos and devices that they were not made for.

    Parameters
    ----------
    table
        Output of ``lib.evaluation.transfer.judge_elsewhere``; more rows of that kind may follow.
    """
    ssim = table[table["metric"] == "inside_ssim"]
    places, arms = list(dict.fromkeys(ssim["where"])), list(dict.fromkeys(ssim["arm"]))
    sheet = titled_sheet(6.9, 0.28 * len(places) * len(arms) ** 0.5 + 0.8,
                         "The translators' own phantoms, and others", note,
                         "bars: 95 % intervals over images")  # fmt: skip
    axes = sheet.subplots()
    step = 0.7 / len(arms)
    for i, arm in enumerate(arms):
        own = ssim[ssim["arm"] == arm]
        y = [places.index(where) + step * (i - (len(arms) - 1) / 2) for where in own["where"]]
        axes.hlines(y, own["low"], own["high"], color=arm_colour(arm), lw=1.2)
        axes.plot(own["value"], y, "o", color=arm_colour(arm), ms=4, label=arm_name(arm))
    counts = ssim.groupby("where")["n"].max()
    axes.set_yticks(range(len(places)), [f"{where} (n = {counts[where]})" for where in places])
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("SSIM to the truth, inside the embryo")
    sheet.legend(loc="outside lower center", ncols=len(arms))
    return sheet, ssim.copy()


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
