"""The page of widgets in a browser: every control moves its picture, by keyboard, on any width."""

import os
import re
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from engine.paths import ROOT
from lib.notebook import Run
from lib.phantom.embryo import grow
from lib.phantom.optics import photograph
from lib.studies.embryo import EmbryoParameters

WAIT = 30_000  # milliseconds


def keep_results():
    """The parts of a finished profile that the page reads, of phantoms nobody has translated."""
    params = EmbryoParameters(profile="smoke", threads=1, device="cpu")
    seeds = np.arange(4)
    embryos = grow(seeds, 64, 0.5)
    good, phone = (
        torch.from_numpy(photograph(embryos, seeds, device, 64).images[:, :48, :48]).permute(
            0, 3, 1, 2
        )
        for device in ("ED4", "ED1")
    )
    flipped, dark = phone.flip(3), phone // 2
    names, note = [params.label_names[label] for label in embryos.label], "synthetic phantom"
    training = Run("03_cyclegan_texture", params)
    looks = {"raw": phone, "cyclegan": flipped, "cyclegan_texture": dark, "truth": good}
    weights = dict(cyclegan="none", cyclegan_texture="0.03")
    training.pictures("texture_weight", looks, names, note, weights=weights)
    training.finish()
    evaluation = Run("04_evaluation", params)
    looks = {"raw": phone, "cyclegan_texture": dark, "oracle": good}
    evaluation.pictures("looks", looks, names, note, after="cyclegan_texture")
    facts = dict(structure="cavity", verdict=["kept", "invented"] * 2, read=[0.1] * 4, true=[0] * 4)
    triple = {"original": phone, "translated": dark, "truth": good}
    evaluation.pictures("hallucinations", triple, names, note, **facts)
    score = np.linspace(0.05, 0.95, 20)
    scores = dict(id=[str(i) for i in range(20)], domain="ED1", label=np.arange(20) % 3 // 2)
    scores |= dict(group=[f"g{i}" for i in range(20)], arm="raw", seed=0, fold=0, score=score)
    evaluation.predictions(pd.DataFrame(scores), "ed1")
    evaluation.table(
        pd.DataFrame(dict(domain=["ED1"], arm=["raw"], seed=[0], threshold=[0.5])),
        "frozen_thresholds",
    )
    evaluation.finish()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where Voilà serves the page."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPENDIUM_RESULTS", str(folder))
        keep_results()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "COMPENDIUM_RESULTS": str(folder), "PYTHONPATH": str(ROOT)}
    environment |= {"COMPENDIUM_PROFILE": "smoke"}
    environment.pop("COMPENDIUM_HEADLESS", None)
    page = ROOT / "notebooks" / "apps" / "explore.ipynb"
    command = [sys.executable, "-m", "voila", "--no-browser", f"--port={port}", str(page)]
    with (folder / "voila.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(120):
            try:
                urlopen(f"http://127.0.0.1:{port}/voila/static/", timeout=5)
            except URLError as error:
                if hasattr(error, "code"):  # it answers
                    break
                time.sleep(0.5)
            else:
                break
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def opened(browser, address, width):
    page = browser.new_page(viewport=dict(width=width, height=900))
    page.goto(address, timeout=2 * WAIT)
    expect(page.get_by_role("slider")).to_have_count(3, timeout=2 * WAIT)
    expect(page.get_by_role("button", name="neither")).to_be_visible(timeout=WAIT)
    return page


@pytest.fixture(scope="module")
def page(browser, address):
    return opened(browser, address, 1280)


def picture(page, name, place=0):
    return page.get_by_role("img", name=re.compile(f"^{name}")).nth(place)


def moves(page, name, act, place=0):
    """The picture is another one after ``act``."""
    before = picture(page, name, place).get_attribute("src")
    act()
    expect(picture(page, name, place)).not_to_have_attribute("src", before, timeout=WAIT)


def test_a_fault_changes_the_photograph(page):
    moves(page, "your phone", page.get_by_label("blur").check)
    moves(page, "your phone", page.get_by_label("blur").uncheck)


@pytest.mark.parametrize(
    ("slider", "name"),
    [("texture weight", "translated"), ("share of", "swipe"), ("threshold", "Threshold")],
)
def test_a_slider_is_named_and_moves_its_picture_by_keyboard(page, slider, name):
    handle = page.get_by_role("slider", name=re.compile(f"^{slider}"))
    moves(page, name, lambda: handle.press("ArrowRight"))


def test_the_threshold_goes_back_to_the_frozen_one(page):
    page.get_by_role("slider", name="threshold").press("ArrowRight")
    expect(page.get_by_text("Threshold 0.500:")).to_have_count(0, timeout=WAIT)
    page.get_by_role("button", name="back to the frozen threshold").click()
    expect(page.get_by_text("Threshold 0.500:")).to_be_visible(timeout=WAIT)


def test_the_truth_appears_when_the_reader_has_judged(page):
    truths = page.get_by_role("img", name=re.compile("^truth"))
    expect(truths).to_have_count(1)  # that of the texture weight
    page.get_by_role("button", name="neither").press("Enter")
    expect(truths).to_have_count(2, timeout=WAIT)
    expect(page.get_by_text("1 of 1 right so far")).to_be_visible()


def test_nothing_stands_in_the_way_of_a_screen_reader(page):
    found = Axe().run(page).response["violations"]
    serious = [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")]
    assert serious == []


def test_the_page_fits_a_phone(browser, address):
    narrow = opened(browser, address, 390)
    beyond = narrow.evaluate(
        "[...document.querySelectorAll('img, p, button, input, select, .noUi-target')]"
        ".filter(e => !e.closest('[aria-label=figure]')"
        " && e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 80))"
    )
    assert beyond == []
