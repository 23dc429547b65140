"""The first page of a run of stains says what that run found."""

import pandas as pd
import pytest

from compendium.readme import REFERENCE, stain_found_text
from compendium.site.run import SiteRun
from compendium.site.stain_story import stain_found

KEPT = REFERENCE / "stain"


@pytest.fixture(scope="module")
def page():
    return "\n".join(stain_found(SiteRun.open(KEPT)))


def test_every_arm_stands_in_its_table_with_its_f1(page):
    (path,) = KEPT.glob("*/tables/table_1.csv")
    table = pd.read_csv(path).query("metric == 'f1'")
    assert len(table) > 12
    for value in table["value"]:
        assert f"{value:.3f} [" in page


def test_it_says_what_the_stain_takes_and_whether_translation_beats_colour_controls(page):
    assert "At home the detector finds nuclei with F1" in page
    assert "of the gap to oracle" in page
    assert "colour control" in page
    assert "(Holm)" in page


def test_the_guide_tells_of_quality_the_index_and_gans():
    told = stain_found_text()
    for part in ("Rank arms as F1 does", "to H&E and back", "SNGAN is the best of the four",
                 "synthetic images do not improve the classifier"):  # fmt: skip
        assert part in told
