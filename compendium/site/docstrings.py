"""Docstrings, written to be read in the source, as Sphinx wants them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNDERLINE = re.compile(r"-{3,}\s*$")
_NAMED = re.compile(r"\w+ : ")


def as_rst(lines: Sequence[str]) -> list[str]:
    """Lines of a docstring in reStructuredText, its sections in the style of NumPy.

    Asterisks and bars stand for themselves; what is returned is told in sentences; a paragraph
    before the sections that is laid out by hand stays so.
    """
    parts = "\n".join(lines).split("``")
    parts[::2] = [re.sub(r"([*|])", r"\\\1", part) for part in parts[::2]]
    paragraphs = "``".join(parts).split("\n\n")
    sections = [number for number, text in enumerate(paragraphs) if _title(text)]
    first = sections[0] if sections else len(paragraphs)
    kept = [_layout(text, number < first) for number, text in enumerate(paragraphs)]
    return "\n\n".join(kept).split("\n")


def _title(paragraph: str) -> str:
    """Title of the section that the paragraph begins; empty where it begins none."""
    head = paragraph.strip("\n").split("\n")
    return head[0] if len(head) > 1 and _UNDERLINE.match(head[1]) else ""


def _layout(paragraph: str, before_sections: bool) -> str:
    if _title(paragraph) in ("Returns", "Yields"):
        title, _, *rest = paragraph.strip("\n").split("\n")
        if _NAMED.match(rest[0]):
            rest = [f"- {line}" if _NAMED.match(line) else f"  {line.strip()}" for line in rest]
        return "\n".join(["", f".. rubric:: {title}", "", *rest])  # two blank lines end a section
    lines = paragraph.split("\n")
    laid_out = any(line.startswith(" ") for line in lines) and not lines[0].startswith(" ")
    if before_sections and laid_out and not re.match(r"[-\d]", lines[0]):
        return "\n".join(["::", "", *(f"    {line}".replace("\\", "") for line in lines)])
    return paragraph
