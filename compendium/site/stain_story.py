"""What a run of the stain study found, for the first page."""

from __future__ import annotations

from collections.abc import Iterator

from compendium.field_results import stain_results
from compendium.site.arm_table import arm_table
from compendium.site.markup import PERCENT
from compendium.site.run import SiteRun
from lib.figures.stain_words import control_words, gap_words, random_words, texture_words
from lib.figures.stains import stain_arm_name


def stain_found(run: SiteRun) -> Iterator[str]:
    """Markdown, part by part: sentences, and the table of all arms."""
    scores, arms, home = stain_results(run.folder)
    yield (
        f"Profile {run.profile}, {run.images}. Thresholds are frozen on validation images of what "
        f"each detector learnt from. Intervals (in brackets) are {PERCENT}.\n"
    )
    yield gap_words(scores, arms, home) + "\n"
    yield control_words(scores, arms) + "\n"
    yield "Texture and structure losses, CUT, a mean of all:\n\n" + texture_words(scores) + "\n"
    yield "Detectors under changed stains:\n\n" + random_words(scores, arms) + "\n"
    yield f"### Every arm, {run.images}\n"
    measures = {"f1": "F1 of centroids", "pq": "panoptic quality", "count_error": "count error"}
    yield arm_table(arms, measures, stain_arm_name, run.images) + "\n"
