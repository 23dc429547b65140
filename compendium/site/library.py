"""The pages of the library: one for every module, from its docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

from engine.paths import ROOT

INTRODUCTION = """# The library

What the notebooks call, and nothing else. Imports run one way: figures, evaluation, models, data,
phantom. Each function says in which notebooks it is used, and where a notebook shows its source.
"""


def write_library(folder: Path) -> None:
    """Write a page for each module into ``folder``, and ``index.md`` that lists them."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in sorted((ROOT / "lib").rglob("*.py"), key=lambda path: (path.parent, path))
        if not path.name.startswith("__")
    }
    lines = [INTRODUCTION]
    place = None
    for name, path in modules.items():
        package = name.rpartition(".")[0]
        if package != place:
            place = package
            opening = ast.get_docstring(ast.parse((path.parent / "__init__.py").read_text()))
            lines += ["", f"## {place}", "", opening, ""]
        summary = ast.get_docstring(ast.parse(path.read_text())).split("\n\n")[0]
        lines.append(f"- {{doc}}`{name}`: {' '.join(summary.split())}")
        rule = "=" * len(name)
        directive = f".. automodule:: {name}\n   :members:\n"
        (folder / f"{name}.rst").write_text(f"{name}\n{rule}\n\n{directive}")
    contents = "\n".join(modules)
    lines.append(f"\n```{{toctree}}\n:hidden:\n\n{contents}\n```\n")
    (folder / "index.md").write_text("\n".join(lines))
