"""Every situation as it should be, and the page that says so."""

import re

import pytest

from engine.paths import ROOT
from tests.lib.situations import TRIED, situations, table

SITUATIONS = situations()
PAGE = re.compile(r"<!-- situations -->\n(.*)\n<!-- /situations -->", re.DOTALL)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of what is left out
@pytest.mark.parametrize("one", SITUATIONS, ids=lambda one: one.name)
def test_what_is_seen_is_right(one, tmp_path):
    one.check(tmp_path)


def test_the_page_says_what_these_tests_hold():
    page = (ROOT / "docs" / "images.md").read_text()
    assert PAGE.search(page).group(1).strip() == table()


def test_there_are_many_and_each_says_where_it_was_seen():
    seen = [one.source for one in SITUATIONS if one.source != TRIED]
    assert len(set(seen)) == len(seen) >= 25
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", source) for source in seen)
    names = [one.name for one in SITUATIONS]
    assert len(set(names)) == len(names)
    assert not [one.name for one in SITUATIONS if "|" in one.name + one.right]
