"""The same phantoms through the good device and through microscopes drawn at random: true pairs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lib.data.framing import crop
from lib.data.images import to_grey
from lib.data.parameters import ImageParameters
from lib.data.seed_ranges import BLOCK, FIRST_SIMULATED, RUNS
from lib.phantom.embryo import grow
from lib.phantom.optics import Photographs, photograph
from lib.phantom.random_optics import random_machine, rephotograph_at_random

_APART = 1 << 27  # between two seeds: room for all looks of all phantoms
_TOGETHER = 8  # phantoms before one random machine
_STREAM = "random"  # of the draws of a machine, which has no name
# The embryo is found a little beside its place and a little too large or small, in embryo radii.
JITTER = 0.06


@dataclass(frozen=True)
class Looks:
    """Registered images of N objects: ``home`` uint8 (N, C, S, S), ``others`` (N, K, S, S), in
    colour (N, K, C, S, S)."""

    home: Tensor
    others: Tensor


def random_looks(params: ImageParameters, count: int, looks: int, seed: int) -> Looks:
    """Photograph ``count`` phantoms, each by the source's device and by ``looks`` random machines.

    Framed and sized as the images of ``params``. No phantom is one of a run, see
    ``FIRST_SIMULATED``; ``seed`` chooses phantoms and machines.
    """
    first = FIRST_SIMULATED + (seed % RUNS) * _APART
    starts = range(0, count, _TOGETHER)
    blocks = [first + np.arange(start, min(start + _TOGETHER, count)) for start in starts]
    with ThreadPoolExecutor(params.threads) as pool:
        parts = list(pool.map(partial(_block, params=params, looks=looks), blocks))
    home, others = (torch.from_numpy(np.concatenate(images)) for images in zip(*parts, strict=True))
    return Looks(home, others)


def _block(seeds: np.ndarray, params: ImageParameters, looks: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops of one block of phantoms, (n, 1 and looks, S, S); they follow from the first seed."""
    rng = np.random.default_rng([int(seeds[0]), looks])
    embryos = grow(seeds, params.phantom_width, params.positive_share, params.phantom_label)
    good = photograph(embryos, seeds, params.source_domain, params.phantom_width)
    # One crop for all looks of an embryo, so that any two of them are a pair.
    moves = rng.uniform(-JITTER, JITTER, (_TOGETHER, 3))[: len(seeds)]
    others = []
    for look in range(looks):
        # A photograph's noise belongs to the photograph, so each look has seeds of its own.
        own = seeds + look * BLOCK
        taken = photograph(embryos, own, _STREAM, params.phantom_width, random_machine(rng))
        others.append(crops(taken, moves, params))
    return crops(good, moves, params)[:, None], np.stack(others, axis=1)


def crops(taken: Photographs, moves: np.ndarray, params: ImageParameters) -> np.ndarray:
    """Grey crops, uint8 (N, S, S), of photographs, framed by their truth.

    ``moves`` (N, 3): how far each crop lies right of and below the embryo, and how much wider it
    is, in embryo radii.
    """
    cut = []
    for image, x, y, radius, (right, down, wider) in zip(
        taken.images, taken.x, taken.y, taken.radius, moves, strict=True
    ):
        place = (x + right * radius, y + down * radius, radius * (1 + wider))
        cut.append(crop(to_grey(image), *place, params.field_of_view, params.image_size))
    return np.stack(cut)


def taken_again(home: Tensor, machines: int, seed: int) -> Tensor:
    """Real crops, uint8 (N, 1, S, S), as random machines might have taken them: (N, K, S, S)."""
    rng = np.random.default_rng(seed)
    seeds = rng.integers(1 << 40, size=(len(home), machines))
    images = home[:, 0].numpy()
    again = [
        np.stack([to_grey(rephotograph_at_random(image, own)) for own in row])
        for image, row in zip(images, seeds.tolist(), strict=True)
    ]
    return torch.from_numpy(np.stack(again))
