"""Launch files of Binder and Colab: the locked environment, and commands that are the project's."""

import os
import re
import shutil
import stat
import subprocess

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from engine.keys import FLOORS
from engine.notebooks import read_cells
from engine.paths import LOCK, ROOT
from lib.notebook import Run
from lib.studies.embryo import EmbryoParameters

COLAB = ROOT / "notebooks" / "apps" / "colab.ipynb"
MAKEFILE = (ROOT / "Makefile").read_text()
SUPPORTED = re.search(r"^SUPPORTED := (.*)$", MAKEFILE, re.MULTILINE).group(1).split()
(COLAB_PYTHON,) = re.findall(r"--python (\S+)", COLAB.read_text())
# Say what they were called with; the virtual environment is made with the Python it names.
COMMANDS = {
    "pip": 'echo "pip $*" >> "$CALLS"',
    "uv": 'echo "uv $*" >> "$CALLS"\nmkdir -p .venv/bin\n'
    f"ln -s /bin/true .venv/bin/python{COLAB_PYTHON}",
    "make": f'echo "make $* $(command -v python{COLAB_PYTHON})" >> "$CALLS"',
}


def test_binder_installs_the_lock_with_a_supported_python():
    folder = ROOT / ".binder"
    (line,) = (folder / "requirements.txt").read_text().splitlines()
    assert (folder / line.removeprefix("-r ")).resolve() == ROOT / LOCK
    python = (folder / "runtime.txt").read_text().strip().removeprefix("python-")
    assert python in SUPPORTED
    assert (folder / "postBuild").stat().st_mode & stat.S_IXUSR


@pytest.fixture
def project(tmp_path):
    """A repository with what the notebook needs of this one; the folder it is launched in."""
    origin = tmp_path / "origin"
    for folder in (*FLOORS, "notebooks"):
        shutil.copytree(ROOT / folder, origin / folder)
    git = ["git", "-C", str(origin), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "bin").mkdir()
    for name, script in COMMANDS.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return origin


def test_colab_clones_installs_runs_and_shows(project, tmp_path, monkeypatch):
    """Its cells in a kernel, with commands that only say what they were called with."""
    results, calls = tmp_path / "results", tmp_path / "calls.txt"
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(results))
    for name in ("03_cyclegan_texture", "04_evaluation"):
        Run(name, EmbryoParameters(profile="smoke", threads=1, device="cpu")).finish()
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("COMPENDIUM_HEADLESS", "1")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    notebook = nbformat.read(COLAB, as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    code[0] = code[0].replace("https://github.com/OWNER/NAME.git", project.as_uri())
    code.append("import lib; print(lib.__file__)")
    launched = new_notebook(cells=[new_code_cell(source) for source in code])
    launched.metadata = notebook.metadata
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(launched, resources=place, allow_errors=True, timeout=300).execute()
    said = "\n".join(
        output.get("text") or "\n".join(output.get("traceback", []))
        for cell in launched.cells
        for output in cell.get("outputs", [])
    )
    pip, uv, make = calls.read_text().splitlines()
    lock = re.search(r"uv==[\d.]+", MAKEFILE).group()
    assert pip == f"pip install --quiet {lock}"
    assert COLAB_PYTHON in SUPPORTED
    assert uv.endswith(f"--seed --python {COLAB_PYTHON} .venv")
    python = tmp_path / "compendium" / ".venv" / "bin" / f"python{COLAB_PYTHON}"
    assert make == f"make reproduce PROFILE=smoke {python}"
    assert "Profile smoke." in said
    assert "Interactive in Jupyter" in said  # the device bench
    assert "texture_weight.safetensors: no such file" in said  # nothing was run
    assert str(tmp_path / "compendium" / "lib") in said


def test_the_commands_of_colab_are_there():
    source = "\n".join(cell["source"] for cell in read_cells(COLAB))
    targets = re.findall(r"make (\w+)", source)
    assert targets
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets)
    profile = re.search(r'PROFILE = "(\w+)"', source).group(1)
    assert (ROOT / "params" / f"{profile}.yaml").is_file()
    assert all((ROOT / path).is_file() for path in re.findall(r"notebooks/\S+\.ipynb", source))
