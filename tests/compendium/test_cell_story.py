"""The first page of a run of cells says what that run found."""

import pandas as pd
import pytest

from compendium.readme import REFERENCE
from compendium.site.cell_story import cells_found
from compendium.site.cells import _in_words
from compendium.site.run import SiteRun

KEPT = REFERENCE / "cells"


@pytest.fixture(scope="module")
def page():
    return "\n".join(cells_found(SiteRun.open(KEPT)))


def test_every_arm_stands_in_its_table_with_its_dice(page):
    (path,) = KEPT.glob("*/tables/table_1.csv")
    table = pd.read_csv(path).query("metric == 'dice'")
    assert len(table) > 30
    for value in table["value"]:
        assert f"{value:.3f} [" in page


def test_it_says_what_is_lost_and_which_arm_brings_it_back(page):
    assert "At home the source's U-Net reaches Dice" in page
    assert "**random microscopes** is best in this training" in page
    assert "The published study found its plain U-Net best" in page


def test_a_run_of_two_domains_has_names_for_its_figures():
    assert _in_words("fields_gel", dict(source_domain="phase", target_domain="gel")) == "Fields gel"
