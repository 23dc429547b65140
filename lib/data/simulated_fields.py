"""Phantom cultures that no run meets, by random machines or without cells: images to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.store import Store
from lib.data.culture_parameters import COLUMNS, ROWS, CultureParameters
from lib.data.field_phantoms import GEL, grown, tiles_of
from lib.data.seed_ranges import FIRST_SIMULATED, RUNS
from lib.phantom.cell_optics import photograph_by_random, photograph_cultures

_APART = 1 << 22  # between two seeds
_TOGETHER = 8  # frames grown at once
_WATCHED, _EMPTY = 1 << 20, 1 << 21  # seeds of those begin so far behind the others


def _seeds(count: int, seed: int, after: int = 0) -> list[list[int]]:
    """Seeds of as many frames as ``count`` tiles take, in blocks."""
    frames = -(-count // (ROWS * COLUMNS))
    first = FIRST_SIMULATED + (seed % RUNS) * _APART + after
    return [
        list(range(first + start, first + min(start + _TOGETHER, frames)))
        for start in range(0, frames, _TOGETHER)
    ]


@dataclass(frozen=True)
class Registered:
    """The same N fields by K random machines and by the source's device.

    looks : uint8 (N, K, S, S); home : uint8 (N, 1, S, S); instances : int32 (N, 1, S, S)
    """

    looks: Tensor
    home: Tensor
    instances: Tensor

    @property
    def labelled(self) -> tuple[Tensor, Tensor]:
        """Every look by itself with its mask: uint8 and bool (N K, 1, S, S)."""
        masks = (self.instances > 0).expand(-1, self.looks.shape[1], -1, -1)
        return self.looks.flatten(0, 1)[:, None], masks.flatten(0, 1)[:, None]


def registered_fields(
    params: CultureParameters, count: int, machines: int, store: Store, watched: bool = False
) -> Registered:
    """``count`` tiles of cultures that no run meets, by random machines and the source's device.

    Every second block of frames lies flat in a dish, the others in a gel with particles; no
    photograph is one by the target's device. Those that are ``watched`` are others, to validate by.
    """
    names = {"seed", "source_domain", "image_size"}
    ingredients = dict(
        params.model_dump(include=names), count=count, machines=machines, watched=watched
    )

    def draw() -> Tensor:
        return torch.from_numpy(_drawn(params, count, machines, _WATCHED if watched else 0))

    all_of = store.arrays("looks", ingredients, draw, (__name__,))
    looks, home, instances = all_of.split([machines, 1, 1], dim=1)
    return Registered(looks.to(torch.uint8), home.to(torch.uint8), instances.to(torch.int32))


def _drawn(params: CultureParameters, count: int, machines: int, after: int) -> np.ndarray:
    """Looks, the source's look and the instances, int16 (count, machines + 2, S, S)."""
    side, parts = params.image_size, []
    for number, seeds in enumerate(_seeds(count, params.seed, after)):
        cultures = grown(params.source_domain if number % 2 else GEL, seeds, side)
        own = np.asarray(seeds)
        frames = [photograph_by_random(cultures, own + k * _APART) for k in range(machines)]
        frames += [photograph_cultures(cultures, own, params.source_domain), cultures.instances]
        tiles = [tiles_of(frame, side).astype(np.int16) for frame in frames]
        parts.append(np.concatenate(tiles, axis=1))
    return np.concatenate(parts)[:count]


def empty_fields(params: CultureParameters, count: int) -> Tensor:
    """``count`` tiles of dishes without cells by the source's device, uint8 (N, 1, S, S)."""
    side = params.image_size
    frames = [
        photograph_cultures(
            grown(params.source_domain, seeds, side, empty=True),
            np.asarray(seeds),
            params.source_domain,
        )
        for seeds in _seeds(count, params.seed, _EMPTY)
    ]
    return torch.from_numpy(tiles_of(np.concatenate(frames), side)[:count])
