"""Executed notebooks as pages: code folded, pictures with their words, sections to link to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell, new_output

from compendium.notebook_pictures import png_of
from compendium.site.backlinks import Use
from compendium.site.cells import HEADING, Picture, sections
from compendium.site.markup import details, escaped, scrolling
from compendium.site.run import SiteRun

WIDGET = "application/vnd.jupyter.widget-view+json"
# The style that pandas writes into every table, and the attributes that set its look.
_LOOK = re.compile(r"<style scoped>.*?</style>\s*| border=\"1\"| style=\"text-align: \w+;\"", re.S)


def write_notebook(
    run: SiteRun, name: str, notebook: nbformat.NotebookNode, found: Sequence[Picture],
    used: Sequence[Use], place: Path,
) -> None:  # fmt: skip
    """Write the page's source, a notebook without pictures: they are files beside the pages.

    Parameters
    ----------
    found
        The pictures of the notebook, in order.
    used
        What it uses of the library.
    """
    waiting = iter(found)
    labels = [section.label for _, section in sections(name, notebook)]
    targets = iter(labels)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = HEADING.sub(lambda m: f"({next(targets)})=\n{m[0]}", cell.source)
        else:
            _fold(cell, run.profile)
            cell.outputs = [
                shown for output in cell.outputs for shown in _shown(run, cell, output, waiting)
            ]
    notebook.cells.insert(1, new_markdown_cell(_provenance(run, name)))
    if used:
        notebook.cells.append(new_markdown_cell(_functions(used)))
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, place)


def _fold(cell: nbformat.NotebookNode, profile: str) -> None:
    tags = cell.metadata.get("tags", [])
    number = f"[{cell.execution_count}]" if cell.execution_count else ""
    words = f"Code {number}".strip()
    if "parameters" in tags:
        words = f"Parameters {number}: those of the smoke profile, unless replaced"
    if "injected-parameters" in tags:
        words = f"Parameters {number}: those of this run, profile {profile}"
    if "solution" in tags:
        words = f"Answer {number}"
    cell.metadata["tags"] = [*tags, "hide-cell" if "solution" in tags else "hide-input"]
    cell.metadata["mystnb"] = dict(code_prompt_show=words, code_prompt_hide=words)


def _shown(
    run: SiteRun, cell: nbformat.NotebookNode, output: nbformat.NotebookNode,
    waiting: Iterator[Picture],
) -> Iterator[nbformat.NotebookNode]:  # fmt: skip
    data = output.get("data", {})
    if png_of(output):
        width = output.metadata.get("image/png", {}).get("width")
        yield _html(_figure(next(waiting), run.images, width))
    elif WIDGET in data:
        yield _html("<p>Here stands a widget when the notebook runs.</p>")
    elif "text/html" in data:
        bare = _LOOK.sub("", data["text/html"])
        yield _html(scrolling(bare, f"Output of cell {cell.execution_count}"))
    elif output.get("name") == "stderr":
        yield _html(details("Warnings of this cell", output.text))
    else:
        yield output


def _html(content: str) -> nbformat.NotebookNode:
    return new_output("display_data", {"text/html": content})


def _figure(picture: Picture, images: str, width: int | None) -> str:
    across = f' style="width: {width}px"' if width else ""
    place = f"../pictures/{picture.notebook}/{picture.name}.png"
    more = (
        f' <a href="../figures.html#{picture.entry}">Where it comes from'
        f'<span class="unseen">: {escaped(picture.title)}</span></a>'
    )
    return (
        f'<figure class="drawn" id="{picture.anchor}"><a href="{place}"><img src="{place}" '
        f'alt="{escaped(picture.alt(images))}"{across}></a>'
        f"<figcaption>{escaped(picture.title)}.{more}</figcaption></figure>"
    )


def _provenance(run: SiteRun, name: str) -> str:
    record = run.record(name)
    if run.notebooks[name].parent != run.folder:
        return (
            ":::{warning}\nThe executed notebook is not kept with these results: this is its "
            "source, without outputs.\n:::"
        )
    commit, plus, changes = (record["commit"] or "unknown").partition("+")
    facts = f"Profile {run.profile}, {run.images}. Seed {record['seed']}. "
    facts += f"Commit {commit[:12]}{plus}{changes}."
    cost = f"{record['seconds']} s on {record['device']}."
    link = f'<a href="../files/{name}.ipynb" download>Download this notebook</a>'
    return f'<p class="facts">{escaped(facts)} {escaped(cost)} {link}.</p>'


def _functions(used: Sequence[Use]) -> str:
    listed = "\n".join(f"- {{py:obj}}`{use.name}`" for use in used)
    return f"## Code behind this notebook\n\n{listed}"
