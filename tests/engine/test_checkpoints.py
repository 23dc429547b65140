"""A training that is killed goes on and ends with the same bits."""

import fcntl
import multiprocessing
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from engine.checkpoints import Checkpoints
from engine.fabric import DivergedError
from engine.jobs import Job
from engine.store import Store, tensor_digest
from lib.models.classifier import train_classifier
from lib.models.networks import build_network
from lib.models.segmentation import train_segmenter
from lib.models.texture import gradient_consistency
from lib.models.translation import train_translator
from lib.studies.embryo import EmbryoParameters

TINY = dict(
    image_size=32, base_filters=4, blocks=1, translator_batch=2, classifier_batch=8, threads=1,
    device="cpu", pool_size=3, average_weights=True, translator_rate=1e-3, classifier_epochs=4,
)  # fmt: skip
STEPS, LONG = 40, 200


def stack(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 32, 32), generator=generator, dtype=torch.uint8)


def translator(checkpoints, steps=STEPS, **own):
    """Everything that carries a state: pools, flips, averages, rates, the running weight."""
    images, params = (stack(7, 0), stack(9, 1)), EmbryoParameters(**TINY, **own)
    return train_translator(*images, gradient_consistency, params, steps, 3, checkpoints)


def half_translator(checkpoints):
    """Its weights have channels last, which no checkpoint tells."""
    return translator(checkpoints, precision="bf16-mixed")


def classifier(checkpoints):
    torch.manual_seed(0)
    network = build_network("test_resnet", 1, "")
    labels = np.arange(24) % 2
    return train_classifier(
        network, stack(24, 0), labels, np.arange(16), np.arange(16, 24),
        EmbryoParameters(**TINY), 3, "optics", checkpoints,
    )  # fmt: skip


def segmenter(checkpoints):
    return train_segmenter(
        stack(40, 0), stack(40, 1) > 127, EmbryoParameters(**TINY), 3, [1.0], checkpoints
    )


def digest(result) -> str:
    network, history = result
    return tensor_digest(network.state_dict()) + history.to_csv()


class Stops(Checkpoints):
    """Ends the training once ``step`` steps are done."""

    step = 0

    def keep(self, step, parts, history):
        super().keep(step, parts, history)
        if step == self.step:
            raise KeyboardInterrupt


def stopped(train, folder, step):
    checkpoints = Stops(folder, 0)
    checkpoints.step = step
    with pytest.raises(KeyboardInterrupt):
        train(checkpoints)


@pytest.mark.parametrize(
    ("train", "steps"),
    [
        (translator, (1, 7, 31)),
        (half_translator, (1, 7, 31)),
        (classifier, (1, 3)),
        (segmenter, (2,)),
    ],
)
def test_a_training_that_was_stopped_ends_with_the_same_bits(train, steps, tmp_path):
    whole = digest(train(None))
    for step in steps:  # one after the other: each goes on where the one before stopped
        stopped(train, tmp_path, step)
    np.random.default_rng(0).random()
    torch.rand(5)  # somebody else draws in between
    assert digest(train(Checkpoints(tmp_path, 0))) == whole


def _in_a_process(folder, result):
    torch.set_num_threads(1)
    text = digest(translator(Checkpoints(folder, 0), LONG))
    partial = result.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(result)


def test_kill_9_at_twenty_moments_changes_no_bit(tmp_path):
    whole = digest(translator(None, LONG))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lib.models.translation"])
    folder, result = tmp_path / "states", tmp_path / "result.txt"
    rng, kills = np.random.default_rng(0), 0
    for _ in range(30):
        if result.exists():
            break
        worker = context.Process(target=_in_a_process, args=(folder, result))
        worker.start()
        before = {path.name for path in folder.glob("*.safetensors")}
        while worker.is_alive() and not {p.name for p in folder.glob("*.safetensors")} - before:
            time.sleep(0.002)
        if kills < 20:
            # A step takes about 20 ms here, the writing of a state much of it.
            time.sleep(rng.uniform(0, 0.05))
            if worker.is_alive():
                os.kill(worker.pid, signal.SIGKILL)
                kills += 1
        worker.join()
    assert kills == 20
    assert result.read_text() == whole


def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(tmp_path):
    whole = digest(translator(None, 12))
    stopped(lambda checkpoints: translator(checkpoints, 12), tmp_path, 8)
    first, last = Checkpoints(tmp_path).paths()
    assert (first.stem, last.stem) == ("000000007", "000000008")  # the last two
    content = bytearray(last.read_bytes())
    content[-100] ^= 1
    last.write_bytes(content)
    with pytest.warns(UserWarning, match=r"000000008\.safetensors: damaged"):
        again = translator(Checkpoints(tmp_path, 0), 12)
    assert digest(again) == whole


def test_truncated_and_foreign_files_are_no_checkpoints(tmp_path):
    (tmp_path / "000000003.safetensors").write_bytes(b"half a he")
    (tmp_path / ".000000004.safetensors.77.partial").write_bytes(b"never renamed")
    with pytest.warns(UserWarning, match="damaged"):
        result = translator(Checkpoints(tmp_path, 0), 5)
    assert digest(result) == digest(translator(None, 5))
    assert not list(tmp_path.glob(".*.partial"))


def test_the_store_goes_on_and_leaves_no_checkpoints(tmp_path):
    store = Store(tmp_path)

    def breaks(checkpoints):
        stopped(translator, checkpoints.folder, 5)
        raise KeyboardInterrupt

    plan = Job("translators", ("lib.models.translation",), dict(a=1), breaks)
    with pytest.raises(KeyboardInterrupt):
        plan.stored(store, 0)
    assert len(list(tmp_path.glob("translators/*.unfinished/*.safetensors"))) == 2
    seen = []

    def goes_on(checkpoints):
        seen.extend(checkpoints.paths())
        return translator(checkpoints)

    weights, history = Job(plan.stage, plan.code, plan.ingredients, goes_on).stored(store, 0)
    network, steps = translator(None)
    assert len(seen) == 2
    assert tensor_digest(weights) == tensor_digest(network.state_dict())
    pd.testing.assert_frame_equal(history, steps)
    assert not list(tmp_path.glob("translators/*.unfinished"))


def test_a_loss_that_explodes_names_the_last_good_checkpoint(tmp_path):
    calls = []

    def explodes(translated, original):
        calls.append(1)
        return gradient_consistency(translated, original) * (1e9 if len(calls) > 8 else 1)

    with pytest.raises(DivergedError, match=r"step 4: a loss explodes.*000000004\.safetensors"):
        train_translator(stack(4, 0), stack(4, 1), explodes, EmbryoParameters(**TINY), 9, 0,
                         Checkpoints(tmp_path, 0))  # fmt: skip


def test_a_second_process_waits_for_the_first_and_reads_what_it_made(tmp_path):
    """Two profiles may want the same training at once."""
    store, running = Store(tmp_path), []

    def slow(checkpoints):
        running.append(1)
        assert len(running) == 1, "trained twice at once"
        result = translator(checkpoints, 10)
        running.pop()
        return result

    plan = Job("translators", ("lib.models.translation",), dict(a=2), slow)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: plan.stored(store, 0), range(2))
    assert tensor_digest(first[0]) == tensor_digest(second[0])
    assert not list(tmp_path.glob("translators/*.unfinished"))


def test_a_folder_that_is_removed_while_the_next_one_waits_is_made_again(tmp_path, monkeypatch):
    """Who has trained removes folder and lock; the next process may have seen either by then."""
    folder, opens = tmp_path / "states", []
    real = Path.open

    def opened(path, *given, **more):
        opens.append(path.name)
        if len(opens) == 1:  # after the folder was made, before the lock is opened
            shutil.rmtree(folder)
        stream = real(path, *given, **more)
        if len(opens) == 2:  # after the lock was opened, before it is held
            shutil.rmtree(folder)
        return stream

    monkeypatch.setattr(Path, "open", opened)
    with Checkpoints(folder).alone():
        assert opens == [".lock"] * 3
        with real(folder / ".lock", "w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
