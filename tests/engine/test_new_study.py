"""A study is added in a copy of the project: a module, a notebook, a profile, and nothing else."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from engine.keys import FLOORS
from engine.paths import ROOT

STUDY = '''\
"""Coins: how often does one show heads?"""

from pydantic import Field

from engine.errors import InputError
from engine.parameters import Parameters
from engine.study import Study


class CoinParameters(Parameters):
    """How often a coin is thrown."""

    throws: int = Field(100, ge=1)


class Coin:
    """What is thrown."""

    def fingerprint(self):
        """A coin is a coin."""
        return "coin"


def check(params, coin):
    """Refuse a number of throws from which nobody learns."""
    if params.throws < 5:
        raise InputError(f"throws={params.throws}: too few. Set throws to 5 or more.")


STUDY = Study(("20_coins",), CoinParameters, lambda params, root: Coin(), check)
'''
PROFILE = "study: coins\nprofile: coins\nthrows: 40\n"
CELLS = (
    "# 20 Coins\n\n**Question.** How often does a coin show heads?",
    'study = "coins"\nprofile = "coins"\nthrows = 5',
    'import torch\n\nfrom lib import start\n\nrun = start("20_coins", globals())',
    'heads = torch.randint(2, (run.params.throws,)).float()\n'
    'run.metric("coin.heads", heads.mean(), n=len(heads))',
    "finished = run.finish()",
)  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy")
    for folder in (*FLOORS, "params", "notebooks"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "requirements.lock"):
        shutil.copy(ROOT / name, root / name)
    (root / "lib" / "studies" / "coins.py").write_text(STUDY)
    (root / "params" / "coins.yaml").write_text(PROFILE)
    question, parameters, *rest = CELLS
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell(question), tagged, *map(new_code_cell, rest)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, root / "notebooks" / "20_coins.ipynb")
    return root


def reproduce(root):
    inherited = {name: value for name, value in os.environ.items() if name != "COMPENDIUM_RESULTS"}
    words = ["-m", "snakemake", "--cores", "1", "--nolock", "--quiet", "all", "--config"]
    return subprocess.run(
        [sys.executable, *words, "profile=coins"],
        cwd=root, env={**inherited, "PYTHONPATH": str(root)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_it_takes_less_than_sixty_lines():
    assert sum(len(text.splitlines()) for text in (STUDY, PROFILE, *CELLS)) < 60


def test_it_runs_as_every_other(copy):
    answer = reproduce(copy)
    assert answer.returncode == 0, answer.stderr
    folder = copy / "results" / "coins"
    metric = json.loads((folder / "metrics.json").read_text())["20_coins.coin.heads"]
    assert (metric["n"], 0 < metric["value"] < 1) == (40, True)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["parameters"]["study"] == "coins"
    assert list(manifest["notebooks"]) == ["20_coins"]
    assert "No published claim stands on this notebook." in (folder / "20_coins.ipynb").read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("throws: 3\n", "throws=3: too few. Set throws to 5 or more."),
        ("folds: 3\n", "it is one of study embryo: set study to that, or remove it."),
        (
            "cycle_weight: 1.0\n",
            "it is one of study cells and embryo and stain: set study to that, or",
        ),
        ("thrws: 50\n", "did you mean 'throws'?"),
        (
            "study: dice\n",
            "study 'dice': no such study. Set study to one it has: cells, coins, embryo, stain.",
        ),
    ],
)
def test_what_it_does_not_know_is_refused_before_it_starts(copy, line, words):
    profile = copy / "params" / "coins.yaml"
    kept = {name: text for name, text in (each.split(": ") for each in PROFILE.splitlines())}
    name, value = line.strip().split(": ")
    profile.write_text("".join(f"{a}: {b}\n" for a, b in {**kept, name: value}.items()))
    shutil.rmtree(copy / "results", ignore_errors=True)
    try:
        answer = reproduce(copy)
    finally:
        profile.write_text(PROFILE)
    assert answer.returncode == 2, answer.stderr
    assert words in answer.stderr
