"""Two processes that train together end as one with the doubled batch."""

import copy
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import yaml

from compendium.train import train_stage
from engine.errors import InputError
from engine.paths import ROOT
from engine.processes import SharedBatchNorm
from engine.store import read_tensors

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
    """Of every network in the store: classifiers by name, translators by whether with texture.

    The name of a translator with a texture loss holds the bits of the classifier it looks through.
    """
    found = {}
    for path in folder.glob("store/*/*.safetensors"):
        tensors, head = read_tensors(path)
        found[head["texture"] if path.parent.name == "translators" else path.name] = tensors
    return found


def test_two_processes_are_one_with_the_doubled_batch(results, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    halves = dict(translator_batch=2, classifier_batch=8)
    path = write_params(tmp_path / "halves", **halves)
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "-m", "compendium", "train", "cyclegan",
         "--params", path],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("in the store: translators/") == 2
    together = weights_in(results)
    assert not list(results.glob("store/*/*.unfinished"))
    shutil.rmtree(results / "store")
    doubled = {name: 2 * batch for name, batch in halves.items()}
    train_stage("cyclegan", write_params(tmp_path / "whole", **doubled))
    alone = weights_in(results)
    assert set(together) == set(alone) > {True, False}
    for name, tensors in alone.items():
        for part, tensor in tensors.items():
            assert torch.allclose(tensor, together[name][part], atol=1e-9), (name, part)


@pytest.mark.parametrize("size", [(6, 3), (6, 3, 5), (6, 3, 4, 5)])
def test_batch_norm_of_parts_is_that_of_the_whole(size):
    """Two threads stand for processes: each has half of the batch, and they exchange means."""
    torch.manual_seed(0)
    kind = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}[len(size)]
    whole = kind(3).double()
    torch.nn.init.normal_(whole.weight)
    halves = [copy.deepcopy(whole) for _ in range(2)]
    x = torch.randn(size, dtype=torch.double) * 3 + 1
    pull = torch.randn(size, dtype=torch.double)
    own = x.clone().requires_grad_()
    (whole(own) * pull).mean().backward()

    threads, given = threading.Barrier(2), [None, None]

    class Half:
        count = 2

        def __init__(self, place):
            self.place = place

        def mean(self, value):
            given[self.place] = value
            threads.wait()
            mean = (given[0] + given[1]) / 2
            threads.wait()
            return mean

    def passed(place):
        part = x[3 * place : 3 * place + 3].clone().requires_grad_()
        with SharedBatchNorm(Half(place)):
            out = halves[place](part)
        (out * pull[3 * place : 3 * place + 3]).mean().backward()
        return part.grad

    with ThreadPoolExecutor(2) as pool:
        gradients = list(pool.map(passed, range(2)))
    # The loss of the whole is the mean of both, so an image pulls half as much on it.
    torch.testing.assert_close(torch.cat(gradients) / 2, own.grad)
    for name in ("weight", "bias"):
        mean = (getattr(halves[0], name).grad + getattr(halves[1], name).grad) / 2
        torch.testing.assert_close(mean, getattr(whole, name).grad)
    for half in halves:
        torch.testing.assert_close(half.running_mean, whole.running_mean)
        torch.testing.assert_close(half.running_var, whole.running_var)


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
