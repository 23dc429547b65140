"""Phantom embryos: geometry, height and absorption maps, label and truth masks from a seed.

Not real embryos: a drawing of what an embryologist looks for, with known truth. One continuous
variable, the size of the cavity, leads from the compacted morula to the expanded blastocyst. Where
the cavity is the diagnosis the two classes overlap on it; where the grain is, it tells nothing of
them, and texture does (``lib.phantom.grain``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lib.phantom.grain import Grain, cytoplasm, draw_grain, inner_cell_mass
from lib.phantom.maps import (
    CHUNK_PIXELS,
    column,
    heap_of_cells,
    lenses,
    polygons,
    soft_step,
    texture,
)
from lib.phantom.traits import Traits, draw_traits

EXTENT = 1.25  # half-width of a map in embryo radii: the outer zona lies at 1 / EXTENT of it

BENDING = 0.020  # how far living matter strays from circles and spheres, in embryo radii
HOLLOW = (0.38, 0.62)  # cavity sizes over which a heap of cells turns into a walled ball


@dataclass(frozen=True)
class Embryos:
    """Embryos in their own coordinates; map pixel (i, j) lies at ((j + 0.5) * 2 / S - 1) * EXTENT
    embryo radii to the right of the centre, and likewise down.

    height : float32 (N, S, S), optical thickness in embryo radii
    absorption : float32 (N, S, S), optical density, 0 outside
    label : int64 (N,), 1 blastocyst, or 1 fine grain
    expansion : float32 (N,) in [0, 1], how far the embryo has grown in size
    cavity_size : float32 (N,), cavity radius over the radius of the cell mass; 0 none
    ambiguous : bool (N,), True where the label cannot be told from the image
    embryo, zona, cavity, icm : bool (N, S, S), truth masks
    """

    height: np.ndarray
    absorption: np.ndarray
    label: np.ndarray
    expansion: np.ndarray
    cavity_size: np.ndarray
    ambiguous: np.ndarray
    embryo: np.ndarray
    zona: np.ndarray
    cavity: np.ndarray
    icm: np.ndarray


def grow(
    seeds: np.ndarray,
    size: int,
    positive_share: float,
    diagnosis: Literal["cavity", "grain"] = "cavity",
) -> Embryos:
    """Grow one embryo per seed.

    Each embryo depends on its own seed, ``positive_share`` and ``diagnosis`` alone, whatever the
    batch; at a larger ``size`` it is the same embryo in finer pixels.

    Parameters
    ----------
    seeds : int64 (N,), not negative
    size : side S of the maps in pixels
    positive_share : probability of a blastocyst and, apart from it, of fine grain, in (0, 1)
    diagnosis : what the label is: whether there is a blastocyst's cavity, or how fine the grain is
    """
    seeds = np.asarray(seeds)
    traits = draw_traits(seeds, positive_share)
    grain = draw_grain(seeds, positive_share) if diagnosis == "grain" else None
    step = max(1, CHUNK_PIXELS // size**2)
    parts = []
    for start in range(0, len(seeds), step):
        rows = slice(start, start + step)
        parts.append(_draw_maps(traits[rows], grain and grain[rows], size))
    maps = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return Embryos(
        label=grain.label if grain else traits.blastocyst,
        expansion=traits.expansion,
        cavity_size=traits.cavity_size,
        ambiguous=grain.ambiguous if grain else traits.ambiguous,
        **maps,
    )


def _draw_maps(t: Traits, g: Grain | None, size: int) -> dict[str, np.ndarray]:
    line = ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1) * EXTENT
    x = np.broadcast_to(line[None, None, :], (len(t.blastocyst), size, size))
    y = np.broadcast_to(line[None, :, None], x.shape)
    radius = np.sqrt(x * x + y * y)
    twice = 2 * (np.arctan2(y, x) - column(t.ovality_angle))
    oval = 1 + column(t.ovality) * np.cos(twice)
    x, y, radius = x / oval, y / oval, radius / oval

    spacing = 2 * EXTENT / size
    bend = texture("swell", x, y, t.offset[:, ::-1], spacing)
    sway = texture("swell", x, y, -t.offset, spacing)
    unevenness = 1 + 0.35 * bend
    granules = texture("granules", x, y, t.offset, spacing) * column(t.granularity) * unevenness
    matter = granules if g is None else cytoplasm(g, x, y, spacing) * unevenness
    x, y = x + BENDING * bend, y + BENDING * sway
    hollow = soft_step(t.cavity_size - np.mean(HOLLOW), HOLLOW[1] - HOLLOW[0])
    crowd = t.crowding * soft_step(0.78 - t.cavity_size, 0.2)
    height, absorption = np.zeros_like(x), np.zeros_like(x)
    cavity, icm = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    for share, build in ((np.maximum(1 - hollow, crowd), _heap), (hollow, _ball)):
        rows = share > 0
        if rows.any():
            own = g and g[rows]
            built = build(t[rows], own, x[rows], y[rows], radius[rows], matter[rows])
            height[rows] += column(share[rows]) * built["height"]
            absorption[rows] += column(share[rows]) * built["absorption"]
            cavity[rows] |= built["cavity"]
            icm[rows] |= built["icm"] & (column(t.blastocyst[rows]) > 0)

    within = 1 - column(t.zona_width) - radius
    inner = soft_step(within, 0.015)
    ring = soft_step(0.97 - radius, 0.06) * (1 - inner)
    height += ring * (0.006 + 0.002 * granules) + 0.010 * inner
    absorption += ring * (0.25 + 0.08 * granules)
    embryo = radius < 1
    return dict(
        height=height,
        absorption=np.maximum(absorption, 0),
        embryo=embryo,
        zona=embryo & (within < 0),
        cavity=cavity & ~icm,
        icm=icm,
    )


def _cavity_centre(t: Traits) -> tuple[np.ndarray, np.ndarray]:
    """The cavity leans away from the inner cell mass, leaving a thin wall opposite to it."""
    lean = t.mass_radius * np.maximum(1 - t.cavity_size - 0.05, 0)
    return -column(lean * np.cos(t.icm_angle)), -column(lean * np.sin(t.icm_angle))


def _heap(t: Traits, g: Grain | None, x, y, radius, granules) -> dict[str, np.ndarray]:
    """Cleavage, morula, morula with a vacuole: overlapping cells, perhaps with a hole."""
    heap = heap_of_cells(x, y, t.cell_centres, t.cell_radii)
    inside = soft_step(heap - 0.06, 0.1)
    height = 0.17 * heap + 0.008 * granules * inside
    density = inside * (0.3 + 0.25 * heap + 0.10 * granules)
    cx, cy = _cavity_centre(t)
    size = column(t.cavity_size * t.mass_radius)
    depth = size - np.hypot(x - cx, y - cy)
    hole = soft_step(depth, 0.03) * (size > 0)
    dome = np.sqrt(np.maximum(size**2 - np.maximum(size - depth, 0) ** 2, 0))
    height = height * (1 - 0.85 * hole * (1 - column(t.crowding))) + 0.15 * dome * hole
    return dict(
        height=height,
        absorption=density * (1 - 0.8 * hole),
        cavity=hole > 0.5,
        icm=np.zeros(x.shape, bool),
    )


def _ball(t: Traits, g: Grain | None, x, y, radius, granules) -> dict[str, np.ndarray]:
    """Blastocyst: a cavity in a scalloped wall, an inner cell mass, polygons out of focus."""
    rho = column(t.mass_radius)
    cx, cy = _cavity_centre(t)
    angle = np.arctan2(y - cy, x - cx)
    profile, thickness = lenses(angle, t.lens_thickness, t.lens_shift)
    depth = column(t.cavity_size * t.mass_radius) - np.hypot(x - cx, y - cy) - thickness
    mass = soft_step(rho - radius, 0.02)
    hole = soft_step(depth, 0.025)
    to_edge, to_hole = np.maximum(rho - radius, 0), np.maximum(-depth, 0)
    across = 4 * to_edge * to_hole / (to_edge + to_hole + 1e-3) ** 2
    wall = mass * (1 - hole)
    clouds = texture("clouds", x, y, t.offset[:, ::-1], 2 * EXTENT / x.shape[1])

    out = x * column(np.cos(t.icm_angle)) + y * column(np.sin(t.icm_angle))
    beside = y * column(np.cos(t.icm_angle)) - x * column(np.sin(t.icm_angle))
    along = (out - column(t.mass_radius - 0.8 * t.icm_radius)) / column(t.icm_stretch)
    reach = np.hypot(along, beside) / column(t.icm_radius) + 0.05 * clouds
    clump = soft_step(1 - reach, 0.1) * mass
    dome = np.sqrt(np.maximum(1 - reach**2, 0))

    height = 0.05 * np.sqrt(np.maximum(rho**2 - radius**2, 0))
    cells = np.sqrt(across) * (0.35 + 0.65 * np.sqrt(profile))
    thick = soft_step(to_edge + to_hole - 0.30, 0.25)
    heap = heap_of_cells(x, y, t.cell_centres, t.cell_radii)
    wall_height = (1 - thick) * 0.10 * cells + thick * 0.15 * heap
    height += wall * (1 - clump) * (wall_height + 0.006 * granules)
    net = polygons(x, y, t.mass_radius, t.surface_cells, t.net_sharpness)
    height += mass * (1 - clump) * hole * column(t.net_depth) * net
    if g is None:
        packed = 0.012 * granules
    else:
        packed = inner_cell_mass(g, along / column(t.icm_radius), beside / column(t.icm_radius))
        packed *= column(t.icm_radius)
        height += mass * (1 - clump) * hole * 0.002 * granules  # cytoplasm below and above it
    height += clump * (0.10 * dome + packed + 0.010 * clouds)
    density = wall * (0.30 + 0.35 * cells) + mass * 0.25 * (2 - net) * hole
    density = density * (1 - clump) + clump * (0.75 + 0.12 * granules)
    return dict(height=height, absorption=density, cavity=hole > 0.5, icm=clump > 0.5)
