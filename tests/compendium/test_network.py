"""Nothing talks to the network unasked."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from engine.notebooks import notebook_paths, sources_digest
from engine.paths import ROOT

SPY = """
import os, socket

def spied(call):
    def watched(*given, **more):
        where = next((str(a) for a in given if isinstance(a, (tuple, str, bytes))), "")
        if not any(name in where for name in ("127.0.0.1", "localhost", "::1")):
            with open(os.environ["NETWORK_LOG"], "a") as log:
                log.write(where + "\\n")
            raise OSError("no network here")
        return call(*given, **more)
    return watched

socket.getaddrinfo = spied(socket.getaddrinfo)
class Watched(socket.socket):
    def connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            return spied(super().connect)(address)
        return super().connect(address)
socket.socket = Watched
"""


@pytest.fixture
def call(tmp_path):
    """Run Python with a spy on its sockets; gives the addresses that were asked for."""
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "sitecustomize.py").write_text(SPY)
    log = tmp_path / "network.log"

    def call(*command):
        log.write_text("")
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True,
            check=False, env={
                **os.environ, "PYTHONPATH": f"{tmp_path / 'spy'}:{ROOT}", "NETWORK_LOG": str(log),
                "COMPENDIUM_RESULTS": str(tmp_path / "results"), "COMPENDIUM_HEADLESS": "1",
            },
        )  # fmt: skip
        return done, log.read_text().split()

    return call


def test_the_spy_sees_a_connection(call):
    _, asked = call("-c", "import urllib.request as u; u.urlopen('http://example.org')")
    assert asked == ["example.org"]


def test_asking_for_weights_does_ask(call):
    # The client asks again and again, and waits in between.
    code = "import time; time.sleep = lambda seconds: None\n"
    code += "from lib.models.networks import build_network; build_network('resnet18', 1, 'timm')"
    done, asked = call("-c", code)
    assert asked
    assert "the pretrained weights cannot be had" in done.stderr


def test_commands_and_notebooks_do_not(call, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8)).save(images / f"{number}.png")
    bundle = "from compendium.bench.speed import *; save_random_bundle(Path('{}'), "
    bundle += "TranslationParameters(**steps.QUICK, framing='whole', classifier='test_resnet'))"
    weights = tmp_path / "w.safetensors"
    kept = tmp_path / "kept"
    shutil.copytree(ROOT / "results" / "reference" / "smoke", kept)
    path = notebook_paths("embryo")[0]
    given = ("smoke", path.stem, "key", sources_digest(path))
    notebook = f"from engine.execution import run_notebook; run_notebook(*{given})"
    for command in (
        ("-c", bundle.format(weights)),
        ("-m", "compendium", "audit", images, "--out", tmp_path / "audit.html"),
        ("-m", "compendium", "translate", "--weights", weights, "--images", images, "--out",
         tmp_path / "out"),
        ("-m", "compendium", "export", weights, "--to", "bioimage", "--out", tmp_path / "t.zip"),
        ("-m", "compendium", "claims", kept),
        ("-c", notebook),
    ):  # fmt: skip
        done, asked = call(*command)
        assert done.returncode == 0, done.stderr
        assert asked == [], command
