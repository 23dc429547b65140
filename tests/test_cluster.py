"""The Snakemake profiles for clusters, planned and not run."""

import os
import subprocess
import sys

import pytest
import yaml

from lib.notebooks import notebook_paths
from lib.params import load_params
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


def test_the_job_of_kubernetes_runs_the_command_of_the_readme():
    job = yaml.safe_load((ROOT / "profiles" / "kubernetes" / "job.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    make, *arguments = container["command"]
    done = subprocess.run(
        [make, "--dry-run", "-o", ".venv/installed", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "-m snakemake" in done.stdout
    profile = dict(argument.split("=") for argument in arguments[1:])["PROFILE"]
    assert f"profile={profile}" in done.stdout
    assert load_params(ROOT / "params" / f"{profile}.yaml").device == "cuda"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
