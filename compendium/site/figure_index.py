"""The index of figures: each with its caption, its files and the trail of where it comes from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from compendium.explain import trail
from compendium.site.cells import Picture
from compendium.site.markup import details, escaped
from compendium.site.run import SiteRun

KEPT = {"png": "picture (PNG)", "svg": "picture (SVG)", "csv": "table it was drawn from (CSV)"}


def write_pictures(run: SiteRun, found: Sequence[Picture], folder: Path) -> None:
    """Write the pictures of a notebook, and of each figure the files that the run has kept."""
    for picture in found:
        place = folder / picture.notebook / f"{picture.name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture.png)
        for file in _kept(run, picture)[1:]:
            shutil.copyfile(file, place.with_name(file.name))


def _kept(run: SiteRun, picture: Picture) -> list[Path]:
    """The files of a figure; the first, the picture, is in the notebook at any rate."""
    stem = run.folder / picture.notebook / "figures" / picture.name
    others = [stem.with_name(f"{stem.name}.{kind}") for kind in ("svg", "csv")]
    return [stem.with_name(f"{stem.name}.png"), *(file for file in others if file.is_file())]


def figure_index(
    run: SiteRun, titles: Mapping[str, str], found: Mapping[str, Sequence[Picture]]
) -> str:
    """The page, as MyST Markdown.

    Parameters
    ----------
    titles, found
        Title and pictures of every notebook, by its name.
    """
    lines = [
        "# Figures",
        "",
        f"Every picture of the run of profile {run.profile}, drawn from {run.images}. A figure can "
        "be followed back to the table it was drawn from, to the predictions and weights before "
        "that, and to code and data.",
        "",
    ]
    for name, pictures in found.items():
        if pictures:
            lines += [f"## {titles[name]}", ""]
        for picture in pictures:
            lines += [_entry(run, picture), ""]
    return "\n".join(lines)


def _entry(run: SiteRun, picture: Picture) -> str:
    place = f"pictures/{picture.notebook}/{picture.name}"
    links = [
        f'<a href="{place}{file.suffix}" download>{KEPT[file.suffix[1:]]}</a>'
        for file in _kept(run, picture)
    ]
    page = f"notebooks/{picture.notebook}.html#{picture.anchor}"
    where = f"{escaped(picture.section.title)}, cell [{picture.cell}]"
    links.insert(0, f'<a href="{page}">{where}</a>')
    missing = "" if len(links) == 1 + len(KEPT) else _NOT_KEPT
    shown = (
        f'<figure class="drawn"><a href="{place}.png"><img src="{place}.png" loading="lazy" '
        f'alt="{escaped(picture.alt(run.images))}"></a></figure>'
    )
    lines = [
        f"({picture.entry})=",
        f"### {picture.title}",
        "",
        shown,
        "",
        picture.caption,
        "",
        f'<p class="files">{" · ".join(links)}{missing}</p>',
        "",
    ]
    if picture.known:
        text = trail(run.folder / picture.notebook, f"{picture.name}.png")
        lines.append(details(f"{picture.title}: where it comes from", text))
    return "\n".join(lines)


_NOT_KEPT = ". Its SVG and CSV are not kept here: <code>make reproduce</code> writes them."
