"""Phantom cell cultures: optical thickness and instance maps of known cells, from a seed.

Not real cells: a drawing of what tells cell lines apart under a microscope without stain (size,
shape, spreading, density, company, division, debris), with known truth. A flat culture lies in the
plane of focus; in a gel every cell lies at a depth of its own. Lengths are in pixels of the map,
thickness in radians of phase against the medium: a spread cell delays light by about 1, a rounded
one by 3 (5 and 15 micrometres of matter whose refractive index exceeds water's by 0.02).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.errors import InputError
from lib.phantom.cell_shapes import Line, debris_speck, disc, living_cell, mitotic_cell
from lib.phantom.dish import Dish
from lib.phantom.maps import Draws

LINES = {  # in the order of their size
    "round_small": Line(
        length=(8.5, 10.5), width=(8.0, 9.5), thickness=(1.4, 2.6), nucleus=0.2, taper=0.0,
        ruffle=0.05, arms=(0, 0), company=0.2, overlap=0.0, coverage=(0.10, 0.35),
    ),
    "round_clustered": Line(
        length=(10.5, 12.5), width=(9.5, 11.5), thickness=(1.1, 2.2), nucleus=0.25, taper=0.0,
        ruffle=0.08, arms=(0, 0), company=0.93, overlap=0.0, coverage=(0.15, 0.50),
    ),
    "spindle": Line(
        length=(22.0, 31.0), width=(6.0, 8.5), thickness=(1.0, 2.0), nucleus=0.55, taper=0.75,
        ruffle=0.06, arms=(0, 1), company=0.3, overlap=0.5, coverage=(0.12, 0.40),
    ),
    "epithelial": Line(
        length=(14.0, 18.0), width=(12.5, 16.0), thickness=(0.6, 1.3), nucleus=0.35, taper=0.0,
        ruffle=0.12, arms=(0, 0), company=0.97, overlap=0.0, coverage=(0.25, 0.60),
    ),
    "stellate": Line(
        length=(18.0, 26.0), width=(11.0, 15.0), thickness=(0.6, 1.6), nucleus=0.5, taper=0.35,
        ruffle=0.12, arms=(3, 5), company=0.4, overlap=0.3, coverage=(0.15, 0.40),
    ),
    "flat_large": Line(
        length=(21.0, 28.0), width=(18.0, 23.0), thickness=(0.5, 1.2), nucleus=0.5, taper=0.1,
        ruffle=0.13, arms=(0, 3), company=0.3, overlap=0.3, coverage=(0.18, 0.50),
    ),
}  # fmt: skip
SMALL = ("round_small", "round_clustered")  # as small as the cells of a gel look at a glance

GEL_COVERAGE = (0.04, 0.09)
LAYERS = 6  # depths that one gel has cells at
DEPTH = 4.5  # the outermost, to either side of the middle; see `lib.phantom.cell_contrast`
MITOTIC_SHARE = 0.05  # of the cells divide
PAIR_SHARE = 0.4  # of those are two already
DEBRIS = 6e-4  # specks per pixel
PARTICLES = ((2.1, 2.6e-4), (3.9, 1.3e-4))  # radius in pixels, number per pixel
TRIES = 20  # attempts to place a cell for each cell that has room


@dataclass(frozen=True)
class Cultures:
    """Fields of view.

    height : float32 (N, H, W), optical thickness of cells and debris in radians, summed over depth
    absorption : float32 (N, H, W), optical density of cells and debris at unit stain
    instances : int32 (N, H, W), 0 background, 1..n cells, each in one piece of
        ``lib.phantom.dish.MIN_PIXELS`` or more; where cells overlap, of the upper one; neither
        debris nor particles
    layers : float16 (N, L, H, W), the height at each depth; L is 1 in a flat culture
    depth : float32 (N, L), of the layers, 0 in the middle, ``DEPTH`` at the most
    particles : float32 (N, H, W) in [0, 1], how much of a pixel a magnetic particle covers
    particle_layer : uint8 (N, H, W), in which layer the particle lies
    line : (N,) names in ``LINES``
    """

    height: np.ndarray
    absorption: np.ndarray
    instances: np.ndarray
    layers: np.ndarray
    depth: np.ndarray
    particles: np.ndarray
    particle_layer: np.ndarray
    line: tuple[str, ...]


def grow_cultures(
    seeds: np.ndarray,
    shape: tuple[int, int],
    lines: Sequence[str],
    culture: Literal["flat", "gel"],
    particles: bool = False,
    empty: bool = False,
) -> Cultures:
    """Grow one field of view per seed.

    Each depends on its own seed and line alone, whatever the batch. Particles change nothing else.

    Parameters
    ----------
    seeds : int64 (N,), not negative
    shape : height and width of the maps in pixels, 32 or more each
    lines : (N,) names in ``LINES``
    culture : "flat", all in one plane, sparse to dense; "gel", few cells, at ``LAYERS`` depths
    particles : scatter magnetic particles of two sizes, as they measure the stiffness of gels
    empty : leave the cells out and the debris in

    Raises
    ------
    InputError
        Unknown line, or not as many lines as seeds.
    """
    seeds, lines = np.asarray(seeds), tuple(lines)
    if len(lines) != len(seeds):
        raise InputError(f"{len(seeds)} seeds, {len(lines)} lines: give every seed its line.")
    for name in lines:
        if name not in LINES:
            raise InputError(f"cell line {name!r} is unknown: choose one of {', '.join(LINES)}.")
    count = 1 if culture == "flat" else LAYERS
    cells, beads = Draws(seeds, stream=71), Draws(seeds, stream=72)
    depth = _depths(Draws(seeds, stream=73), count)
    dishes = [Dish(shape, count) for _ in seeds]
    for dish, name, rng in zip(dishes, lines, cells.generators, strict=True):
        line = LINES[name]
        if not empty:
            _populate(dish, line, line.coverage if culture == "flat" else GEL_COVERAGE, rng)
        _scatter_debris(dish, rng)
    if particles:
        for dish, rng in zip(dishes, beads.generators, strict=True):
            _scatter_particles(dish, rng)
    return Cultures(
        height=np.stack([d.layers.sum(axis=0) for d in dishes]),
        absorption=np.stack([d.absorption for d in dishes]),
        instances=np.stack([d.instances for d in dishes]),
        layers=np.stack([d.layers.astype(np.float16) for d in dishes]),
        depth=depth,
        particles=np.stack([d.particles for d in dishes]),
        particle_layer=np.stack([d.particle_layer for d in dishes]),
        line=lines,
    )


def _depths(draws: Draws, count: int) -> np.ndarray:
    """One depth in each of ``count`` slices of the gel, so that no gel lacks a side of focus."""
    if count == 1:
        return np.zeros((len(draws.generators), 1), np.float32)
    slices = (np.arange(count) + draws.uniform(0, 1, count)) / count
    return ((2 * slices - 1) * DEPTH).astype(np.float32)


def _populate(dish: Dish, line: Line, coverage: tuple[float, float], rng) -> None:
    """Seed cells at random or beside others, in no place twice, until they cover their share."""
    goal = rng.uniform(*coverage) * dish.instances.size
    tries = int(TRIES * goal / (line.length[0] * line.width[0])) + TRIES
    for _ in range(tries):
        if dish.covered >= goal:
            return
        y, x = _place(dish, line, rng)
        layer = int(rng.integers(len(dish.layers)))
        if not dish.is_free(y, x):
            continue
        if rng.random() >= MITOTIC_SHARE:
            dish.add_cell(living_cell(line, rng), y, x, layer, line.overlap)
            continue
        ball = mitotic_cell(line, rng)
        if rng.random() < PAIR_SHARE:
            way, far = rng.uniform(0, 2 * np.pi), len(ball) - 3  # a diameter: the two touch
            sister = mitotic_cell(line, rng)
            dish.add_cell(sister, y + far * np.sin(way), x + far * np.cos(way), layer, 0.0)
        dish.add_cell(ball, y, x, layer, 0.0)


def _place(dish: Dish, line: Line, rng) -> tuple[float, float]:
    height, width = dish.instances.shape
    if dish.centres and rng.random() < line.company:
        y, x = dish.centres[rng.integers(len(dish.centres))]
        way = rng.uniform(0, 2 * np.pi)
        far = rng.uniform(0.85, 1.1) * (line.length[1] + line.width[1]) / 2
        return y + far * np.sin(way), x + far * np.cos(way)
    return rng.uniform(0, height), rng.uniform(0, width)


def _scatter_debris(dish: Dish, rng) -> None:
    height, width = dish.instances.shape
    for _ in range(rng.poisson(DEBRIS * height * width)):
        speck = debris_speck(rng)
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        dish.add_debris(speck, y, x, int(rng.integers(len(dish.layers))))


def _scatter_particles(dish: Dish, rng) -> None:
    height, width = dish.instances.shape
    for radius, density in PARTICLES:
        for _ in range(rng.poisson(density * height * width)):
            ball = disc(radius * rng.uniform(0.92, 1.08), rng)
            y, x = rng.uniform(0, height), rng.uniform(0, width)
            dish.add_particle(ball, y, x, int(rng.integers(len(dish.layers))))
