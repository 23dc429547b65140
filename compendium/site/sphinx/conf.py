"""Sphinx: how the pages that `compendium.site` writes become a site that needs no network."""

import json
import sys
from pathlib import Path

from compendium.site.docstrings import as_rst

HERE = Path(__file__).resolve().parent
SOURCE = Path(sys.argv[-2])  # python -m sphinx … SOURCE OUT
FACTS = json.loads((SOURCE / "site.json").read_text())

project = "CycleGANs with an adaptive texture loss"
author = "the compendium's authors"
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

nb_execution_mode = "off"
nb_ipywidgets_js = {}  # they would come from another server
nb_merge_streams = True
myst_enable_extensions = ["colon_fence"]

add_module_names = False  # the title of the page says it
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "code"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

viewcode_follow_imported_members = False
html_domain_indices = False
html_theme = "sphinx_book_theme"
html_title = f"{project}: {FACTS['profile']}"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_js_files = [("claims.js", {"defer": "defer"})]
html_extra_path = [str(SOURCE.parent / "beside")]
html_show_search_summary = False  # it is fetched, which a browser refuses for files
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_context = {"default_mode": "light"}
html_theme_options = {
    "announcement": f"Profile {FACTS['profile']}: {FACTS['images']}. Not a medical device.",
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
    "max_navbar_depth": 1,
    "pygments_light_style": "a11y-high-contrast-light",
}


def read_docstring(app, what, name, thing, options, lines):
    """Turn a docstring into what napoleon and docutils read as it was meant."""
    lines[:] = as_rst(lines)


def skip_what_others_wrote(app, what, name, thing, skip, options):
    """Leave out what a class got from another library."""
    return skip or not getattr(thing, "__module__", "lib").startswith("lib")


def shorten_signature(app, what, name, thing, options, signature, returned):
    """Write what a dataclass fills in itself so that a signature can be read as Python."""
    return signature and signature.replace("<factory>", "..."), returned


def add_backlinks(app, what, name, thing, options, lines):
    """Say under a docstring which notebooks use the function, and which show its source."""
    uses = FACTS["backlinks"].get(name, [])
    for words, shown in (("Its source is shown in", True), ("Used in", False)):
        links = [f":ref:`{title} <{label}>`" for label, title, source in uses if source == shown]
        if links:
            lines += ["", f"{words} {', '.join(links)}.", ""]


def name_what_unfolds(app, page, template, context, doctree):
    """Let the words of a folded cell be its name: MyST-NB gives all of them the same one."""
    if "body" in context:
        context["body"] = context["body"].replace(' aria-label="Toggle hidden content"', "")


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", read_docstring, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-skip-member", skip_what_others_wrote)
    app.connect("autodoc-process-docstring", add_backlinks, priority=900)  # after napoleon
    app.connect("html-page-context", name_what_unfolds)
