"""What a run of the cell study found, for the first page."""

from __future__ import annotations

from collections.abc import Iterator

from compendium.field_results import cell_results
from compendium.site.arm_table import arm_table
from compendium.site.markup import PERCENT
from compendium.site.run import SiteRun
from lib.figures.cell_words import gap_words, published_words, texture_words, translation_words
from lib.figures.cells import cell_arm_name


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
    measures = {"dice": "Dice", "average_precision": "average precision"}
    yield arm_table(arms, measures, cell_arm_name, run.images) + "\n"
