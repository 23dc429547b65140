"""The notebooks of the reader study: short, without outputs; the analysis runs on answers."""

import json

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from compendium.claims import published
from compendium.reader_study.agreement import agreement_between, agreement_within, estimates
from compendium.reader_study.answers import Answer, AnswerFile
from compendium.reader_study.export import answer_table
from compendium.reader_study.figures import agreement_dots, reader_dots
from compendium.reader_study.study import open_study
from engine.paths import ROOT

APPS = ROOT / "notebooks" / "apps"


@pytest.fixture
def study(reader_study):
    """A study that two readers have read, who see what an image is three times of four."""
    study = open_study(reader_study)
    key = study.key().set_index("image")
    for seed, reader in enumerate(("anna", "bert")):
        rng = np.random.default_rng(seed)
        file = AnswerFile(study, reader)
        for place, name in enumerate(study.order(reader)):
            seen = rng.random() < 0.75
            file.append(
                Answer(
                    study=study.id, place=place, image=name, quality=int(rng.integers(1, 6)),
                    judged_real=bool(key.loc[name, "real"] == seen),
                    called=int(key.loc[name, "label"] == seen), comment="", seconds=2.0,
                    time="2025-01-01T00:00:00+00:00",
                )
            )  # fmt: skip
    return study


@pytest.mark.parametrize("name", ["reader_study", "reader_analysis"])
def test_notebook_sources_are_short_and_carry_no_output(name):
    notebook = nbformat.read(APPS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert all(len(cell.source.splitlines()) <= 15 for cell in code)


def test_the_analysis_runs_and_keeps_what_it_shows(study, monkeypatch):
    monkeypatch.setenv("COMPENDIUM_STUDY", str(study.folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(APPS / "reader_analysis.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    text = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert "Synthetic phantom" in text
    out = study.folder.with_name("study.results")
    answers = answer_table(study, key="")
    for name, table in (
        ("estimates", estimates(answers)),
        ("agreement_between", agreement_between(answers)),
        ("agreement_within", agreement_within(answers)),
    ):
        kept = pd.read_csv(out / f"{name}.csv", keep_default_na=True)
        pd.testing.assert_frame_equal(kept, table, check_dtype=False)
    assert {path.name for path in out.glob("*.png")} == {"readers.png", "agreement.png"}
    rest = [path.name for path in study.folder.iterdir()]
    assert sorted(rest) == ["answers", "images", "study.json"]


def test_figures_draw_every_kind_and_say_what_the_images_are(study):
    answers = answer_table(study, key="")
    kinds = {"ED1": True, "ED4": True, "cyclegan": False, "cyclegan_texture": False}
    names = ["no blastocyst", "blastocyst"]
    for readers, over in ((["anna", "bert"], "over readers and images"), (["anna"], "one reader")):
        table = estimates(answers[answers["reader"].isin(readers)])
        sheet, drawn = reader_dots(table, kinds, "synthetic phantom", names)
        words = " ".join(text.get_text() for text in sheet.texts).replace("\n", " ")
        assert "synthetic phantom" in words
        assert over in words
        assert "n = 8 images of a kind" in words
        assert set(drawn["kind"]) == set(kinds)
        assert set(drawn["reader"]) == {"all", *readers}
        labels = [tick.get_text() for tick in sheet.axes[2].get_yticklabels()]
        assert labels == ["ED1, raw", "ED4, raw", "CycleGAN", "CycleGAN + texture"]


def test_agreement_is_drawn_also_of_one_reader_and_without_repeats(study):
    answers = answer_table(study, key="")
    one = answers[(answers["reader"] == "anna")]
    for rows, panels in (
        (answers, {"between readers", "within a reader"}),
        (one, {"within a reader"}),
        (one[one["showing"] == 1], set()),
    ):
        sheet, drawn = agreement_dots(agreement_between(rows), agreement_within(rows), "real")
        assert set(drawn["panel"]) == panels
        assert len(sheet.axes) == 2


def test_published_ratings_are_those_of_the_claims():
    table = published.readers()
    assert table["published_as"].tolist()[-1] == "real images"
    assert table["rating"].between(1, 5).all()
    assert table["judged_real"].between(0, 1).all()
    assert len(table) == 4
