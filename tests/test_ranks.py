"""Two processes that train together end as one with the doubled batch."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
import yaml

from lib.models.stages import train_stage
from lib.params import InputError
from lib.paths import ROOT
from lib.store import read_tensors

SPLIT = ROOT / "results" / "reference" / "smoke" / "01_data_audit"
SMOKE = yaml.safe_load((ROOT / "params" / "smoke.yaml").read_text())


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder in which the images are split, and nothing else was done."""
    folder = tmp_path / "results"
    shutil.copytree(SPLIT, folder / "smoke" / SPLIT.name)
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(folder))
    monkeypatch.setenv("COMPENDIUM_HEADLESS", "1")
    return folder


def write_params(folder, **changes):
    """A parameter file of the smoke profile, which gives the results folder its name."""
    folder.mkdir()
    path = folder / "smoke.yaml"
    # A weight that is measured, pools that exchange, averages: all that processes must agree on.
    # In double precision: Adam's first steps blow the rounding of single precision up a
    # thousandfold, whatever it comes from, and would hide a mistake.
    given = {**SMOKE, "texture_rule": "gradient_ratio", "pool_size": 3, "average_weights": True,
             "precision": "64-true"}  # fmt: skip
    path.write_text(yaml.safe_dump({**given, **changes}))
    return path


def weights_in(folder):
    """Of every translator in the store, by whether it has a texture loss."""
    found = {}
    for path in folder.glob("store/translators/*.safetensors"):
        tensors, head = read_tensors(path)
        found[head["texture"]] = tensors
    return found


def test_two_processes_are_one_with_the_doubled_batch(results, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    path = write_params(tmp_path / "halves", translator_batch=2)
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "-m", "lib", "train", "cyclegan", "--params", path],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("in the store: translators/") == 2
    together = weights_in(results)
    assert not list(results.glob("store/*/*.unfinished"))
    shutil.rmtree(results / "store" / "translators")
    train_stage("cyclegan", write_params(tmp_path / "whole", translator_batch=4))
    alone = weights_in(results)
    assert set(together) == set(alone) == {True, False}
    for texture, tensors in alone.items():
        for name, tensor in tensors.items():
            assert torch.allclose(tensor, together[texture][name], atol=1e-9), (texture, name)


def test_images_that_are_not_split_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(tmp_path / "empty"))
    with pytest.raises(InputError, match="not split yet"):
        train_stage("classifier", write_params(tmp_path / "p"))


def test_a_split_by_other_parameters_is_not_trained_on(results, tmp_path):
    (results / "smoke" / ".01_data_audit.partial" / "tables").mkdir(parents=True)
    (results / "smoke" / ".01_data_audit.partial" / "tables" / "split.csv").write_text("id")
    with pytest.raises(InputError, match=r"split with folds = 2, the parameters say 3"):
        train_stage("classifier", write_params(tmp_path / "p", folds=3))


def test_a_gpu_that_is_not_there_is_named(results, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="cuda"):
        train_stage("classifier", write_params(tmp_path / "p", device="cuda"))
