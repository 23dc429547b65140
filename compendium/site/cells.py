"""A notebook cut into its sections, and the pictures in it with the text that stands by them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from compendium.notebook_pictures import digest_of, png_of
from engine.keys import safe_key

HEADING = re.compile(r"^(#{1,6}) +(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """A heading: its number in the notebook, what a link to it is called, its text."""

    label: str
    title: str


@dataclass(frozen=True)
class Picture:
    """One picture of an executed notebook.

    ``name`` is that of the figure, ``title`` in words; ``known``: whether the run kept it so.
    ``caption`` is the Markdown that explains it: what follows it, else what leads to it.
    """

    notebook: str
    name: str
    title: str
    known: bool
    cell: int
    section: Section
    caption: str
    png: bytes

    @property
    def anchor(self) -> str:
        """Its place in the page of its notebook."""
        return f"figure-{self.name.replace('_', '-')}"

    @property
    def entry(self) -> str:
        """Its place in the index of figures."""
        return f"index-{self.notebook.replace('_', '-')}-{self.anchor}"

    def alt(self, images: str) -> str:
        """What stands for it where it is not seen; ``images`` says what it was drawn from."""
        return (
            f"{self.title}, section {self.section.title}, drawn from {images}. "
            "The text beside it says how to read it."
        )


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """A notebook as nbformat reads it."""
    return nbformat.read(path, as_version=4)


def title_of(notebook: nbformat.NotebookNode) -> str:
    """The first heading."""
    return HEADING.search(notebook.cells[0].source)[2]


def question_of(notebook: nbformat.NotebookNode) -> str:
    """What the notebook asks, as its first cell says."""
    return re.search(r"\*\*Question\.\*\* (.+)", notebook.cells[0].source)[1]


def sections(name: str, notebook: nbformat.NotebookNode) -> Iterator[tuple[int, Section]]:
    """Every heading with the number of its cell, in order."""
    found = 0
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            for heading in HEADING.finditer(cell.source):
                yield number, Section(f"{name}-section-{found}", _plain(heading[2]))
                found += 1


def section_of(name: str, notebook: nbformat.NotebookNode) -> dict[int, Section]:
    """The section that each cell stands in at its end, by the number of the cell."""
    starts = dict(sections(name, notebook))  # the last heading of a cell counts
    inside, here = {}, None
    for number in range(len(notebook.cells)):
        here = inside[number] = starts.get(number, here)
    return inside


def pictures(name: str, notebook: nbformat.NotebookNode, record: dict) -> list[Picture]:
    """All pictures of an executed notebook, in order, under the names the run kept them by."""
    names = {
        sha: Path(file).stem
        for file, sha in record["files"].items()
        if file.startswith("figures/") and file.endswith(".png")
    }
    inside = section_of(name, notebook)
    found = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            png = png_of(output)
            if png is None:
                continue
            known = names.get(digest_of(output))
            figure = known or f"picture_{len(found)}"
            found.append(
                Picture(
                    notebook=name,
                    name=figure,
                    title=_in_words(figure, record["parameters"]),
                    known=known is not None,
                    cell=cell.execution_count,
                    section=inside[number],
                    caption=_caption(notebook.cells, number),
                    png=png,
                )
            )
    return found


def _caption(cells: list, number: int) -> str:
    after = _text(cells, number + 1)
    before = _text(cells, number - 1)
    return HEADING.split(after)[0].strip() or HEADING.split(before)[-1].strip()


def _text(cells: list, number: int) -> str:
    there = number < len(cells) and cells[number].cell_type == "markdown"
    return cells[number].source if there else ""


def _in_words(figure: str, parameters: dict) -> str:
    """Name of a figure in words; domains as the parameters write them."""
    kinds = ("source_domain", "target_domain", "second_target_domain")
    domains = (parameters[kind] for kind in kinds if kind in parameters)
    for name in sorted(domains, key=len, reverse=True):
        start, found, domain = figure.rpartition(f"_{safe_key(name)}")
        if found and not domain:
            return f"{_in_words(start, parameters)} {name}"
    words = ["ROC" if word == "roc" else word for word in figure.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def _plain(text: str) -> str:
    return re.sub(r"[`*]", "", text)
