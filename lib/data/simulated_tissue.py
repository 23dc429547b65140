"""Phantom tissue that no run meets, stained and scanned at random and as the source: true pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.store import Store
from lib.data.seed_ranges import FIRST_SIMULATED, RUNS
from lib.data.tissue_parameters import TILES, TissueParameters
from lib.data.tissue_phantoms import grown_tiles
from lib.phantom.scanners import photograph_by_random, photograph_tissue

_APART = 1 << 22  # slides between two seeds
_WATCHED = 1 << 21  # slides of those begin so far behind the others
_TOGETHER = 48  # tiles grown at once


@dataclass(frozen=True)
class RandomStains:
    """The same N tiles by K random laboratories and as the source stains and scans them.

    others : uint8 (N, K, 3, S, S); home : uint8 (N, 3, S, S); instances : int32 (N, 1, S, S)
    """

    others: Tensor
    home: Tensor
    instances: Tensor

    @property
    def labelled(self) -> tuple[Tensor, Tensor]:
        """Every look by itself with its nuclei: uint8 (N K, 3, S, S) and int32 (N K, 1, S, S)."""
        looks = self.others.shape[1]
        return self.others.flatten(0, 1), self.instances.repeat_interleave(looks, 0)


def random_stains(
    params: TissueParameters, count: int, looks: int, store: Store, watched: bool = False
) -> RandomStains:
    """``count`` tiles of slides that no run meets, by ``looks`` random laboratories each.

    No photograph is one by the target's laboratory. Those that are ``watched`` are others, to
    validate by.
    """
    names = {"seed", "source_domain", "image_size", "um_per_px"}
    ingredients = dict(params.model_dump(include=names), count=count, looks=looks, watched=watched)

    def draw() -> Tensor:
        return torch.from_numpy(_drawn(params, count, looks, _WATCHED if watched else 0))

    every = store.arrays("looks", ingredients, draw, (__name__,))
    others, home, instances = every.split([3 * looks, 3, 1], dim=1)
    others = others.to(torch.uint8).unflatten(1, (looks, 3))
    return RandomStains(others, home.to(torch.uint8), instances.to(torch.int32))


def _drawn(params: TissueParameters, count: int, looks: int, after: int) -> np.ndarray:
    """Looks, the source's look and the instances, int16 (count, 3 looks + 4, S, S)."""
    first = FIRST_SIMULATED // TILES + (params.seed % RUNS) * _APART + after
    parts = []
    for start in range(0, count, _TOGETHER):
        numbers = np.arange(start, min(start + _TOGETHER, count))
        # As many slides as tiles: what varies from slide to slide is what is to be learnt.
        slides = first + numbers
        tissue = grown_tiles(slides, np.zeros_like(slides), params)
        taken = [photograph_by_random(tissue, slides * looks + look) for look in range(looks)]
        taken += [photograph_tissue(tissue, slides, params.source_domain)]
        parts.append(np.concatenate([*taken, tissue.instances[:, None]], axis=1, dtype=np.int16))
    return np.concatenate(parts)
