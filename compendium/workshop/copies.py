"""The notebooks as a class uses them: student copies without solutions, in results of their own."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import nbformat
import yaml

from engine.errors import InputError
from engine.notebooks import notebook_paths
from engine.parameters import load_params
from engine.paths import ROOT, results_root
from engine.results import Finished, replace_folder

WORKSHOP = "workshop"  # folder of the results, and the profile under which the copies run
GUIDE = "WORKSHOP.md"
COPIES = ("student", "instructor")


def write_workshop(profile: str, force: bool = False) -> Path:
    """Write the copies of the notebooks, with the parameters and finished results of ``profile``.

    The copies run as a profile of their own, so that nothing a class does changes the results they
    start from; what ``profile`` has trained they find in the store.

    Parameters
    ----------
    force
        Write a workshop that is there anew; what was answered in it is lost.

    Returns
    -------
    The folder, with the guide and a folder of copies for students and for instructors.

    Raises
    ------
    InputError
        No such profile, a notebook of it has not been run, or a workshop is there already.
    """
    parameters, study = _parameters(profile)
    notebooks = notebook_paths(study)
    try:
        finished = [Finished(path.stem, results_root() / profile / path.stem) for path in notebooks]
    except InputError as error:
        raise InputError(f"{error} All of them: make reproduce PROFILE={profile}.") from None
    place = results_root() / WORKSHOP
    if place.exists() and not force:
        raise InputError(
            f"{place}: a workshop is there, perhaps with answers. Move it away, or --force."
        )
    partial = place.with_name(f".{WORKSHOP}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for kind in COPIES:
        (partial / kind).mkdir(parents=True)
    for path, results in zip(notebooks, finished, strict=True):
        source = nbformat.read(path, as_version=4)
        _set_parameters(source, parameters)
        nbformat.write(source, partial / "instructor" / path.name)
        _take_solutions_out(source)
        nbformat.write(source, partial / "student" / path.name)
        shutil.copytree(
            results.folder, partial / path.stem, ignore=shutil.ignore_patterns("models", "figures")
        )
    shutil.copy(ROOT / GUIDE, partial / GUIDE)
    replace_folder(partial, place)
    return place


def _parameters(profile: str) -> tuple[str, str]:
    """The source of a parameters cell with the values of a parameter file, and their study."""
    path = ROOT / "params" / f"{profile}.yaml"
    study = load_params(path).study
    values = {**yaml.safe_load(path.read_text()), "profile": WORKSHOP}
    lines = [f"{name} = {value!r}" for name, value in values.items()]
    head = f"# Those of {path.name}, in results of their own: try others."
    return "\n".join([head, *lines]), study


def _set_parameters(notebook: nbformat.NotebookNode, source: str) -> None:
    (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    cell.source = source


def _take_solutions_out(notebook: nbformat.NotebookNode) -> None:
    """Of every solution leave only the names that the check asks for, without a value."""
    for cell in notebook.cells:
        if "solution" in cell.metadata.get("tags", []):
            cell.metadata.tags = ["answer"]
            cell.source = "\n".join(f"{name} = None  # your answer" for name in _asked(cell.source))


def _asked(solution: str) -> list[str]:
    targets = [
        target.id
        for node in ast.parse(solution).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    return [name for name in targets if name.startswith("answer_")]
