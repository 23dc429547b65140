"""Which functions and classes of the library a notebook uses or shows, and in which section."""

from __future__ import annotations

import ast
import importlib
import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nbformat

from compendium.site.cells import Section, section_of

LIBRARY = "lib"
SHOWS = "run.show_source"  # a notebook shows the source of what it calls this with


@dataclass(frozen=True)
class Use:
    """A function, class or method (``name``, in full) in a section of a notebook."""

    name: str
    section: Section
    shown: bool


def uses(name: str, notebook: nbformat.NotebookNode) -> list[Use]:
    """Everything of the library that a notebook uses: each once for every section, in order."""
    inside = section_of(name, notebook)
    known: dict[str, Any] = {}
    found: dict[Use, None] = {}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        tree = ast.parse(cell.source)
        shown = {
            _name(known | _imports(tree), argument)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and ast.unparse(call.func) == SHOWS
            for argument in call.args
        }
        for full in _used(tree, known):
            found[Use(full, inside[number], full in shown)] = None
    return list(found)


def _used(tree: ast.Module, known: dict[str, Any]) -> Iterator[str]:
    """Names in full, in order; ``known`` (what a name of the notebook stands for) grows."""
    for statement in tree.body:
        known |= _imports(statement)
        for node in ast.walk(statement):
            if isinstance(node, ast.Name | ast.Attribute) and (full := _name(known, node)):
                yield full
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            known[statement.targets[0].id] = _made_by(known, statement.value)


def _imports(tree: ast.AST) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != LIBRARY:
            continue
        for alias in node.names:
            if not (module := _module(node.module)):  # kept from an older version of the library
                continue
            names = module.__all__ if alias.name == "*" else [alias.name]
            for name in names:
                thing = getattr(module, name, None) or _module(f"{node.module}.{name}")
                known[alias.asname or name] = thing
    return known


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _name(known: dict[str, Any], node: ast.AST) -> str:
    thing = _thing(known, node)
    documented = inspect.isfunction(thing) or inspect.isclass(thing)
    if not documented or thing.__module__.split(".")[0] != LIBRARY or not thing.__doc__:
        return ""
    return f"{thing.__module__}.{thing.__qualname__}"


def _thing(known: dict[str, Any], node: ast.AST) -> Any:
    """What an expression of names and dots stands for; None where that is not of the library."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        thing = _thing(known, node.value)
        found = getattr(thing, node.attr, None)
        return None if found is None else inspect.unwrap(found)
    return None


def _made_by(known: dict[str, Any], value: ast.AST) -> Any:
    """The class of what a call gives, by the annotation of what is called."""
    called = _thing(known, value.func) if isinstance(value, ast.Call) else None
    if inspect.isclass(called):
        return called
    given = typing.get_type_hints(called).get("return") if inspect.isroutine(called) else None
    return given if inspect.isclass(given) else None
