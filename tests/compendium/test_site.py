"""What the site's pages are made of; the built pages are tested in tests/browser."""

import base64
import hashlib
import json
import shutil

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from compendium.__main__ import main
from compendium.readme import compared_arms
from compendium.site import build
from compendium.site.backlinks import uses
from compendium.site.cells import pictures, question_of, section_of, title_of
from compendium.site.claims_table import claims_page
from compendium.site.docstrings import as_rst
from compendium.site.figure_index import figure_index, write_pictures
from compendium.site.notebook_pages import WIDGET, write_notebook
from compendium.site.run import SiteRun
from compendium.site.story import lead_of, story
from engine.errors import InputError
from engine.paths import ROOT
from lib.figures.style import arm_name

SMOKE = ROOT / "results" / "reference" / "smoke"
PNG = b"a picture"


@pytest.fixture
def smoke(tmp_path):
    """A copy of the kept smoke results."""
    return shutil.copytree(SMOKE, tmp_path / "smoke")


def shown(png, **more):
    data = {"image/png": base64.b64encode(png).decode()} | more
    return new_output("display_data", data)


def a_notebook():
    """Two sections; a figure with words after it, one with words before it alone."""
    head = "# 01 A title\n\n**Question.** What of it?\n\n**Inputs.** None."
    cells = [
        new_markdown_cell(head),
        new_code_cell("import pandas\nfrom lib.evaluation import arms", execution_count=1),
        new_markdown_cell("## First\n\nWhat leads to it."),
        new_code_cell("arms.compare_arms(1)", execution_count=2, outputs=[shown(PNG)]),
        new_markdown_cell("How to *read* it.\n\n## Second `part`\n\nOnly before."),
        new_code_cell("x = 1", execution_count=3, outputs=[shown(b"another")]),
    ]
    return new_notebook(cells=cells)


def a_record(**more):
    files = {"figures/roc_ed1.png": hashlib.sha256(PNG).hexdigest()}
    domains = dict(source_domain="ED4", target_domain="ED1", second_target_domain="ED3")
    return dict(files=files, parameters=domains) | more


def test_pictures_carry_the_name_and_the_words_of_their_figure():
    first, second = pictures("n", a_notebook(), a_record())
    assert (first.name, first.title, first.known) == ("roc_ed1", "ROC ED1", True)
    assert (first.cell, first.section.title, first.png) == (2, "First", PNG)
    assert first.caption == "How to *read* it."
    assert (second.known, second.section.title) == (False, "Second part")
    assert second.caption == "Only before."
    assert "ROC ED1" in first.alt("synthetic phantom images")
    assert "synthetic phantom images" in first.alt("synthetic phantom images")


def test_title_and_question_are_those_of_the_first_cell():
    assert title_of(a_notebook()) == "01 A title"
    assert question_of(a_notebook()) == "What of it?"


def test_uses_follow_imports_stars_and_what_calls_give():
    cells = [
        new_markdown_cell("# T"),
        new_code_cell(
            "from lib.evaluation import arms\n"
            "from lib.notebook import start\n"
            "from lib.models import cyclegan as networks\n"
            "from lib.figures import *\n"
            "run = start('n', globals())"
        ),
        new_markdown_cell("## Use"),
        new_code_cell("run.figure(*roc_plot(arms.compare_arms(1)), name='x')\nother.figure()"),
        new_markdown_cell("## Show"),
        new_code_cell("run.show_source(networks.Generator)"),
    ]
    found = [
        (use.name, use.section.title, use.shown) for use in uses("n", new_notebook(cells=cells))
    ]
    assert ("lib.notebook.start", "T", False) in found
    assert ("lib.notebook.Run.figure", "Use", False) in found
    assert ("lib.figures.curves.roc_plot", "Use", False) in found
    assert ("lib.evaluation.arms.compare_arms", "Use", False) in found
    assert ("lib.models.cyclegan.Generator", "Show", True) in found
    assert not [name for name, section, _ in found if section == "Use" and "Generator" in name]


def test_sections_are_those_a_cell_ends_in():
    inside = section_of("n", a_notebook())
    assert [inside[number].title for number in (0, 3, 5)] == ["01 A title", "First", "Second part"]
    assert len({section.label for section in inside.values()}) == 3


@pytest.fixture
def written(smoke):
    """Cells of a page with every kind of output, and its tags."""
    run = SiteRun.open(smoke)
    notebook = a_notebook()
    notebook.cells[1].metadata["tags"] = ["parameters"]
    notebook.cells[5].metadata["tags"] = ["solution"]
    notebook.cells[3].outputs += [
        new_output("display_data", {WIDGET: {}, "text/plain": "a slider"}),
        new_output("display_data", {"text/html": '<style scoped>x</style><table border="1">'}),
        new_output("stream", name="stderr", text="beware <of> it"),
        new_output("stream", name="stdout", text="printed"),
    ]
    name = "01_data_audit"
    found = pictures(name, notebook, a_record())
    place = smoke / "page.ipynb"
    write_notebook(run, name, notebook, found, [], place)
    page = nbformat.read(place, as_version=4)
    nbformat.validate(page)
    return page.cells


def test_outputs_become_what_needs_no_script(written):
    figure, widget, table, warned, printed = written[4].outputs
    html = figure.data["text/html"]
    assert 'id="figure-roc-ed1"' in html
    assert 'src="../pictures/01_data_audit/roc_ed1.png" alt="ROC ED1' in html
    assert "image/png" not in figure.data
    assert WIDGET not in widget.data
    assert "<table class" not in table.data["text/html"]
    assert "<table>" in table.data["text/html"]
    assert "style scoped" not in table.data["text/html"]
    assert "beware &lt;of&gt; it" in warned.data["text/html"]
    assert printed.text == "printed"


def test_code_is_folded_and_answers_with_what_they_print(written):
    tags = [cell.metadata.get("tags", []) for cell in written if cell.cell_type == "code"]
    assert tags == [["parameters", "hide-input"], ["hide-input"], ["solution", "hide-cell"]]
    prompts = [c.metadata["mystnb"]["code_prompt_show"] for c in written if c.cell_type == "code"]
    assert [prompt.split()[0] for prompt in prompts] == ["Parameters", "Code", "Answer"]
    assert all(f"[{number}]" in prompt for number, prompt in enumerate(prompts, start=1))


def test_every_heading_can_be_linked_to(written):
    text = "\n".join(cell.source for cell in written if cell.cell_type == "markdown")
    assert "(01_data_audit-section-1)=\n## First" in text
    assert "(01_data_audit-section-2)=\n## Second `part`" in text


def test_docstrings_keep_their_meaning_in_restructured_text():
    lines = [
        "Numbers, (N, *shape) or |x|; ``a*b`` stays.", "", "name    what it is", "        goes on",
        "", "Returns", "-------", "Columns a, b.", "", "Raises", "------", "InputError",
        "    It is not there.",
    ]  # fmt: skip
    text = "\n".join(as_rst(lines))
    assert r"(N, \*shape) or \|x\|; ``a*b`` stays." in text
    assert "::\n\n    name    what it is\n            goes on" in text
    assert (
        "\n\n\n.. rubric:: Returns\n\nColumns a, b.\n\nRaises\n------\nInputError\n    It" in text
    )


def test_named_results_are_listed():
    lines = ["T.", "", "Returns", "-------", "a : one that", "    goes on", "b : two"]
    assert "\n".join(as_rst(lines)).endswith("- a : one that\n  goes on\n- b : two")


def test_lead_of_the_readme_ends_before_its_picture():
    assert lead_of("# T\n\none\n\ntwo\n\n![x](y)\n\nthree") == ("T", "one\n\ntwo")
    title, lead = lead_of((ROOT / "README.md").read_text())
    assert "\n" not in title
    assert "phantom" in lead
    with pytest.raises(ValueError, match="then a picture"):
        lead_of("# T\n\nno picture")


def opened(folder):
    """A run with titles, questions and pictures of its notebooks."""
    run = SiteRun.open(folder)
    notebooks = {name: nbformat.read(path, as_version=4) for name, path in run.notebooks.items()}
    titles = {name: title_of(notebook) for name, notebook in notebooks.items()}
    asked = {name: question_of(notebook) for name, notebook in notebooks.items()}
    found = {name: pictures(name, nb, run.record(name)) for name, nb in notebooks.items()}
    return run, titles, asked, found


def test_the_story_prints_the_numbers_of_the_run(smoke):
    path = smoke / "metrics.json"
    metrics = json.loads(path.read_text())
    for metric in metrics.values():
        metric.update(value=0.123, low=0.1, high=0.2)
    path.write_text(json.dumps(metrics))
    text = story(*opened(smoke))
    assert text.count("0.123 [0.100, 0.200]") > 20
    assert "The images of this run are synthetic" in text
    named = {arm_name(arm) for _, arm, *_ in compared_arms(metrics)}
    assert all(f"\n- {name}: " in text for name in named)
    changed = smoke / "04_evaluation" / "tables" / "differences.csv"
    lines = changed.read_text().splitlines()
    low, high = lines[0].split(",").index("low"), lines[0].split(",").index("high")
    rows = [line.split(",") for line in lines[1:]]
    for row in rows:
        row[low], row[high] = "-0.2", "-0.1"
    changed.write_text("\n".join([lines[0], *map(",".join, rows)]) + "\n")
    told = story(*opened(smoke))
    for metric in ("balanced accuracy", "AUC"):
        assert told.count(f"**worse**, {metric}") > text.count(f"**worse**, {metric}")


def test_real_images_are_never_called_synthetic(smoke):
    path = smoke / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["parameters"]["data_kind"] = "table"
    path.write_text(json.dumps(manifest))
    run, *rest = opened(smoke)
    text = story(run, *rest)
    assert "The images of this run are synthetic" not in text
    assert "This run is on real images" in text
    assert "translators never saw the evaluated images" in text
    manifest["parameters"]["transductive"] = True
    manifest["parameters"]["second_target_optics"] = "ED1"
    path.write_text(json.dumps(manifest))
    run, *rest = opened(smoke)
    assert "semi-synthetic" in run.images
    assert "translators saw the evaluated images" in story(run, *rest)


def test_figures_are_handed_out_with_what_the_run_kept(smoke, tmp_path):
    name = "04_evaluation"
    table = smoke / name / "figures" / "roc_ed1.csv"
    table.write_text("fpr,tpr\n")
    run, titles, _, found = opened(smoke)
    write_pictures(run, found[name], tmp_path / "pictures")
    assert (tmp_path / "pictures" / name / "roc_ed1.csv").read_text() == "fpr,tpr\n"
    for picture in found[name]:
        assert (tmp_path / "pictures" / name / f"{picture.name}.png").read_bytes() == picture.png
    page = figure_index(run, titles, found)
    assert 'href="pictures/04_evaluation/roc_ed1.csv"' in page
    assert 'href="pictures/04_evaluation/bars_ed1.csv"' not in page
    assert page.count("\n### ") == sum(map(len, found.values())) > 20


def test_claims_of_another_claims_file_are_refused(smoke):
    page = claims_page(SiteRun.open(smoke))
    verdicts = json.loads((smoke / "claims.json").read_text())
    assert page.count("<tr data-system=") == len(verdicts)
    assert all(f"\n- Verdict *{verdict['verdict']}*: " in page for verdict in verdicts)
    verdicts[0]["claim"] = "s1.gone"
    (smoke / "claims.json").write_text(json.dumps(verdicts))
    with pytest.raises(InputError, match=r"'s1\.gone' is judged there"):
        claims_page(SiteRun.open(smoke))


@pytest.mark.parametrize(
    ("gone", "words"),
    [("manifest.json", "make reproduce PROFILE=smoke"), ("claims.json", "make claims")],
)
def test_what_is_missing_is_named(gone, words, smoke, capsys, monkeypatch):
    (smoke / gone).unlink()
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(smoke.parent))
    for results in ("smoke", str(smoke)):
        assert main(["site", results]) == 2
        said = capsys.readouterr().err
        assert gone in said
        assert words in said
    assert not (smoke / "site").exists()


def test_a_build_that_fails_leaves_the_site_before(smoke, monkeypatch):
    (smoke / "site").mkdir()
    (smoke / "site" / "index.html").write_text("before")
    monkeypatch.setattr(build, "story", lambda *args: "# T\n\n{ref}`nowhere`\n")
    monkeypatch.setattr(build, "write_library", lambda folder: None)
    with pytest.raises(build.SiteError, match="Sphinx stopped"):
        build.build_site(smoke)
    assert (smoke / "site" / "index.html").read_text() == "before"
    assert not list(smoke.glob(".site*"))
