"""Widgets, without a page: moving a control changes the picture, and by what it should."""

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from ipywidgets import Button, Checkbox, Dropdown, FloatSlider, SelectionSlider, ToggleButtons
from PIL import Image

from compendium import widgets
from compendium.widgets.images import wiped
from compendium.widgets.interactive import difference_map
from engine.errors import InputError
from engine.notebooks import notebook_paths, read_cells
from engine.paths import ROOT
from lib.evaluation.metrics import confusion
from lib.evaluation.safety import fates, first_of_each
from lib.figures.pictures import Pictures, load_pictures, save_pictures
from lib.phantom.embryo import grow
from lib.phantom.faults import FAULTS, photograph_with
from lib.phantom.optics import photograph

NOTE = "synthetic phantom"


def find(panel, kind):
    """Controls of one kind, at any depth."""
    inner = [found for child in getattr(panel, "children", ()) for found in find(child, kind)]
    return inner + [panel] * isinstance(panel, kind)


def view(panel):
    return panel.children[-1].value


def shown(panel):
    """The pictures of a widget: name to array."""
    pairs = re.findall(r"<figcaption[^>]*>(.*?)</figcaption><img[^>]*base64,([^']+)'", view(panel))
    return {
        name: np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for name, data in pairs
    }


def flat(grey, count=2):
    return torch.full((count, 1, 32, 32), grey, dtype=torch.uint8)


# The phone's faults


@pytest.fixture(scope="module")
def embryos():
    seeds = np.array([3, 8])
    return grow(seeds, 64, 0.6), seeds


def test_all_faults_together_are_the_phone(embryos):
    assert np.array_equal(
        photograph_with(*embryos, FAULTS, 64), photograph(*embryos, "ED1", 64).images
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_changes_the_photograph_and_leaves_the_draws_of_the_others(embryos, fault):
    ideal, faulty = (
        photograph_with(*embryos, faults, 64).astype(float) for faults in ((), [fault])
    )
    assert np.abs(faulty - ideal).mean() > 0.5
    if fault in ("noise", "JPEG"):  # JPEG comes last: nothing draws after it
        return
    noisy, both = (
        photograph_with(*embryos, faults, 64).astype(float)
        for faults in (["noise"], [fault, "noise"])
    )
    held = np.abs(np.stack([ideal, faulty]) - 127).max(axis=0) < 90  # no light is cut off there
    grain, with_fault = (noisy - ideal)[held], (both - faulty)[held]
    assert held.sum() > 500
    assert np.corrcoef(grain, with_fault)[0, 1] > 0.4


def test_unknown_fault_is_refused(embryos):
    with pytest.raises(InputError, match=r"'dust' is unknown: choose from uneven light"):
        photograph_with(*embryos, ["dust"], 64)


# Pictures with the results


def test_pictures_are_read_as_they_were_written(tmp_path):
    looks = {"raw": torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8), "a": flat(9)}
    made = Pictures(looks, ["one", "two"], NOTE, dict(weights={"a": "none"}))
    save_pictures(tmp_path / "p.safetensors", made)
    read = load_pictures(tmp_path / "p.safetensors")
    assert list(read.looks) == ["raw", "a"]
    assert all(torch.equal(read.looks[name], looks[name]) for name in looks)
    assert (read.names, read.note, read.facts) == (made.names, NOTE, made.facts)


def test_missing_and_damaged_pictures_are_named(tmp_path):
    with pytest.raises(InputError, match=r"p\.safetensors: no such file.*make reproduce"):
        load_pictures(tmp_path / "p.safetensors")
    (tmp_path / "p.safetensors").write_bytes(b"none")
    with pytest.raises(InputError, match=r"p\.safetensors: no pictures of a widget"):
        load_pictures(tmp_path / "p.safetensors")


# The widgets


def test_weight_slider_shows_the_translation_of_that_weight_and_its_distance():
    looks = dict(raw=flat(100), cyclegan=flat(160), too_strong=flat(110), truth=flat(150))
    weights = dict(cyclegan="none", too_strong="9")
    panel = widgets.texture_weight(Pictures(looks, ["a", "b"], NOTE, dict(weights=weights)))
    assert NOTE in panel.children[0].value
    assert list(shown(panel)) == ["raw", "translated", "truth", "translated − truth, red: brighter"]
    assert shown(panel)["translated"].mean() == 160
    assert "Weight none: 60.0 grey levels away from the untouched image, 10.0 from the truth." in (
        view(panel)
    )
    (slider,) = find(panel, SelectionSlider)
    slider.value = "too_strong"
    assert shown(panel)["translated"].mean() == 110
    assert "Weight 9: 10.0 grey levels away from the untouched image, 40.0" in view(panel)


def test_weight_slider_compares_with_the_untouched_image_where_no_truth_is_known():
    looks = dict(raw=flat(100), cyclegan=flat(160))
    panel = widgets.texture_weight(
        Pictures(looks, ["a", "b"], NOTE, dict(weights=dict(cyclegan="none")))
    )
    assert list(shown(panel)) == ["raw", "translated", "translated − raw, red: brighter"]
    assert "truth" not in view(panel)


def test_difference_is_red_where_the_first_is_brighter():
    bright, dark = flat(180)[0].numpy(), flat(100)[0].numpy()
    more, less = difference_map(bright, dark, 60)[0, 0], difference_map(dark, bright, 60)[0, 0]
    assert more[0] > more[2]
    assert less[2] > less[0]


def test_swipe_lays_the_left_share_of_after_over_before():
    before, after = (np.full((4, 32, 3), grey, dtype=np.uint8) for grey in (10, 200))
    result = wiped(before, after, 0.25)
    assert (result[:, :8] == 200).all()
    assert (result[:, 9:] == 10).all()
    assert wiped(before, after, 1.0).min() == 200


def test_swipe_slider_moves_the_edge():
    looks = dict(raw=flat(0), cyclegan=flat(90), cyclegan_texture=flat(250))
    panel = widgets.swipe(Pictures(looks, ["a", "b"], NOTE, dict(after="cyclegan_texture")))
    (slider,) = find(panel, FloatSlider)
    slider.value = 100
    assert shown(panel)["swipe"].mean() == 250
    find(panel, Dropdown)[1].value = "cyclegan"
    assert shown(panel)["swipe"].mean() == 90
    slider.value = 0
    assert shown(panel)["swipe"].mean() == 0


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    return pd.concat(
        [
            pd.DataFrame(
                dict(id=[str(i) for i in range(40)], label=label, arm=arm,
                     score=np.clip(rng.normal(shift + 0.3 * label, 0.2), 0, 1))
            )
            for arm, shift in (("raw", 0.1), ("cyclegan", 0.4))
        ]
    )  # fmt: skip


def test_threshold_slider_counts_and_goes_back_to_the_frozen_one(predictions):
    panel = widgets.threshold_slider(predictions, dict(raw=0.25, cyclegan=0.5), NOTE)
    (slider,), (arm,) = find(panel, FloatSlider), find(panel, Dropdown)
    arm.value = "cyclegan"
    assert slider.value == 0.5
    slider.value = 0.7
    own = predictions[predictions["arm"] == "cyclegan"]
    counts = confusion(own["label"], own["score"], 0.7)
    said = f"{counts[1, 1]} of 20 blastocyst and {counts[0, 0]} of 20 no blastocyst called right"
    assert f"Threshold 0.700: {said}" in view(panel)
    moved = view(panel)
    find(panel, Button)[0].click()
    assert slider.value == 0.5
    assert view(panel) != moved


def test_bench_switches_one_fault_of_the_phone(monkeypatch):
    panel = widgets.device_bench()
    switches = {switch.description: switch for switch in find(panel, Checkbox)}
    assert list(switches) == list(FAULTS)
    before = shown(panel)
    assert np.array_equal(before["no fault"], before["your phone"])
    switches["blur"].value = True
    after = shown(panel)
    assert not np.array_equal(after["no fault"], after["your phone"])
    assert "On: blur." in view(panel)
    for switch in switches.values():
        switch.value = True
    assert np.array_equal(shown(panel)["your phone"], shown(panel)["ED1, all faults"])


def test_quiz_hides_the_truth_until_answered_and_counts_the_first_answer():
    looks = dict(original=flat(50), translated=flat(120), truth=flat(90))
    facts = dict(structure="cavity", verdict=["invented", "kept"], read=[0.2, 0.1], true=[0.0, 0.1])
    panel = widgets.spot_the_hallucination(Pictures(looks, ["no", "yes"], NOTE, facts))
    (image,), (answer,) = find(panel, Dropdown), find(panel, ToggleButtons)
    assert list(shown(panel)) == ["original", "translated"]
    assert "invented" not in view(panel)
    answer.value = "erased"
    assert list(shown(panel)) == [
        "original",
        "translated",
        "truth",
        "translated − truth, red: brighter",
    ]
    assert "Wrong. As" in view(panel)
    assert "a cavity was invented: it reads 20.0 % of the translation as cavity" in view(panel)
    answer.value = "invented"
    assert "0 of 1 right so far" in view(panel)
    image.value = 1
    assert answer.value is None
    assert list(shown(panel)) == ["original", "translated"]
    answer.value = "kept"
    assert "Right. As" in view(panel)
    assert "no cavity was invented or erased: it reads 10.0 %" in view(panel)
    assert "1 of 2 right so far" in view(panel)


def test_text_of_a_user_cannot_become_markup():
    looks = dict(raw=flat(1), cyclegan=flat(2))
    facts = dict(weights={"cyclegan": "<b>none</b>"})
    panel = widgets.texture_weight(Pictures(looks, ["a", "b"], "<script>", facts))
    assert "<b>none" not in view(panel)
    assert "<script>" not in panel.children[0].value


# What was invented


def masks(*shares):
    return torch.stack([torch.arange(100).reshape(10, 10) < round(100 * s) for s in shares])


def test_verdict_is_given_only_where_the_network_reads_the_true_photograph_rightly():
    truth = masks(0.0, 0.3, 0.3, 0.0, 0.3)
    control = masks(0.0, 0.3, 0.3, 0.2, 0.0)
    read = masks(0.2, 0.0, 0.1, 0.0, 0.3)
    table = fates(read, control, truth)
    assert table["place"].tolist() == [0, 1, 2]
    assert table["verdict"].tolist() == ["invented", "erased", "kept"]
    assert table["read"].tolist() == pytest.approx([0.2, 0.0, 0.1])
    assert table["true"].tolist() == pytest.approx([0.0, 0.3, 0.3])


def test_quiz_takes_the_images_after_those_of_the_figure():
    table = pd.DataFrame(dict(place=range(6), verdict=["kept", "kept", "erased"] * 2))
    figure, quiz = first_of_each(table, 1), first_of_each(table, 2, skip=1)
    assert figure["place"].tolist() == [0, 2]
    assert quiz["place"].tolist() == [1, 3, 5]
    assert first_of_each(table.head(0), 2).empty


# In the notebooks


def test_headless_run_prints_a_line_and_builds_nothing(monkeypatch, capsys):
    given = []
    monkeypatch.setattr(
        "compendium.widgets.interactive.display", lambda *parts: given.extend(parts)
    )
    monkeypatch.setenv("COMPENDIUM_HEADLESS", "1")
    widgets.show(lambda: given.append("built"))
    assert capsys.readouterr().out.startswith("Interactive in Jupyter")
    assert given == []
    monkeypatch.delenv("COMPENDIUM_HEADLESS")
    widgets.show(lambda word: word, "panel")
    assert given[0] == "panel"


@pytest.mark.parametrize("path", notebook_paths("embryo"), ids=lambda path: path.stem)
def test_widget_stands_behind_a_figure(path):
    code = [cell["source"] for cell in read_cells(path) if cell["type"] == "code"]
    for place, source in enumerate(code):
        if "run.widget(" in source:
            assert "run.figure(" in code[place - 1], source


def test_every_widget_is_in_a_notebook_and_on_the_page():
    app = "\n".join(c["source"] for c in read_cells(ROOT / "notebooks" / "apps" / "explore.ipynb"))
    story = "\n".join(
        cell["source"] for path in notebook_paths("embryo") for cell in read_cells(path)
    )
    for name in set(widgets.__all__) - {"show"}:
        assert f'run.widget("{name}"' in story
        assert f"widgets.show(widgets.{name}" in app


@pytest.mark.parametrize(
    "path", sorted((ROOT / "results" / "reference").glob("*/*.ipynb")),
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)  # fmt: skip
def test_kept_notebook_holds_no_widget_state(path):
    notebook = json.loads(path.read_text())
    assert "widgets" not in notebook["metadata"]
    assert "widget-view" not in path.read_text()
