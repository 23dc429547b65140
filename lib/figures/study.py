"""The factorial of texture losses: a forest of differences, and its answer in words."""

from __future__ import annotations

import itertools

import pandas as pd
from scipy.stats import spearmanr

from lib.evaluation.loss_comparison import Cell
from lib.evaluation.relevance import BETTER, SAME, UNDECIDED, WORSE, smallest
from lib.figures.style import NEUTRAL, Drawn, styled, titled_sheet

_PANELS = {
    ("auc", "blurred"): "AUC, blurred",
    ("auc", "sharp"): "AUC, sharp",
    ("inside_ssim", ""): "SSIM inside",
    ("cavity_invented", ""): "cavity invented",
    ("icm_erased", ""): "ICM erased",
}
PUBLISHED_CELL = Cell("published", "efficientnet", "linear")
_COLOURS = {BETTER: "#0072B2", WORSE: "#D55E00", SAME: NEUTRAL, UNDECIDED: "#111111"}


def _shown(differences: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows of every panel that there are any of."""
    found, readers = {}, differences["reader"].fillna("")  # a kept table has no empty text
    for (metric, reader), title in _PANELS.items():
        own = differences[(differences["metric"] == metric) & (readers == reader)]
        if own["difference"].notna().any():
            found[title] = own
    return found


def _loss_of(arm: str) -> str:
    """The texture loss in the name of a cell: between its constraint and its dose or rule."""
    return "_".join(arm.split("_")[1:-1])


@styled
def study_forest(differences: pd.DataFrame, note: str, title: str) -> Drawn:
    """What each texture loss changes under each constraint, beside the band that does not matter.

    Parameters
    ----------
    differences
        First output of ``lib.evaluation.loss_comparison.train_study``.

    Returns
    -------
    The figure, and the rows of ``differences`` it shows.
    """
    panels = _shown(differences)
    arms = list(dict.fromkeys(differences["arm"]))
    detail = (
        f"minus the same translator without a texture loss, trainings of each: "
        f"{differences['seeds'].max()}; bars: 95 % intervals; grey band: no difference "
        "that matters; blue: better, red: worse, grey: the same, black: undecided"
    )
    sheet = titled_sheet(6.9, 0.145 * len(arms) + 0.7, title, note, detail)
    grid = sheet.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, own) in zip(grid, panels.items(), strict=True):
        band = abs(smallest(own["metric"].iloc[0]))
        axes.axvspan(-band, band, color=NEUTRAL, alpha=0.2, lw=0)
        for row in own.itertuples():
            y, colour = arms.index(row.arm), _COLOURS[row.verdict]
            axes.plot([row.low, row.high], [y, y], color=colour, lw=1.1)
            axes.plot(row.difference, y, "o", color=colour, ms=2.8)
        axes.set_title(name, loc="left", size=7)
        axes.grid(axis="y", visible=False)
        axes.tick_params(labelsize=6)
        axes.locator_params(axis="x", nbins=4)
    starts = [arm.split("_")[0] for arm in arms]
    for before, (one, other) in enumerate(itertools.pairwise(starts)):
        if one != other:
            for axes in grid:
                axes.axhline(before + 0.5, color=NEUTRAL, lw=0.6)
    grid[0].set_yticks(range(len(arms)), [arm.replace("_", " ") for arm in arms])
    grid[0].set_ylim(len(arms) - 0.5, -0.5)
    return sheet, pd.concat(panels.values(), ignore_index=True)


def study_answer(differences: pd.DataFrame) -> str:
    """Markdown: in a line for each measure, which of the losses help and which harm.

    ``differences`` is the first output of ``lib.evaluation.loss_comparison.train_study``; a loss
    counts as often as it is used in other ways.
    """
    told = {
        "AUC, blurred": "how well the translated hold-out is read",
        "SSIM inside": "likeness to the truth inside the embryo",
    }
    lines = []
    for name, own in _shown(differences).items():
        if name not in told:
            continue
        parts = []
        for verdict in (BETTER, WORSE):
            losses = own.loc[own["verdict"] == verdict, "arm"].map(_loss_of)
            counts = losses.value_counts()
            which = ", ".join(f"{loss.replace('_', ' ')} {count}" for loss, count in counts.items())
            parts.append(f"{verdict} in **{len(losses)}**" + (f" ({which})" if which else ""))
        rest = (own["verdict"] == SAME).sum(), (own["verdict"] == UNDECIDED).sum()
        lines.append(
            f"- {name}, {told[name]}: of {len(own)} ways to use a texture loss, each against none "
            f"in {own['seeds'].max()} trainings, {parts[0]}, {parts[1]}, the same in {rest[0]}, "
            f"undecided in {rest[1]}."
        )
    published = differences[
        (differences["arm"] == PUBLISHED_CELL.name)
        & (differences["metric"] == "auc")
        & (differences["reader"] == "blurred")
    ]
    for row in published.itertuples():
        lines.append(
            f"- The published loss with its published rule, under the published weights: AUC "
            f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}], {row.verdict}."
        )
    return "\n".join(lines)


def study_words(differences: pd.DataFrame, known: pd.DataFrame | None, constraint: str) -> str:
    """Markdown: how many texture losses help and harm, and whether knowing the object foretells it.

    Parameters
    ----------
    differences
        First output of ``lib.evaluation.loss_comparison.train_study``.
    known
        Output of ``lib.evaluation.identification.identification``; None where there is no truth.
    constraint
        Whose gains in likeness are held against it.
    """
    lines = []
    for name, own in _shown(differences).items():
        counts = own["verdict"].value_counts()
        told = ", ".join(f"{word} {counts.get(word, 0)}" for word in _COLOURS)
        line = f"- {name}, {len(own)} ways to use a texture loss, each against none: {told}."
        for verdict in (BETTER, WORSE):
            arms = own.loc[own["verdict"] == verdict, "arm"].str.replace("_", " ")
            if len(arms):
                line += f" {verdict.capitalize()}: {', '.join(arms)}."
        lines.append(line)
    ssim = differences[differences["metric"] == "inside_ssim"].set_index("arm")["difference"]
    if known is not None and len(ssim):
        ratio = known[known["measure"] == "ratio"].set_index("loss")["value"]
        gains = {loss: ssim.get(Cell(constraint, loss).name) for loss in ratio.index}
        both = pd.DataFrame(dict(ratio=ratio, gain=pd.Series(gains, dtype=float))).dropna()
        found = spearmanr(both["ratio"], both["gain"])
        lines.append(
            f"- Own loss over mean loss, known before any training, and the gain in SSIM under "
            f"the {constraint} constraint: Spearman's rho {found.statistic:+.2f} over {len(both)} "
            f"losses (p = {found.pvalue:.2g}); -1 would mean that the one foretells the other."
        )
    lines.append("- Not corrected for the number of ways: of those without effect some come out.")
    return "\n".join(lines)
