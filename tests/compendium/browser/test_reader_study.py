"""The reader study in a browser: 40 images by keyboard, with the server killed on the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from compendium.reader_study.answers import AnswerFile
from compendium.reader_study.study import open_study
from engine.paths import ROOT

PATIENCE = 120_000  # ms for a kernel to start on a busy machine
KILLED_AFTER = 17


@pytest.fixture
def serve(reader_study, tmp_path):
    """Start a server of the app; the address and the process, in a group of its own."""
    servers = []

    def start():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        notebook = ROOT / "notebooks" / "apps" / "reader_study.ipynb"
        paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        with (tmp_path / "server.log").open("ab") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "voila", notebook, "--no-browser", f"--port={port}"],
                env={**os.environ, "COMPENDIUM_STUDY": str(reader_study), "PYTHONPATH": paths},
                cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        servers.append(server)
        while True:
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return f"http://127.0.0.1:{port}/", server
            except OSError:
                time.sleep(0.2)

    yield start
    for server in servers:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def planned(place):
    """What the simulated reader presses: keys and a comment."""
    keys = f"{place % 5 + 1}{'rt'[place % 2]}{'bn'[place % 3 == 0]}"
    return keys, f"5 rt, {place}" if place % 4 == 0 else ""


def begin(page, address, reader):
    page.goto(address, timeout=PATIENCE)
    page.wait_for_selector(".reader-name input", timeout=PATIENCE)
    page.wait_for_function("document.activeElement.tagName == 'INPUT'")
    page.keyboard.type(reader)
    page.keyboard.press("Enter")
    page.wait_for_selector(".reader-study img")


def wait_for_image(page, place, of=40):
    page.wait_for_function(
        f"document.querySelector('.reader-study').innerText.includes('Image {place + 1} of {of}')"
    )


def test_forty_images_by_keyboard_with_the_server_killed_on_the_way(browser, serve, reader_study):
    study = open_study(reader_study)
    page = browser.new_page()
    frames, fetched, outside = [], [], []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda f: frames.append(f)))
    page.on("response", lambda response: fetched.append(response.url))
    page.on("requestfailed", lambda request: outside.append((request.url, request.failure)))
    address, server = serve()
    begin(page, address, "anna")
    for place in range(40):
        if place == KILLED_AFTER:
            wait_for_image(page, place)
            page.keyboard.type("2rb")
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            page.keyboard.press("Enter")  # reaches nobody, and the reader is told
            page.wait_for_selector("text=The server does not answer")
            assert len(AnswerFile(study, "anna").read().given) == KILLED_AFTER
            address, server = serve()
            begin(page, address, "anna")
            assert f"{KILLED_AFTER} answers are kept" in page.inner_text(".reader-study")
        wait_for_image(page, place)
        keys, comment = planned(place)
        page.keyboard.type(keys)
        if comment:
            page.keyboard.press("c")
            page.keyboard.type(comment)
        page.keyboard.press("Enter")
    page.wait_for_selector("text=All 40 images are answered")
    page.close()

    lines = AnswerFile(study, "anna").path.read_text().splitlines()
    given = [json.loads(line) for line in lines]
    assert [line["place"] for line in given] == [*range(40)]
    assert [line["image"] for line in given] == study.order("anna")
    for place, line in enumerate(given):
        keys, comment = planned(place)
        pressed = f"{line['quality']}{'tr'[line['judged_real']]}{'nb'[line['called']]}"
        assert (pressed, line["comment"]) == (keys, comment)

    # Nothing that came to the browser names an image, its origin or its kind.
    key = study.key()
    told = b"\n".join(f if isinstance(f, bytes) else f.encode() for f in frames)
    assert b"data:image/png" in told
    words = {*key["image"], *key["id"], "cyclegan"}
    assert [word for word in words if word.encode() in told] == []
    assert [url for url in fetched for word in words if word in url] == []
    # Nor does the page fetch anything from elsewhere: what its template asks for is refused.
    assert {urlsplit(url).hostname for url in fetched} == {"127.0.0.1"}
    away = [(url, why) for url, why in outside if urlsplit(url).hostname != "127.0.0.1"]
    assert {why for _, why in away} <= {"csp"}


def test_keys_pressed_before_the_next_image_is_there_do_not_count(browser, serve, reader_study):
    page = browser.new_page()
    address, _ = serve()
    begin(page, address, "bert")
    wait_for_image(page, 0)
    # In one breath: an answer, and another to an image that nobody has seen yet.
    page.evaluate(
        """keys => keys.forEach(key => (document.activeElement ?? document.body).dispatchEvent(
             new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true})))""",
        [*"3rb", "Enter", *"1tn", "Enter"],
    )
    wait_for_image(page, 1)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Still to answer: quality")
    page.close()
    (given,) = AnswerFile(open_study(reader_study), "bert").read().given
    assert (given.quality, given.judged_real, given.called) == (3, True, 1)


@pytest.mark.parametrize("width", [1280, 375])
def test_the_page_is_used_by_mouse_touch_and_screen_reader(browser, serve, reader_study, width):
    page = browser.new_page(viewport={"width": width, "height": 760})
    address, _ = serve()
    begin(page, address, "carl")
    wait_for_image(page, 0)
    for name in ("4", "translated (t)", "no blastocyst (n)"):
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_selector(f"button[aria-pressed=true]:has-text('{name}')")
    assert page.get_by_role("group", name="Quality (5 best)").count() == 1
    serious = [
        (found["id"], found["nodes"][0]["html"])
        for found in Axe().run(page, ".reader-study").response["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    inside = page.evaluate(
        """[...document.querySelectorAll(".reader-study button")].every(button =>
             button.scrollWidth <= button.clientWidth && button.offsetHeight >= 44)"""
    )
    assert inside, "a button's text is cut off, or it is too low for a finger"
    page.get_by_role("button", name="Next (Enter)").click()
    wait_for_image(page, 1)
    page.close()
    (given,) = AnswerFile(open_study(reader_study), "carl").read().given
    assert (given.quality, given.judged_real, given.called) == (4, False, 0)
