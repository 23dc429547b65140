"""The three floors: imports go down, in no circle, and the notebooks reach all of ``lib``."""

import ast
import graphlib

import pytest

from engine.keys import FLOORS, home_of, import_closure, modules_in
from engine.notebooks import all_notebook_paths, code_in, modules_of, read_cells
from engine.paths import ROOT
from engine.study import load_study, study_names

# Rooms of lib, lowest first; what stands beside them begins a notebook or a study.
ROOMS = ("phantom", "data", "models", "evaluation", "figures")
VOCABULARY = 12  # names a notebook may ask of its reader
# They find what lies above by name, when they are asked; a site looks up what a notebook names.
BY_NAME = {"engine/study.py", "engine/upper.py", "compendium/site/backlinks.py"}


def dotted(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {
    dotted(path): path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))
    if "sphinx" not in path.parts
}  # fmt: skip


def imports(name):
    """Modules of this project that a module imports, anywhere in it."""
    names = modules_in(FILES[name].read_text(), name)
    own = {each for each in names if each.split(".")[0] in FLOORS}
    around = {each.rpartition(".")[0] for each in own}
    return {home_of(each) for each in own - around} - {name}


def height(name):
    """Floor, and within lib the room; what stands in no room may use all of them."""
    floor, _, rest = name.partition(".")
    room = rest.partition(".")[0]
    return FLOORS.index(floor), ROOMS.index(room) if room in ROOMS else len(ROOMS)


@pytest.mark.parametrize("name", FILES)
def test_imports_go_down_and_name_what_is_there(name):
    for other in imports(name):
        assert other in FILES, f"{name} imports {other}: no such module"
        floor, room = height(name)
        below, lower = height(other)
        assert below <= floor, f"{name} imports {other}, a floor above it"
        if floor == below == FLOORS.index("lib"):
            assert lower <= room, f"{name} imports {other}, a room above it"


def test_imports_go_in_no_circle():
    graph = {name: imports(name) & FILES.keys() for name in FILES}
    graphlib.TopologicalSorter(graph).prepare()


def test_a_module_is_found_by_name_in_known_places_only():
    found = {path.relative_to(ROOT).as_posix() for path in FILES.values()
             if "import_module" in path.read_text()}  # fmt: skip
    assert found == BY_NAME


def test_notebooks_reach_every_module_of_lib():
    reached = {
        path for notebook in all_notebook_paths()
        for path in import_closure(modules_of(notebook))
    }  # fmt: skip
    studies = {FILES[f"lib.studies.{name}"] for name in study_names()} | {FILES["lib.studies"]}
    own = {path for name, path in FILES.items() if name.startswith("lib.")}
    assert sorted(own - reached - studies) == []


@pytest.fixture(params=all_notebook_paths(), ids=lambda path: path.stem)
def notebook(request):
    return request.param


def imported(source):
    """Pairs (module, name) of the imports from this project."""
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FLOORS
        for alias in node.names
    ]


def test_a_notebook_asks_few_names_of_lib_once_and_nothing_else(notebook):
    setup = read_cells(notebook)[2]["source"]
    names = imported(code_in(notebook))
    assert names == imported(setup)
    assert {module for module, _ in names} == {"lib"}
    assert len(names) <= VOCABULARY


def test_no_name_of_the_vocabulary_is_a_parameter(notebook):
    """Parameters are global variables of a notebook: such a name would take one's place."""
    fields = {name for study in study_names() for name in load_study(study).parameters.model_fields}
    assert not fields & {name for _, name in imported(code_in(notebook))}
