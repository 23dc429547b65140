"""The edits of CONTRIBUTING.md are made in a copy of the project, and its tests run there."""

import re
import shutil
import subprocess
import sys
from typing import get_args

import pytest

from engine.keys import FLOORS
from engine.paths import ROOT
from lib.data.sources import ENTRIES
from lib.models.texture import LOSSES
from lib.studies.embryo import EmbryoParameters

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def edit(root, diff: str) -> None:
    """Make the edits of a diff without line numbers: what is old must be there once."""
    for name, hunks in re.findall(r"^--- (\S+)\n(.*?)(?=^--- |\Z)", diff, re.MULTILINE | re.DOTALL):
        path = root / name
        for hunk in re.split(r"^@@\n", hunks, flags=re.MULTILINE):
            lines = [line or " " for line in hunk.removesuffix("\n").split("\n")]
            old = "\n".join(line[1:] for line in lines if line[0] in " -")
            new = "\n".join(line[1:] for line in lines if line[0] in " +")
            if not old:
                path.write_text(f"{new}\n")
                continue
            text = path.read_text()
            assert text.count(old) == 1, f"{name}: not there once:\n{old}"
            path.write_text(text.replace(old, new))


@pytest.fixture
def copy(tmp_path):
    skipped = shutil.ignore_patterns("__pycache__")
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, tmp_path / floor, ignore=skipped)
    (tmp_path / "tests").mkdir()
    for name in ("tests/conftest.py", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("section", ["An arm", "A texture loss", "A source of images"])
def test_what_the_guide_adds_works(section, copy):
    (diff,), (test,) = blocks(SECTIONS[section], "diff"), blocks(SECTIONS[section], "python")
    edit(copy, diff)
    (copy / "tests" / "test_mine.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_mine.py"]
    answer = subprocess.run(
        command, cwd=copy, env={"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{test.count('def test_')} passed" in answer.stdout


@pytest.mark.parametrize("section", ["An arm", "A texture loss", "A source of images"])
def test_what_the_guide_adds_has_the_style_of_the_project(section, copy):
    (diff,), (test,) = blocks(SECTIONS[section], "diff"), blocks(SECTIONS[section], "python")
    edit(copy, diff)
    (copy / "tests" / "test_mine.py").write_text(test)
    shutil.copy(ROOT / "pyproject.toml", copy)
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        answer = subprocess.run(ruff, cwd=copy, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_guide_shows_every_edit_it_speaks_of():
    assert len(blocks(GUIDE, "diff")) == len(blocks(GUIDE, "python")) == 3


def test_every_name_the_parameters_allow_has_what_it_stands_for():
    allowed = {name: set(get_args(EmbryoParameters.model_fields[name].annotation))
               for name in ("texture_loss", "data_kind")}  # fmt: skip
    assert allowed["texture_loss"] == {"none", *LOSSES}
    assert allowed["data_kind"] == {"phantom", *ENTRIES}
