"""The engine's training step beside a plain one.

Ours and the plain way alternate, so that whatever else the machine does meets both; what is printed
are medians. A training follows no other one's steps and finds its own weights in the caches, so
short steps alternate by the block; and the plain one has a process of its own, so that it gets
nothing of what ours sets for itself. Speeds of two runs, or of two machines, are not compared.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from compendium.bench.reference_cut import ReferenceCut, plain_cut
from compendium.bench.reference_step import ReferenceStep, plain_networks
from engine.checkpoints import Checkpoints
from engine.fabric import resolve_device
from engine.jobs import Job, run_jobs
from engine.store import Store
from lib.models.cut import train_cut
from lib.models.cut_parameters import CutParameters
from lib.models.cyclegan import fastest_layout
from lib.models.parameters import TranslationParameters
from lib.models.translation import Batches, train_translator

REPEATS = 5
BLOCK = 10  # small steps in a row
REST = 0.05  # s; threads that have nothing more to do spin for some milliseconds
WARM_STEPS, TIMED_STEPS = 5, 60
PEAK_SECONDS = 0.3  # of convolutions after every step; the first ones find the caches empty
QUICK = dict(
    image_size=64, base_filters=16, blocks=2, padding="zeros", translator_batch=2,
    cycle_weight=2.0, identity_weight=0.0, average_weights=True, translator_rate=5e-4,
)  # fmt: skip
PUBLISHED = dict(image_size=256, preset="seed")


class Alternating(Checkpoints):
    """Takes the time of every ``block`` steps of a training, and of each of ``others`` after it."""

    def __init__(self, block: int, *others: Callable[[], Any]) -> None:
        super().__init__()
        self.block, self.calls = block, others
        self.ours: list[float] = []
        self.others: tuple[list[float], ...] = tuple([] for _ in others)
        self.threads = torch.get_num_threads()
        self._start = time.perf_counter()

    def keep(self, step, parts, history) -> None:
        if step % self.block:
            return
        self.ours.append(time.perf_counter() - self._start)
        between = torch.get_num_threads()
        torch.set_num_threads(self.threads)  # all of them, which our training holds for its halves
        for call, seconds in zip(self.calls, self.others, strict=True):
            seconds.append(seconds_of(call))
            time.sleep(REST)
        torch.set_num_threads(between)
        self._start = time.perf_counter()

    def medians(self) -> tuple[float, ...]:
        """Seconds of a block of ours, and of each of the others; the first round warms up."""
        return tuple(statistics.median(seconds[1:]) for seconds in (self.ours, *self.others))


@contextmanager
def elsewhere(build: Callable[[], Callable[[], Any]]) -> Iterator[Callable[[int], None]]:
    """What does a number of steps in a process of its own, with the threads that this one has now.

    ``build`` makes, there, what is called for a step.
    """
    settled = (build, torch.get_num_threads())
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _settle, settled) as pool:
        yield lambda steps: pool.submit(_step, steps).result()


_settled: list[Callable[[], Any]] = []  # what this process does for another one


def _settle(build: Callable[[], Callable[[], Any]], threads: int) -> None:
    torch.set_num_threads(threads)
    _settled[:] = [build()]


def _step(steps: int) -> None:
    for _ in range(steps):
        _settled[0]()


def _images(size: int, batch: int) -> list[Tensor]:
    """Two stacks of noise to train on."""
    draw = torch.Generator().manual_seed(0)
    count = max(8, batch)
    return [
        torch.randint(0, 256, (count, 1, size, size), generator=draw, dtype=torch.uint8)
        for _ in range(2)
    ]


def _plain(params: TranslationParameters) -> Callable[[], Any]:
    """The plain step on ``_images``, in float32, on the device of ours."""
    params = params.model_copy(update=dict(precision="32-true"))
    device = resolve_device(params.device)
    step = ReferenceStep(plain_networks(params, 0).to(device), None, params)
    images = _batches(params.image_size, params.translator_batch)
    return lambda: step(*(batch.to(device) for batch in images()), 0.0)


def _batches(size: int, batch: int) -> Callable[[], list[Tensor]]:
    """What draws a batch of each of ``_images``."""
    order = torch.Generator().manual_seed(0)
    both = [Batches(stack, batch, False, order, slice(batch)) for stack in _images(size, batch)]
    return lambda: [images.draw() for images in both]


def train_step(name: str, given: dict[str, Any], precision: str) -> list[tuple]:
    """Milliseconds of an update of all networks, and the share of the peak that it reaches.

    The peak is what the generator's inner convolution sustains between the steps, the median.
    """
    params = TranslationParameters(**given, precision=precision, texture_loss="none")
    size = params.image_size
    block, rounds = (1, REPEATS) if size > 128 else (BLOCK, 5 * REPEATS)
    # The peak is that of the same minutes: the machine may be faster or slower at others.
    kinds = dict.fromkeys([precision, "32-true"])
    peaks = [_Peak(kind, size, params.base_filters) for kind in kinds]
    with elsewhere(partial(_plain, params)) as plain_steps:
        timer = Alternating(block, partial(plain_steps, block), *peaks)
        stacks = _images(size, params.translator_batch)
        train_translator(*stacks, None, params, block * (rounds + 1), 0, timer)
    ours, plain, *convolving = timer.medians()
    ours, plain = ours / block, plain / block
    with FlopCounterMode(display=False) as counter:
        _plain(params)()
    work = counter.get_total_flops()
    rates = [peak.work / seconds for peak, seconds in zip(peaks, convolving, strict=True)]
    label = f"train_step {name} {precision}"
    return [
        (label, "ms", 1e3 * ours, 1e3 * plain, plain / ours, rounds),
        (f"{label}, share of the convolution peak", "", work / ours / rates[0],
         work / plain / rates[-1], float("nan"), rounds),
    ]  # fmt: skip


def _plain_cut(params: CutParameters, size: int, fast: bool) -> Callable[[], Any]:
    """The plain step of CUT on ``_images``; every second batch of FastCUT is mirrored."""
    device, order = resolve_device(params.device), torch.Generator().manual_seed(0)
    step = ReferenceCut(plain_cut(params, 0).to(device), params, fast, order)
    images, turns = _batches(size, params.translator_batch), itertools.cycle([False, fast])
    return lambda: step(*(batch.to(device) for batch in images()), next(turns))


def cut_step(given: dict[str, Any], fast: bool) -> list[tuple]:
    """Milliseconds of an update of all networks of CUT, or of FastCUT, at ``quick``'s sizes."""
    size = given["image_size"]
    params = CutParameters(**{name: given[name] for name in given if name != "image_size"})
    stacks, rounds = _images(size, params.translator_batch), 2 * REPEATS
    with elsewhere(partial(_plain_cut, params, size, fast)) as plain_steps:
        timer = Alternating(BLOCK, partial(plain_steps, BLOCK))
        train_cut(*stacks, params, BLOCK * (rounds + 1), 0, fast, timer)
    ours, plain = (seconds / BLOCK for seconds in timer.medians())
    label = f"train_step {'FastCUT' if fast else 'CUT'} quick 32-true"
    return [(label, "ms", 1e3 * ours, 1e3 * plain, plain / ours, rounds)]


class _Peak:
    """The generator's inner 3x3 convolution, forward, in the training's layout, over and over."""

    def __init__(self, precision: str, size: int, filters: int) -> None:
        half = precision == "bf16-mixed"
        device = resolve_device("auto")
        where = dict(device=device, dtype=torch.bfloat16 if half else torch.float32)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            layout = fastest_layout(device)
        layer = nn.Conv2d(4 * filters, 4 * filters, 3, padding=1, **where)
        self.layer = layer.to(memory_format=layout)
        image = torch.randn(2, 4 * filters, size // 4, size // 4, **where)
        self.image = image.to(memory_format=layout)
        one = 2 * 9 * (4 * filters) ** 2 * 2 * (size // 4) ** 2
        self.times = 5
        seconds = median_seconds(self) / self.times
        self.times = math.ceil(PEAK_SECONDS / seconds)
        self.work = self.times * one

    @torch.inference_mode()
    def __call__(self) -> None:
        for _ in range(self.times):
            self.layer(self.image)
        if self.image.is_cuda:
            torch.cuda.synchronize()


def side_by_side(given: dict[str, Any]) -> list[tuple]:
    """Milliseconds of an update where two networks train at once, as the notebooks' do."""
    params = TranslationParameters(**given, texture_loss="none", checkpoint_seconds=3600.0)
    stacks = _images(params.image_size, params.translator_batch)

    def train(steps: int) -> None:
        trainings = [
            Job(
                "translators", ("lib.models.cyclegan",), dict(seed=seed, steps=steps),
                partial(train_translator, *stacks, None, params, steps, seed),
            )
            for seed in range(2)
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as place:
            run_jobs(Store(Path(place)), trainings, params)

    few, many = WARM_STEPS, WARM_STEPS + TIMED_STEPS
    train(few)  # starts the server of the workers
    ours, plain = [], []
    with elsewhere(partial(_plain, params)) as plain_steps:
        plain_steps(BLOCK)
        for _ in range(REPEATS):
            short, long = (seconds_of(partial(train, steps)) for steps in (few, many))
            ours.append((long - short) / (2 * TIMED_STEPS))
            plain.append(seconds_of(partial(plain_steps, BLOCK)) / BLOCK)
    a, b = statistics.median(ours), statistics.median(plain)
    return [("train_step quick 32-true, two trainings at once", "ms", 1e3 * a, 1e3 * b, b / a,
             REPEATS)]  # fmt: skip


def seconds_of(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def median_seconds(call: Callable[[], Any]) -> float:
    """Median of ``REPEATS`` calls after a first one."""
    call()
    return statistics.median(seconds_of(call) for _ in range(REPEATS))
