"""The site as a reader meets it: links, pictures, widths, without a script, for screen readers."""

import json
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from compendium.claims.book import load_claims
from engine.notebooks import notebook_paths, read_cells

DESKTOP, PHONE = dict(width=1280, height=900), dict(width=375, height=812)
KINDS = [
    "index.html", "claims.html", "figures.html", "search.html", "library/index.html",
    "library/lib.evaluation.arms.html", "_modules/lib/models/texture.html",
    *(f"notebooks/{path.stem}.html" for path in notebook_paths("embryo")),
]  # fmt: skip


class Page(HTMLParser):
    """Identities, links, sources and pictures of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loaded, self.pictures = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("img", "script") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") != "canonical":
            self.loaded.append(given["href"])
        if tag == "img":
            self.pictures.append(given)


@pytest.fixture(scope="session")
def pages(site):
    """Every page by its path."""
    found = [path for path in sorted(site.rglob("*.html")) if site / "_static" not in path.parents]
    return {path: Page(path.read_text()) for path in found}


@pytest.fixture
def look(browser, site):
    """Open a page; console errors and requests that leave the site fail the test."""
    contexts, wrong = [], []

    def opened(path, size=DESKTOP, **settings):
        contexts.append(browser.new_context(viewport=size, **settings))
        page = contexts[-1].new_page()
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: _outside(asked.url) and wrong.append(asked.url))
        page.goto(f"{site.as_uri()}/{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def _outside(address):
    return urlsplit(address).scheme not in ("file", "data", "blob")


def test_every_link_leads_to_a_page_and_a_place_on_it(pages, site):
    broken, followed = [], 0
    for path, page in pages.items():
        for address in [*page.links, *page.loaded]:
            parts = urlsplit(address)
            if parts.scheme:
                continue
            followed += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            there = target.is_file() and target.is_relative_to(site)
            if not there or (target in pages and unquote(parts.fragment or "") not in {
                "", *pages[target].ids,
            }):  # fmt: skip
                broken.append(f"{path.relative_to(site)}: {address}")
    assert broken == []
    assert followed > 1000


def test_nothing_is_loaded_from_elsewhere(pages):
    loaded = {address for page in pages.values() for address in page.loaded}
    assert [address for address in loaded if urlsplit(address).scheme not in ("", "data")] == []


def test_every_picture_says_what_it_shows(pages, site):
    pictures = [(path, given) for path, page in pages.items() for given in page.pictures]
    assert [path for path, given in pictures if len(given.get("alt") or "") < 20] == []
    shown = {(path.parent / given["src"]).resolve() for path, given in pictures}
    assert shown >= set((site / "pictures").rglob("*.png"))


def test_every_figure_of_the_run_is_in_the_index_and_its_notebook(pages, site):
    records = {path.stem: site.parent / path.stem / "run.json" for path in notebook_paths("embryo")}
    for name, record in records.items():
        notebook = (site / "notebooks" / f"{name}.html").read_text()
        index = (site / "figures.html").read_text()
        for figure in json.loads(record.read_text())["figures"]:
            source = f"pictures/{name}/{figure}.png"
            assert f'src="{source}"' in index
            assert f'src="../{source}"' in notebook
            assert f"drawn from  figures/{figure}.csv" in index


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_are_accessible_and_as_wide_as_the_screen(path, size, look):
    page = look(path, size)
    options = dict(preload=False)  # else it asks for the style sheets again, which files refuse
    found = Axe().run(page, options=options).response["violations"]
    grave = [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]][:3])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    assert grave == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_every_page_fits_a_phone(look, pages, site):
    page = look("index.html", PHONE, java_script_enabled=False)
    wide = []
    for path in pages:
        if site / "_modules" in path.parents:  # source scrolls in its frame; one is looked at above
            continue
        page.goto(path.as_uri())  # until the style sheets are there, which decide the width
        if page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
            wide.append(path.relative_to(site).as_posix())
    assert wide == []


def test_the_way_on_is_whole_on_a_phone(look):
    page = look("library/lib.evaluation.arms.html", PHONE)
    ways = page.locator(".prev-next-area a")
    assert ways.count() == 2
    for way in ways.all():
        assert way.evaluate("link => link.scrollWidth <= link.clientWidth")


@pytest.mark.parametrize("path", notebook_paths("embryo"), ids=lambda path: path.stem)
def test_notebooks_are_whole_without_a_script(path, look):
    page = look(f"notebooks/{path.stem}.html", java_script_enabled=False)
    cells = json.loads(path.read_text())["cells"]
    for cell in cells:
        heads = [line for line in cell["source"] if line.startswith("## ")]
        for head in heads if cell["cell_type"] == "markdown" else []:
            words = head.strip("# \n")
            assert page.locator("h2", has_text=words).first.is_visible(), words
    pictures = page.locator("figure.drawn img")
    assert pictures.count() > 0
    for picture in pictures.all():
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert page.locator(".scrolling table").first.is_visible()
    code = page.locator("details", has_text="profile =").first
    assert not code.locator("pre").first.is_visible()
    code.locator("summary").click()
    assert code.locator("pre").first.is_visible()


def test_answers_stay_folded_with_what_they_print(look):
    page = look("notebooks/04_evaluation.html")
    answer = page.locator("details", has=page.locator("summary", has_text="Answer"))
    path = next(path for path in notebook_paths("embryo") if path.stem == "04_evaluation")
    assert answer.count() == sum("solution" in cell["tags"] for cell in read_cells(path)) > 0
    outputs = answer.locator(".output")
    assert outputs.count() >= answer.count()
    assert not any(outputs.nth(number).is_visible() for number in range(outputs.count()))


def test_claims_are_filtered(look, site):
    verdicts = json.loads((site.parent / "claims.json").read_text())
    page = look("claims.html")
    shown = page.locator("#claims tbody tr:visible")
    assert shown.count() == len(verdicts)
    chosen = {name: page.locator(f"#claims-filter select[name={name}]")
              for name in ("system", "verdict", "rung")}  # fmt: skip
    chosen["verdict"].select_option("inconsistent")
    odd = [v["claim"] for v in verdicts if v["verdict"] == "inconsistent"]
    assert shown.locator("code").all_text_contents() == odd
    chosen["system"].select_option("S3")
    some = [v for v in verdicts if (v["verdict"], v["system"]) == ("inconsistent", "S3")]
    assert 0 < len(some) < len(odd)
    assert shown.count() == len(some)
    assert page.locator("#claims-filter output").text_content() == (
        f"{len(some)} of {len(verdicts)} verdicts"
    )
    chosen["verdict"].select_option("all")
    chosen["rung"].select_option("none")
    assert shown.count() == sum((v["rung"], v["system"]) == ("none", "S3") for v in verdicts)


def test_claims_are_complete_without_a_script(look):
    page = look("claims.html", java_script_enabled=False)
    assert not page.locator("#claims-filter").is_visible()
    shown = page.locator("#claims tbody tr:visible code").all_text_contents()
    assert set(shown) == {claim.id for claim in load_claims().claims}


def test_search_finds_without_a_server(look):
    page = look("search.html?q=histogram")
    page.wait_for_selector("ul.search li")
    found = page.locator("ul.search li").all_text_contents()
    assert any("04 Evaluation" in words for words in found)


def test_the_keyboard_can_be_followed(look):
    page = look("claims.html")
    seen = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.outerHTML.slice(0, 120), s.outlineStyle, parseFloat(s.outlineWidth),"
            " s.boxShadow] }"
        )
        if focus[0].startswith("<body"):  # past the last element, before the first
            continue
        seen.add(focus[0])
        assert (focus[1] != "none" and focus[2] >= 1) or focus[3] != "none", focus
    assert len(seen) > 15


def test_on_paper_nothing_is_cut(look):
    for path in ("notebooks/03_cyclegan_texture.html", "notebooks/04_evaluation.html",
                 "claims.html"):  # fmt: skip
        page = look(path, dict(width=718, height=1050))  # A4 within its margins
        page.emulate_media(media="print")
        cut = page.evaluate(
            "[...document.querySelectorAll('.bd-article :is(pre, table, img)')].filter("
            "part => part.checkVisibility() && (part.scrollWidth > part.clientWidth + 1"
            " || part.getBoundingClientRect().right > innerWidth)).map(part => part.outerHTML)"
        )
        assert [part[:200] for part in cut] == []


def test_on_paper_there_is_the_article_alone(look):
    page = look("notebooks/04_evaluation.html")
    assert page.locator(".bd-sidebar-primary").is_visible()
    page.emulate_media(media="print")
    for part in (".bd-sidebar-primary", ".bd-sidebar-secondary", ".prev-next-footer"):
        assert not page.locator(part).first.is_visible(), part
    assert page.locator("figure.drawn img").first.is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
