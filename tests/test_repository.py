"""The checkout: what git keeps, notebooks without outputs, modules in their order and size."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from engine.keys import FLOORS
from engine.notebooks import all_notebook_paths, notebook_paths, parents_of, read_cells
from engine.parameters import load_params
from engine.paths import ROOT
from engine.plan import in_order
from engine.study import study_names

# Of each study, the profile that tests its notebooks.
SMOKE = {"embryo": "smoke", "stain": "stain_smoke", "cells": "cells_smoke"}
STUDY_OF = {path: study for study in study_names() for path in notebook_paths(study)}
NOTEBOOKS = sorted(STUDY_OF)
PROFILES = sorted(path for path in (ROOT / "params").glob("*.yaml") if path.stem != "claims")
MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
REFERENCE = ROOT / "results" / "reference"


def name_of(path):
    return path.stem


def smoke_of(path):
    return ROOT / "params" / f"{SMOKE[STUDY_OF[path]]}.yaml"


@pytest.fixture(scope="module")
def kept():
    """Relative paths of the files that git tracks or would track."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip("no git checkout")
    return [name for name in answer.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_git_tracks_every_module(kept):
    on_disk = {path.relative_to(ROOT).as_posix() for path in MODULES}
    assert on_disk <= set(kept)
    assert "lib/data/images.py" in on_disk


def test_git_keeps_reference_results_and_no_other(kept):
    results = {name.split("/")[1] for name in kept if name.startswith("results/")}
    assert results <= {"reference"}
    rule = ["git", "check-ignore", "-q"]
    ignored = subprocess.run([*rule, "results/quick/metrics.json"], cwd=ROOT, check=False)
    reference = "results/reference/quick/metrics.json"
    referenced = subprocess.run([*rule, "--no-index", reference], cwd=ROOT, check=False)
    assert (ignored.returncode, referenced.returncode) == (0, 1)


def test_no_file_names_a_folder_of_a_machine_or_a_package_index(kept):
    private = re.compile(r"(?<![\w.:/])/(?:root|home/\w+|Users/\w+|work|tmp)/\w")
    index = re.compile(r"--(?:extra-)?index-url|--find-links|--trusted-host|\bpypi\.org/simple")
    here = {f"{folder}/" for folder in (ROOT, sys.prefix, Path.home()) if len(str(folder)) > 4}
    found = []
    for name in kept:
        try:
            text = (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue
        hits = [m.group() for rule in (private, index) for m in rule.finditer(text)]
        found += [(name, hit) for hit in (*hits, *(folder for folder in here if folder in text))]
    own = Path(__file__).relative_to(ROOT).as_posix()
    assert [hit for hit in found if hit[0] != own] == []


def test_imports_are_absolute():
    for path in MODULES:
        nodes = ast.walk(ast.parse(path.read_text()))
        assert not [n for n in nodes if isinstance(n, ast.ImportFrom) and n.level], path


def test_no_module_is_longer_than_300_lines():
    lengths = {path: len(path.read_text().splitlines()) for path in MODULES}  # names may repeat
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_only_a_study_knows_its_notebooks():
    names = [path.stem for path in NOTEBOOKS]
    knowing = {path for path in MODULES for name in names if name in path.read_text()}
    assert knowing == {ROOT / "lib" / "studies" / f"{study}.py" for study in study_names()}


def test_every_notebook_belongs_to_one_study():
    listed = [path for study in study_names() for path in notebook_paths(study)]
    assert sorted(listed) == all_notebook_paths()


def test_there_are_the_five_notebooks_and_their_order():
    names = [path.stem for path in NOTEBOOKS]
    assert [name[:2] for name in names[:5]] == ["01", "02", "03", "04", "05"]
    assert in_order({path.stem: parents_of(path) for path in NOTEBOOKS})[0] == names[0]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_source_is_valid_and_carries_no_output(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    kernel = notebook.metadata.kernelspec
    assert (kernel.name, kernel.display_name) == ("python3", "Python 3")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_starts_with_question_parameters_and_setup(path):
    cells = read_cells(path)
    assert [cell["type"] for cell in cells[:3]] == ["markdown", "code", "code"]
    assert [i for i, cell in enumerate(cells) if "parameters" in cell["tags"]] == [1]
    assert f'start("{path.stem}", globals())' in cells[2]["source"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_names_of_domains_are_made_safe_where_they_name_files_or_metrics(path):
    """A domain may be called 'Nikon 20x/0.4'."""
    code = "\n".join(cell["source"] for cell in read_cells(path) if cell["type"] == "code")
    assert re.findall(r'f"[^"]*\{(?!p\.key)[a-z_.]*domain\}[._]|domain\.lower', code) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_cells_are_short(path):
    cells = [cell for cell in read_cells(path)[3:] if cell["type"] == "code"]
    long = [cell["source"] for cell in cells if len(cell["source"].splitlines()) > 15]
    assert long == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_parameters_cell_is_the_smoke_profile(path):
    code = read_cells(path)[1]["source"]
    assigned = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(code).body}
    assert assigned == yaml.safe_load(smoke_of(path).read_text())


@pytest.mark.parametrize("path", PROFILES, ids=name_of)
def test_profile_loads_and_says_what_it_costs(path):
    assert load_params(path).profile == path.stem
    head = path.read_text().split("profile:")[0]
    assert re.search(r"(?i)minute|hour", head), "state the cost"
    assert "Expected" in head, "state the expected result"


def test_there_are_the_profiles_of_the_design():
    assert {"smoke", "quick", "sperm", "paper"} <= {path.stem for path in PROFILES}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_reference_is_this_notebook_executed_with_the_smoke_profile(path):
    smoke = smoke_of(path)
    executed = REFERENCE / smoke.stem / path.name
    cells = read_cells(executed)
    injected = [cell for cell in cells if "injected-parameters" in cell["tags"]]
    rest = [cell for cell in cells if "injected-parameters" not in cell["tags"]]
    assert rest == read_cells(path), f"{path.name} changed: make reference PROFILE={smoke.stem}"
    values: dict = {}
    exec("\n".join(cell["source"] for cell in injected), values)
    wanted = load_params(smoke).model_dump()
    assert {name: values[name] for name in wanted} == wanted
    code = [
        cell for cell in nbformat.read(executed, as_version=4).cells if cell.cell_type == "code"
    ]
    assert all(cell.execution_count for cell in code)
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
