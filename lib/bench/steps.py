"""The engine's training step beside a plain one.

Ours and the plain way alternate, so that whatever else the machine does meets both; what is printed
are medians. A training follows no other one's steps and finds its own weights in the caches, so
short steps alternate by the block. Speeds of two runs, or of two machines, are not compared.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lib.bench.reference_step import ReferenceStep, plain_networks
from lib.models.checkpoint import Checkpoints
from lib.models.trainings import Training, train_all
from lib.models.translation import Batches, train_translator
from lib.params import Params
from lib.store import Store

REPEATS = 5
BLOCK = 10  # small steps in a row
WARM_STEPS, TIMED_STEPS = 5, 60
PEAK_WORK = 5e10  # FLOP of the convolutions after every step, some tenths of a second
PEAK_CALLS = 200  # at most
QUICK = dict(
    image_size=64, base_filters=16, blocks=4, translator_batch=2, cycle_weight=5.0,
    identity_weight=0.0, average_weights=True, translator_rate=5e-4,
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
        torch.set_num_threads(between)
        self._start = time.perf_counter()

    def medians(self) -> tuple[float, ...]:
        """Seconds of a block of ours, and of each of the others; the first round warms up."""
        return tuple(statistics.median(seconds[1:]) for seconds in (self.ours, *self.others))


def train_step(name: str, given: dict[str, Any], precision: str) -> list[tuple]:
    """Milliseconds of an update of all networks, and the share of the peak that it reaches.

    The peak is what the generator's inner convolution sustains between the steps, the median.
    """
    params = Params(**given, precision=precision, texture_loss="none")
    size, batch = params.image_size, params.translator_batch
    draw = torch.Generator().manual_seed(0)
    stacks = [
        torch.randint(0, 256, (max(8, batch), 1, size, size), generator=draw, dtype=torch.uint8)
        for _ in range(2)
    ]
    plain_params = params.model_copy(update=dict(precision="32-true"))
    step = ReferenceStep(plain_networks(plain_params, 0), None, plain_params)
    order = torch.Generator().manual_seed(0)
    batches = [Batches(stack, batch, False, order, slice(0, batch)) for stack in stacks]
    # The peak is that of the same minutes: the machine may be faster or slower at others.
    kinds = dict.fromkeys([precision, "32-true"])
    peaks = [_Peak(kind, size, params.base_filters) for kind in kinds]
    block, rounds = (1, REPEATS) if size > 128 else (BLOCK, 5 * REPEATS)

    def plain_steps() -> None:
        for _ in range(block):
            step(*(images.draw() for images in batches), 0.0)

    timer = Alternating(block, plain_steps, *peaks)
    train_translator(*stacks, None, params, block * (rounds + 1), 0, timer)
    ours, plain, *convolving = timer.medians()
    ours, plain = ours / block, plain / block
    with FlopCounterMode(display=False) as counter:
        step(*(images.draw() for images in batches), 0.0)
    work = counter.get_total_flops()
    rates = [peak.work / seconds for peak, seconds in zip(peaks, convolving, strict=True)]
    label = f"train_step {name} {precision}"
    return [
        (label, "ms", 1e3 * ours, 1e3 * plain, plain / ours, rounds),
        (f"{label}, share of the convolution peak", "", work / ours / rates[0],
         work / plain / rates[-1], float("nan"), rounds),
    ]  # fmt: skip


class _Peak:
    """The generator's inner 3x3 convolution, forward, nothing around it, over and over."""

    def __init__(self, precision: str, size: int, filters: int) -> None:
        kind = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
        self.layer = nn.Conv2d(4 * filters, 4 * filters, 3, padding=1).to(kind)
        self.image = torch.randn(2, 4 * filters, size // 4, size // 4, dtype=kind)
        one = 2 * 9 * (4 * filters) ** 2 * 2 * (size // 4) ** 2
        self.times = min(PEAK_CALLS, max(1, int(PEAK_WORK / one)))
        self.work = self.times * one

    @torch.inference_mode()
    def __call__(self) -> None:
        for _ in range(self.times):
            self.layer(self.image)


def side_by_side(given: dict[str, Any]) -> list[tuple]:
    """Milliseconds of an update where two networks train at once, as the notebooks' do."""
    params = Params(**given, texture_loss="none", checkpoint_seconds=3600.0)
    draw = torch.Generator().manual_seed(0)
    size = params.image_size
    stacks = [
        torch.randint(0, 256, (32, 1, size, size), generator=draw, dtype=torch.uint8)
        for _ in range(2)
    ]

    def train(steps: int) -> None:
        trainings = [
            Training(
                "translators", ("lib.models.cyclegan",), dict(seed=seed, steps=steps),
                partial(train_translator, *stacks, None, params, steps, seed),
            )
            for seed in range(2)
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as place:
            train_all(Store(Path(place)), trainings, params)

    step = ReferenceStep(plain_networks(params, 0), None, params)
    order = torch.Generator().manual_seed(0)
    batch = params.translator_batch
    batches = [Batches(stack, batch, False, order, slice(0, batch)) for stack in stacks]
    few, many = WARM_STEPS, WARM_STEPS + TIMED_STEPS
    train(few)  # starts the server of the workers
    ours, plain = [], []
    for _ in range(REPEATS):
        short, long = (seconds_of(partial(train, steps)) for steps in (few, many))
        ours.append((long - short) / (2 * TIMED_STEPS))
        plain.append(seconds_of(lambda: step(*(images.draw() for images in batches), 0.0)))
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
