"""The Snakemake profiles for clusters, planned and not run."""

import os
import subprocess
import sys

import pytest
import yaml

from lib.notebooks import notebook_paths
from lib.paths import ROOT

PROFILES = sorted((ROOT / "profiles").glob("*/config.yaml"))


def plan(profile, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--profile", profile.parent, "--dry-run", "--nolock",
         "--config", "profile=smoke"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COMPENDIUM_RESULTS": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.parent.name)
def test_every_notebook_is_planned_with_its_resources(profile, tmp_path):
    text = plan(profile, tmp_path)
    rules = {block.split(":", 1)[0]: block for block in text.split("\nrule ")[1:]}
    for path in notebook_paths():
        resources = next(
            line for line in rules[path.stem].splitlines() if line.strip().startswith("resources:")
        )
        trains = not path.stem.startswith("01")
        assert ("gpu" in resources) == trains, resources
        assert f"mem_mb={32000 if trains else 16000}" in resources
    assert not list(tmp_path.iterdir())  # a plan writes nothing


def test_profiles_name_rules_that_exist():
    names = {path.stem for path in notebook_paths()}
    for profile in PROFILES:
        assert set(yaml.safe_load(profile.read_text())["set-resources"]) <= names
