"""Notebooks as files: what is written in them, what they read, the hash of what they run."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from engine.errors import InputError
from engine.keys import (
    FLOORS,
    code_digest,
    digest,
    home_of,
    import_closure,
    modules_in,
    syntax_tree,
)
from engine.paths import ROOT
from engine.study import load_study
from engine.upper import MODULE

UPPER = "engine/upper.py"  # who imports it shows what MODULE holds


def notebook_paths(study: str, root: Path = ROOT) -> list[Path]:
    """The notebooks of a study, in reading order.

    Raises
    ------
    InputError
        There is no such study, or one of its notebooks is not there.
    """
    paths = [root / "notebooks" / f"{name}.ipynb" for name in load_study(study).notebooks]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: study {study} has no such notebook. Restore it.")
    return paths


def all_notebook_paths(root: Path = ROOT) -> list[Path]:
    """The notebooks of all studies, by name."""
    return sorted((root / "notebooks").glob("*.ipynb"))


def read_cells(path: Path) -> list[dict]:
    """Cells of a notebook, of what a person writes: type, source and tags.

    Raises
    ------
    InputError
        The file is no notebook.
    """
    try:
        cells = json.loads(path.read_text())["cells"]
        return [
            {
                "type": cell["cell_type"],
                "source": "".join(cell["source"]),
                "tags": cell["metadata"].get("tags", []),
            }
            for cell in cells
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no Jupyter notebook of version 4 ({error}). Restore it, or save it anew."
        ) from None


def code_in(path: Path) -> str:
    """The code cells of a notebook as one Python source.

    Raises
    ------
    InputError
        They are not plain Python.
    """
    code = "\n\n".join(cell["source"] for cell in read_cells(path) if cell["type"] == "code")
    try:
        syntax_tree(code)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise InputError(
            f"{path}: not plain Python at '{line}' ({error.msg}). Correct the cell; magics cannot "
            "be used."
        ) from None
    return code


def sources_digest(path: Path, root: Path = ROOT) -> str:
    """SHA-256 of a notebook's cells, of the code it runs and of the lock file.

    It runs what it imports from here, and what its run shows of the floor above.
    """
    modules = modules_of(path, root)
    if root / UPPER in import_closure(modules, root):
        modules |= {MODULE}
    return digest({"cells": read_cells(path), "code": code_digest(modules, root)})


def modules_of(path: Path, root: Path = ROOT) -> set[str]:
    """Modules and packages of this project from which a notebook imports names."""
    names = {name for name in modules_in(code_in(path)) if name.split(".")[0] in FLOORS}
    around = {name.rpartition(".")[0] for name in names}  # "from a import b" names a as well
    return {home_of(name, root) for name in names - around}


def parents_of(path: Path) -> tuple[str, ...]:
    """Names of the notebooks whose results a notebook reads: its calls of ``parent("NN_name")``.

    Raises
    ------
    InputError
        A name is not written as a literal.
    """
    names = set()
    for node in ast.walk(syntax_tree(code_in(path))):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "parent":
            continue
        argument = node.args[0] if len(node.args) == 1 else None
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            raise InputError(f'{path}: write {ast.unparse(node)} with a name: parent("NN_name").')
        names.add(argument.value)
    return tuple(sorted(names))
