"""Notebooks as files: what is written in them, what they read, the hash of what they run."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from lib.keys import PACKAGE, code_digest, digest, modules_in
from lib.params import InputError
from lib.paths import ROOT


def notebook_paths(root: Path = ROOT) -> list[Path]:
    """The notebooks of the project, by name."""
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
        ast.parse(code)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise InputError(
            f"{path}: not plain Python at '{line}' ({error.msg}). Correct the cell; magics cannot "
            "be used."
        ) from None
    return code


def sources_digest(path: Path, root: Path = ROOT) -> str:
    """SHA-256 of a notebook's cells, of the code it imports from here and of the lock file."""
    imported = {name for name in modules_in(code_in(path)) if name.split(".")[0] == PACKAGE}
    modules = {name for name in imported if _is_module(name, root)}
    return digest({"cells": read_cells(path), "code": code_digest(modules, root)})


def parents_of(path: Path) -> tuple[str, ...]:
    """Names of the notebooks whose results a notebook reads: its calls of ``parent("NN_name")``.

    Raises
    ------
    InputError
        A name is not written as a literal.
    """
    names = set()
    for node in ast.walk(ast.parse(code_in(path))):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "parent":
            continue
        argument = node.args[0] if len(node.args) == 1 else None
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            raise InputError(f'{path}: write {ast.unparse(node)} with a name: parent("NN_name").')
        names.add(argument.value)
    return tuple(sorted(names))


def _is_module(name: str, root: Path) -> bool:
    path = root / name.replace(".", "/")
    return path.with_suffix(".py").is_file()
