"""What a run of the cell study found, for the first page."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from compendium.readme import interval_text
from compendium.site.markup import PERCENT, escaped, table
from compendium.site.run import SiteRun
from engine.results import Finished
from lib.evaluation.cell_arms import UNTOUCHED
from lib.figures.cell_words import gap_words, published_words, texture_words, translation_words
from lib.figures.cells import cell_arm_name


def cells_found(run: SiteRun) -> Iterator[str]:
    """Markdown, part by part: sentences, and the table of all arms."""
    (name,) = (path.parent.parent.name for path in run.folder.glob("*/tables/gaps.csv"))
    finished = Finished(name, run.folder / name)
    scores, arms = finished.predictions("fields"), finished.table("table_1")
    home = finished.table("home").set_index("arm").loc[UNTOUCHED]
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
