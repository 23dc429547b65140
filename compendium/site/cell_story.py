"""What a run of the cell study found, for the first page."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from compendium.cell_results import cell_results
from compendium.site.markup import PERCENT, escaped, table
from compendium.site.run import SiteRun
from lib.figures.cell_words import gap_words, published_words, texture_words, translation_words
from lib.figures.cells import cell_arm_name
from lib.figures.style import interval_text


def cells_found(run: SiteRun) -> Iterator[str]:
    """Markdown, part by part: sentences, and the table of all arms."""
    scores, arms, home = cell_results(run.folder)
    yield (
        f"Profile {run.profile}, {run.images}. Thresholds are frozen on validation images of what "
        f"each network learnt from. Intervals (in brackets) are {PERCENT}.\n"
    )
    yield gap_words(scores, arms, home) + "\n"
    yield translation_words(scores, arms) + "\n"
    yield "Texture and structure losses:\n\n" + texture_words(scores) + "\n"
    yield published_words(scores, arms) + "\n"
    yield f"### Every arm, {run.images}\n"
    yield _arms(arms, run.images) + "\n"


def _arms(arms: pd.DataFrame, images: str) -> str:
    values = {(row["arm"], row["metric"]): row for row in arms.to_dict("records")}
    rows = []
    for (arm, metric), dice in values.items():
        if metric == "dice":
            found = values[arm, "average_precision"]
            rows.append([
                escaped(dice["kind"]), escaped(cell_arm_name(arm)), interval_text(dice),
                interval_text(found), str(dice["n"]), str(dice["seeds"]),
            ])  # fmt: skip
    columns = ["kind", "arm", "Dice", "average precision", "n", "trainings"]
    return table(columns, rows, f"Every arm, {images}")
