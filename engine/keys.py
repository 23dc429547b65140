"""Content keys: hashes of values, files and source code, which decide what must be made again."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from engine.paths import LOCK, ROOT

FLOORS = ("engine", "lib", "compendium")  # packages of this project, bottom first
STUB = "__init__.pyi"  # says where a package takes its names from
_ONE_AT_A_TIME = threading.Lock()


def digest(value: Any) -> str:
    """SHA-256 (hexadecimal) of a value: JSON types, parameters, tables, arrays.

    Raises
    ------
    TypeError
        A value of another type, which has no stable content.
    """
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def safe_key(name: str) -> str:
    """A name of people or places as part of a file name or of a metric's name.

    Lower-case letters, digits, ``-`` and ``_``; letters lose their marks, all else becomes ``_``.
    What no letter of ASCII is left of, as a name in another script, is told apart by its hash.
    """
    bare = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    key = re.sub(r"[^a-z0-9-]+", "_", bare.lower()).strip("_")
    letters = [letter for letter in name if letter.isalpha()]
    lost = [
        letter
        for letter in letters
        if not re.search("[a-zA-Zß]", unicodedata.normalize("NFKD", letter))
    ]
    if not key or lost:
        key = f"{key}_{hashlib.sha256(name.encode()).hexdigest()[:6]}".strip("_")
    return key


def file_digest(path: Path) -> str:
    """SHA-256 (hexadecimal) of the bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """``value`` as JSON types; tables and arrays become the hash of their content."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, pd.DataFrame | pd.Series):
        return {"sha256": hashlib.sha256(value.to_csv().encode()).hexdigest()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        head = f"{value.dtype.str}{value.shape}".encode()
        return {"sha256": hashlib.sha256(head + value.tobytes()).hexdigest()}
    raise TypeError(
        f"{type(value).__name__} cannot be part of a key: use numbers, text, tables, arrays"
    )


def syntax_tree(code: str, origin: str = "<code>") -> ast.Module:
    """The parsed source ``code``, also in several threads at once.

    Up to 3.11.7 and 3.12.1, Python counts the depth of all threads' trees together and raises
    SystemError where two of them are made at the same time (python/cpython issue 106905).

    Raises
    ------
    SyntaxError
        ``code`` is not Python; the message names ``origin``.
    """
    with _ONE_AT_A_TIME:
        return ast.parse(code, filename=origin)


def modules_in(code: str, origin: str = "<code>") -> set[str]:
    """Names that Python source ``code`` imports; ``from a import b`` gives ``a`` and ``a.b``.

    Raises
    ------
    SyntaxError
        ``code`` is not Python; the message names ``origin``.
    """
    names: set[str] = set()
    for node in ast.walk(syntax_tree(code, origin)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def import_closure(modules: Iterable[str], root: Path = ROOT) -> list[Path]:
    """Files of this project that ``modules`` import, directly or through others.

    A package named in ``modules`` stands for every module in it. Files that are no Python, as
    weights or a style sheet, belong to the package they lie in. A name that a package takes from
    one of its modules when it is asked for, as its stub says, stands for that module.

    Raises
    ------
    ModuleNotFoundError
        A name in ``modules`` is no module of this project.
    """
    waiting: set[str] = set()
    for name in modules:
        path = root / name.replace(".", "/")
        if not _is_here(name, root):
            raise ModuleNotFoundError(f"{name}: no such module in {root}", name=name)
        inside = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
        waiting.update(".".join(file.relative_to(root).with_suffix("").parts) for file in inside)
    seen: set[str] = set()
    files: set[Path] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        path = root / name.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if not file.is_file():  # "a.b" where b is a function of module a
            waiting |= {home_of(name, root)} - seen
            continue
        files.add(file)
        if path.is_dir():
            files.update(other for other in path.glob("*.*") if _is_data(other))
        parents = {name.rpartition(".")[0]} - {""}
        imported = modules_in(file.read_text(), str(file)) | parents
        waiting |= {other for other in imported if other.split(".")[0] in FLOORS} - seen
    return sorted(files)


def home_of(name: str, root: Path = ROOT) -> str:
    """The module or package that ``name`` is or, as a name in a module or a stub, comes from."""
    package, _, own = name.rpartition(".")
    if _is_here(name, root) or not package:
        return name
    stub = root / package.replace(".", "/") / STUB
    if not stub.is_file():
        return package
    for node in ast.walk(syntax_tree(stub.read_text(), str(stub))):
        if isinstance(node, ast.ImportFrom) and own in {alias.name for alias in node.names}:
            place = f"{package}.{node.module}" if node.module else package
            return f"{place}.{own}" if _is_here(f"{place}.{own}", root) else place
    return package


def _is_here(name: str, root: Path) -> bool:
    path = root / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def _is_data(path: Path) -> bool:
    code = path.suffix in (".py", ".pyi")
    return path.is_file() and not code and not path.name.startswith(".")


def code_digest(modules: Iterable[str], root: Path = ROOT) -> str:
    """SHA-256 of the source of ``modules``, of what they import from here, and of the lock file."""
    files = [*import_closure(modules, root), root / LOCK]
    return digest({file.relative_to(root).as_posix(): file_digest(file) for file in files})
