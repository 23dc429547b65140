"""The trail of a figure."""

import base64
import json

import pytest

from compendium.explain import explain
from engine.errors import InputError
from engine.keys import file_digest


@pytest.fixture
def figure(tmp_path):
    place = tmp_path / "results" / "quick" / "04_evaluation"
    for name in ("figures/roc_ed1.png", "figures/roc_ed1.csv", "predictions/ed1.csv"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    files = {
        path.relative_to(place).as_posix(): file_digest(path)
        for path in place.rglob("*.*")
        if path.is_file()
    }
    shown = dict(data={"image/png": base64.b64encode(b"figures/roc_ed1.png").decode()})
    cells = [dict(execution_count=6, outputs=[]), dict(execution_count=7, outputs=[shown])]
    place.with_suffix(".ipynb").write_text(json.dumps(dict(cells=cells)))
    record = dict(
        files=files, figures=["roc_ed1"], store=["translators/abc.safetensors", "stacks/x.csv"],
        parents={"03_cyclegan_texture": "f" * 64},
        parameters=dict(profile="quick", data_kind="phantom"),
        seed=0, commit="c0ffee", lock="a" * 64, device="CPU", seconds=1.5,
    )  # fmt: skip
    (place / "run.json").write_text(json.dumps(record))
    (place.parent / "manifest.json").write_text(json.dumps(dict(data="d" * 64)))
    return place / "figures" / "roc_ed1.png"


def test_trail_names_all_that_a_figure_came_from(figure):
    text = explain(figure)
    for part in ("figures/roc_ed1.csv", "cell [7]", "predictions/ed1.csv", "translators/abc",
                 "03_cyclegan_texture", "profile quick, seed 0", "c0ffee", "d" * 64):  # fmt: skip
        assert part in text
    assert "stacks/x.csv" not in text


def test_what_is_no_figure_of_a_run_is_named(figure, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        explain(figure.with_name("none.png"))
    other = tmp_path / "other.png"
    other.write_text("x")
    with pytest.raises(InputError, match="not a figure of a run"):
        explain(other)
    figure.write_text("painted over")
    with pytest.raises(InputError, match="SHA-256"):
        explain(figure)


def test_a_notebook_without_predictions_and_weights_has_a_trail_too(figure):
    path = figure.parent.parent / "run.json"
    record = json.loads(path.read_text())
    record["files"].pop("predictions/ed1.csv")
    path.write_text(json.dumps(record | dict(store=[], parents={})))
    trail = dict(line.split(maxsplit=1) for line in explain(figure).splitlines())
    assert {trail[part] for part in ("predictions", "weights", "after")} == {"none"}


def test_the_cell_is_the_one_that_shows_the_figure(figure):
    notebook = figure.parent.parent.with_suffix(".ipynb")
    assert "04_evaluation.ipynb, cell [7]" in explain(figure)
    notebook.unlink()
    assert "cell [" not in explain(figure)
