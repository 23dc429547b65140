"""Phantom embryos: geometry, height and absorption maps, label and truth masks from a seed.

Not real embryos: a drawing of what an embryologist looks for, with known truth. One continuous
variable, the size of the cavity, leads from the compacted morula to the expanded blastocyst, and
the two classes overlap on it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lib.phantom.maps import (
    CHUNK_PIXELS,
    Draws,
    column,
    directions,
    heap_of_cells,
    lenses,
    polygons,
    soft_step,
    texture,
)

EXTENT = 1.25  # half-width of a map in embryo radii: the outer zona lies at 1 / EXTENT of it

# How much the classes overlap. An ambiguous embryo shows the same features whatever its label.
AMBIGUOUS_SHARE = 0.02
AMBIGUOUS_CAVITY = (0.30, 0.58)  # cavity radius over the radius of the cell mass
VACUOLE_SHARE = 0.22  # of the negatives: morula with a vacuole
VACUOLE_CAVITY = (0.15, 0.46)
BLASTOCYST_CAVITY = (0.42, 0.93)
MORULA_SHARE = 0.28  # of the negatives: compacted morula without a vacuole

BENDING = 0.020  # how far living matter strays from circles and spheres, in embryo radii
HOLLOW = (0.38, 0.62)  # cavity sizes over which a heap of cells turns into a walled ball
MOST_CELLS = 26  # of a morula
FRAGMENT_SHARE = 0.12  # of the places that no cell takes
WALL_CELLS = 14  # trophectoderm cells in the focal plane
SURFACE_CELLS = 30  # trophectoderm cells above and below it


@dataclass(frozen=True)
class Embryos:
    """Embryos in their own coordinates; map pixel (i, j) lies at ((j + 0.5) * 2 / S - 1) * EXTENT
    embryo radii to the right of the centre, and likewise down.

    height : float32 (N, S, S), optical thickness in embryo radii
    absorption : float32 (N, S, S), optical density, 0 outside
    label : int64 (N,), 1 blastocyst
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


@dataclass(frozen=True)
class _Traits:
    """What distinguishes one embryo from another; the first axis is the embryo."""

    label: np.ndarray
    ambiguous: np.ndarray
    cavity_size: np.ndarray
    expansion: np.ndarray
    zona_width: np.ndarray
    mass_radius: np.ndarray
    cell_centres: np.ndarray
    cell_radii: np.ndarray
    surface_cells: np.ndarray
    lens_thickness: np.ndarray
    lens_shift: np.ndarray
    icm_angle: np.ndarray
    icm_radius: np.ndarray
    icm_stretch: np.ndarray
    ovality: np.ndarray
    ovality_angle: np.ndarray
    grain: np.ndarray
    crowding: np.ndarray
    net_depth: np.ndarray
    net_sharpness: np.ndarray
    offset: np.ndarray

    def __getitem__(self, rows) -> _Traits:
        return _Traits(*(getattr(self, f.name)[rows] for f in fields(self)))


def _draw_stage(draws: Draws, label: np.ndarray) -> tuple[np.ndarray, ...]:
    """Cavity size of each embryo, whether it still cleaves, and whether it is ambiguous."""
    ambiguous = draws.uniform(0, 1) < AMBIGUOUS_SHARE
    kind = draws.uniform(0, 1)
    vacuole = kind < VACUOLE_SHARE
    between, grown = draws.uniform(*AMBIGUOUS_CAVITY), draws.uniform(*BLASTOCYST_CAVITY)
    negative = np.where(vacuole, draws.uniform(*VACUOLE_CAVITY), 0)
    cavity = np.where(ambiguous, between, np.where(label, grown, negative)).astype(np.float32)
    cleaving = ~label & ~ambiguous & (kind >= VACUOLE_SHARE + MORULA_SHARE)
    return cavity, cleaving, ambiguous


def _draw_cells(draws: Draws, cleaving: np.ndarray, rho: np.ndarray) -> tuple[np.ndarray, ...]:
    """Centres (N, K, 3) and radii (N, K) of the cells, fragments between them included.

    2 to 17 cells while they cleave, 17 or more after. A cell's volume is its share of the whole.
    """
    few = 2 ** np.floor(draws.uniform(1, 4.7)) + np.floor(draws.uniform(0, 1.9))
    many = np.floor(draws.uniform(17, MOST_CELLS + 0.99))
    count = np.where(cleaving, few, many).astype(int)
    uneven = draws.uniform(0.85, 1.15, MOST_CELLS)
    tightness = np.where(cleaving, 0.88, draws.uniform(0.9, 1.02))
    radii = (rho * tightness * count ** (-1 / 3))[:, None] * uneven
    fragment = draws.uniform(0, 1, MOST_CELLS) < FRAGMENT_SHARE
    ways = directions(count, MOST_CELLS, draws, jitter=0.18)
    small = rho[:, None] * draws.uniform(0.05, 0.13, MOST_CELLS) * fragment
    anywhere = draws.normal(MOST_CELLS, 3)
    anywhere /= np.linalg.norm(anywhere, axis=-1, keepdims=True)

    spare = np.arange(MOST_CELLS)[None, :] >= count[:, None]
    radii = np.where(spare, small, radii)
    ways = np.where(spare[..., None], anywhere, ways)
    centres = ways * np.maximum(rho[:, None] - radii, 0)[..., None]
    return centres.astype(np.float32), radii.astype(np.float32)


def _draw_traits(seeds: np.ndarray, positive_share: float) -> _Traits:
    draws = Draws(seeds, stream=0)
    label = draws.uniform(0, 1) < positive_share
    cavity, cleaving, ambiguous = _draw_stage(draws, label)
    expansion = np.clip((cavity - 0.45) / 0.48 + 0.25 * draws.normal(), 0, 1)
    zona = 0.17 - 0.11 * np.clip((cavity - 0.5) / 0.4, 0, 1) + draws.uniform(-0.02, 0.02)
    gap = np.where(cleaving, draws.uniform(0.0, 0.05), np.where(cavity > 0, 0.0, 0.02))
    rho = (1 - zona - gap).astype(np.float32)
    centres, radii = _draw_cells(draws, cleaving, rho)
    unstretched = np.clip((0.95 - cavity) / 0.5, 0, 1)[:, None]
    lens = 0.025 + (0.11 + 0.05 * unstretched) * draws.uniform(0, 1, WALL_CELLS) ** 2
    everywhere = np.full(len(seeds), SURFACE_CELLS)
    return _Traits(
        label=label.astype(np.int64),
        ambiguous=ambiguous,
        cavity_size=cavity,
        expansion=expansion.astype(np.float32),
        zona_width=zona,
        mass_radius=rho,
        cell_centres=centres,
        cell_radii=radii,
        surface_cells=directions(everywhere, SURFACE_CELLS, draws, jitter=0.25),
        lens_thickness=(rho * cavity)[:, None] * lens,
        lens_shift=draws.uniform(-0.35, 0.35, WALL_CELLS),
        icm_angle=draws.uniform(-np.pi, np.pi),
        icm_radius=rho * draws.uniform(0.27, 0.38),
        icm_stretch=draws.uniform(0.75, 1.1),
        ovality=draws.uniform(0.0, 0.04),
        ovality_angle=draws.uniform(0, np.pi),
        grain=draws.uniform(0.7, 1.4),
        crowding=np.maximum(draws.uniform(-0.7, 0.7), 0),
        net_depth=draws.uniform(0.008, 0.030),
        net_sharpness=draws.uniform(5, 16),
        offset=draws.uniform(-1, 1, 2),
    )


def grow(seeds: np.ndarray, size: int, positive_share: float) -> Embryos:
    """Grow one embryo per seed.

    Each embryo depends on its own seed and ``positive_share`` alone, whatever the batch; at a
    larger ``size`` it is the same embryo in finer pixels.

    Parameters
    ----------
    seeds : int64 (N,), not negative
    size : side S of the maps in pixels
    positive_share : probability of a blastocyst, in (0, 1)
    """
    traits = _draw_traits(np.asarray(seeds), positive_share)
    step = max(1, CHUNK_PIXELS // size**2)
    parts = [_draw_maps(traits[i : i + step], size) for i in range(0, len(seeds), step)]
    maps = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return Embryos(
        label=traits.label,
        expansion=traits.expansion,
        cavity_size=traits.cavity_size,
        ambiguous=traits.ambiguous,
        **maps,
    )


def _draw_maps(t: _Traits, size: int) -> dict[str, np.ndarray]:
    line = ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1) * EXTENT
    x = np.broadcast_to(line[None, None, :], (len(t.label), size, size))
    y = np.broadcast_to(line[None, :, None], x.shape)
    radius = np.sqrt(x * x + y * y)
    twice = 2 * (np.arctan2(y, x) - column(t.ovality_angle))
    oval = 1 + column(t.ovality) * np.cos(twice)
    x, y, radius = x / oval, y / oval, radius / oval

    spacing = 2 * EXTENT / size
    bend = texture("swell", x, y, t.offset[:, ::-1], spacing)
    sway = texture("swell", x, y, -t.offset, spacing)
    granules = texture("granules", x, y, t.offset, spacing) * column(t.grain) * (1 + 0.35 * bend)
    x, y = x + BENDING * bend, y + BENDING * sway
    hollow = soft_step(t.cavity_size - np.mean(HOLLOW), HOLLOW[1] - HOLLOW[0])
    crowd = t.crowding * soft_step(0.78 - t.cavity_size, 0.2)
    height, absorption = np.zeros_like(x), np.zeros_like(x)
    cavity, icm = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    for share, build in ((np.maximum(1 - hollow, crowd), _heap), (hollow, _ball)):
        rows = share > 0
        if rows.any():
            built = build(t[rows], x[rows], y[rows], radius[rows], granules[rows])
            height[rows] += column(share[rows]) * built["height"]
            absorption[rows] += column(share[rows]) * built["absorption"]
            cavity[rows] |= built["cavity"]
            icm[rows] |= built["icm"] & (column(t.label[rows]) > 0)

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


def _cavity_centre(t: _Traits) -> tuple[np.ndarray, np.ndarray]:
    """The cavity leans away from the inner cell mass, leaving a thin wall opposite to it."""
    lean = t.mass_radius * np.maximum(1 - t.cavity_size - 0.05, 0)
    return -column(lean * np.cos(t.icm_angle)), -column(lean * np.sin(t.icm_angle))


def _heap(t: _Traits, x, y, radius, granules) -> dict[str, np.ndarray]:
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


def _ball(t: _Traits, x, y, radius, granules) -> dict[str, np.ndarray]:
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
    height += clump * (0.10 * dome + 0.012 * granules + 0.010 * clouds)
    density = wall * (0.30 + 0.35 * cells) + mass * 0.25 * (2 - net) * hole
    density = density * (1 - clump) + clump * (0.75 + 0.12 * granules)
    return dict(height=height, absorption=density, cavity=hole > 0.5, icm=clump > 0.5)
