"""The README prints kept results and nothing else."""

import json
import re
import shutil

import pandas as pd
import pytest

from compendium.claims.book import load_claims
from compendium.claims.judgement import judge
from compendium.readme import PAGES, REFERENCE, filled, own_devices_text, results_table
from engine.paths import ROOT


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_generated_blocks_are_those_of_the_kept_results(page):
    text = page.read_text()
    assert re.search(r"<!-- (\w+) -->\n.+?<!-- /\1 -->", text, re.DOTALL)
    assert filled(text) == text, "run `compendium readme`"


@pytest.mark.parametrize("profile", ["quick", "phantom_full"])
def test_kept_verdicts_are_those_of_the_claims_file(profile):
    kept = json.loads((REFERENCE / profile / "claims.json").read_text())
    again = [v.as_dict() for v in judge(load_claims(), None) if v.rung == "arithmetic"]
    assert [v for v in kept if v["rung"] == "arithmetic"] == again, (
        f"make reference PROFILE={profile}"
    )


def test_every_row_says_what_its_images_are():
    rows = results_table().splitlines()[2:]
    assert len(rows) > 10
    for row in rows:
        assert sum(f"**{kind}**" in row for kind in ("synthetic", "real", "semi-synthetic")) == 1
        assert row.startswith("| sperm") == ("**synthetic**" not in row)


def test_numbers_follow_the_kept_metrics(monkeypatch, tmp_path):
    for path in REFERENCE.glob("*/metrics.json"):
        profile, metrics = path.parent.name, json.loads(path.read_text())
        for metric in metrics.values():
            metric.update(value=0.123, low=0.1, high=0.2)
        (tmp_path / profile).mkdir()
        (tmp_path / profile / "metrics.json").write_text(json.dumps(metrics))
    monkeypatch.setattr("compendium.readme.REFERENCE", tmp_path)
    assert all("0.123 [0.100, 0.200]" in row for row in results_table().splitlines()[2:])


def test_table_of_the_guide_follows_the_kept_table(monkeypatch, tmp_path):
    shutil.copytree(REFERENCE / "sperm", tmp_path / "sperm")
    for path in tmp_path.glob("sperm/*/tables/table_2.csv"):
        table = pd.read_csv(path)
        frozen = table["protocol"] == "frozen"
        table.loc[frozen, ["value", "low", "high"]] = [0.123, 0.1, 0.2]
        table.to_csv(path, index=False)
    arms = own_devices_text().count("\n| ")
    monkeypatch.setattr("compendium.readme.REFERENCE", tmp_path)
    assert own_devices_text().count("| 0.123 [0.100, 0.200] | 0.123 [0.100, 0.200] |") == arms > 5


def test_pictures_of_the_readme_exist():
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / path).is_file(), path
