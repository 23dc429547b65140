"""Build the site of a run: write the sources of its pages, then let Sphinx make them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from compendium.site.backlinks import Use, uses
from compendium.site.cells import Picture, pictures, question_of, read_notebook, title_of
from compendium.site.claims_table import claims_page
from compendium.site.figure_index import figure_index, write_pictures
from compendium.site.library import write_library
from compendium.site.notebook_pages import write_notebook
from compendium.site.run import SiteRun
from compendium.site.story import story
from engine.paths import ROOT
from engine.results import replace_folder

SPHINX = Path(__file__).with_name("sphinx")  # its configuration, script and style
FACTS = "site.json"  # what the configuration of Sphinx reads of the run


class SiteError(RuntimeError):
    """Sphinx refused a page; its own words stand before."""


def build_site(results: str | Path) -> Path:
    """Build the site of ``results`` into its folder ``site``, which is replaced whole.

    Parameters
    ----------
    results
        Name of a profile, or a folder with the results of one.

    Returns
    -------
    The folder; its first page is ``index.html``.

    Raises
    ------
    InputError
        There are no finished results.
    SiteError
        Sphinx warned of something or failed; what stood there stays.
    """
    run = SiteRun.open(results)
    partial = run.folder / ".site.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write_sources(run, partial / "source", partial / "beside")
        _make_pages(partial)
        replace_folder(partial / "html", run.folder / "site")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return run.folder / "site"


def _write_sources(run: SiteRun, source: Path, beside: Path) -> None:
    """Write pages into ``source``, and what is only copied into ``beside``."""
    for folder in (source / "notebooks", source / "library", beside / "files"):
        folder.mkdir(parents=True)
    titles: dict[str, str] = {}
    questions: dict[str, str] = {}
    found: dict[str, list[Picture]] = {}
    backlinks: dict[str, list[tuple[str, str, bool]]] = {}
    for name, path in run.notebooks.items():
        notebook = read_notebook(path)
        titles[name], questions[name] = title_of(notebook), question_of(notebook)
        found[name] = pictures(name, notebook, run.record(name))
        used = uses(name, notebook)
        for use in used:
            words = f"{titles[name]}: {use.section.title}"
            backlinks.setdefault(use.name, []).append((use.section.label, words, use.shown))
        page = source / "notebooks" / f"{name}.ipynb"
        write_notebook(run, name, notebook, found[name], _once(used), page)
        write_pictures(run, found[name], beside / "pictures")
        shutil.copyfile(path, beside / "files" / path.name)
    (source / "index.md").write_text(story(run, titles, questions, found))
    (source / "figures.md").write_text(figure_index(run, titles, found))
    (source / "claims.md").write_text(claims_page(run))
    write_library(source / "library")
    facts = dict(profile=run.profile, images=run.images, backlinks=backlinks)
    (source / FACTS).write_text(json.dumps(facts))


def _once(used: list[Use]) -> list[Use]:
    return list({use.name: use for use in used}.values())


def _make_pages(partial: Path) -> None:
    quiet_and_strict = ["-q", "-W", "--keep-going", "-j", "2"]
    places = ["-d", partial / "doctrees", partial / "source", partial / "html"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *quiet_and_strict, "-c", SPHINX, *places],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    if done.returncode:
        raise SiteError("Sphinx stopped; its words stand above. The site before stays as it was.")
