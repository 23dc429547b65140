"""What one phantom embryo has of its own: stage, cells, cavity, zona, outline, from a seed."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lib.phantom.maps import Draws, directions

# How much the classes overlap. An ambiguous embryo shows the same features whatever its label.
AMBIGUOUS_SHARE = 0.02
AMBIGUOUS_CAVITY = (0.30, 0.58)  # cavity radius over the radius of the cell mass
VACUOLE_SHARE = 0.22  # of the negatives: morula with a vacuole
VACUOLE_CAVITY = (0.15, 0.46)
BLASTOCYST_CAVITY = (0.42, 0.93)
MORULA_SHARE = 0.28  # of the negatives: compacted morula without a vacuole

MOST_CELLS = 26  # of a morula
FRAGMENT_SHARE = 0.12  # of the places that no cell takes
WALL_CELLS = 14  # trophectoderm cells in the focal plane
SURFACE_CELLS = 30  # trophectoderm cells above and below it


@dataclass(frozen=True)
class Traits:
    """What distinguishes one embryo from another; the first axis is the embryo."""

    blastocyst: np.ndarray
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
    granularity: np.ndarray
    crowding: np.ndarray
    net_depth: np.ndarray
    net_sharpness: np.ndarray
    offset: np.ndarray

    def __getitem__(self, rows) -> Traits:
        return Traits(*(getattr(self, f.name)[rows] for f in fields(self)))


def _draw_stage(draws: Draws, blastocyst: np.ndarray) -> tuple[np.ndarray, ...]:
    """Cavity size of each embryo, whether it still cleaves, and whether it is ambiguous."""
    ambiguous = draws.uniform(0, 1) < AMBIGUOUS_SHARE
    kind = draws.uniform(0, 1)
    vacuole = kind < VACUOLE_SHARE
    between, grown = draws.uniform(*AMBIGUOUS_CAVITY), draws.uniform(*BLASTOCYST_CAVITY)
    negative = np.where(vacuole, draws.uniform(*VACUOLE_CAVITY), 0)
    cavity = np.where(ambiguous, between, np.where(blastocyst, grown, negative)).astype(np.float32)
    cleaving = ~blastocyst & ~ambiguous & (kind >= VACUOLE_SHARE + MORULA_SHARE)
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


def draw_traits(seeds: np.ndarray, positive_share: float) -> Traits:
    """Draw the traits of one embryo per seed; ``positive_share`` of them are blastocysts."""
    draws = Draws(seeds, stream=0)
    blastocyst = draws.uniform(0, 1) < positive_share
    cavity, cleaving, ambiguous = _draw_stage(draws, blastocyst)
    expansion = np.clip((cavity - 0.45) / 0.48 + 0.25 * draws.normal(), 0, 1)
    zona = 0.17 - 0.11 * np.clip((cavity - 0.5) / 0.4, 0, 1) + draws.uniform(-0.02, 0.02)
    gap = np.where(cleaving, draws.uniform(0.0, 0.05), np.where(cavity > 0, 0.0, 0.02))
    rho = (1 - zona - gap).astype(np.float32)
    centres, radii = _draw_cells(draws, cleaving, rho)
    unstretched = np.clip((0.95 - cavity) / 0.5, 0, 1)[:, None]
    lens = 0.025 + (0.11 + 0.05 * unstretched) * draws.uniform(0, 1, WALL_CELLS) ** 2
    everywhere = np.full(len(seeds), SURFACE_CELLS)
    return Traits(
        blastocyst=blastocyst.astype(np.int64),
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
        granularity=draws.uniform(0.7, 1.4),
        crowding=np.maximum(draws.uniform(-0.7, 0.7), 0),
        net_depth=draws.uniform(0.008, 0.030),
        net_sharpness=draws.uniform(5, 16),
        offset=draws.uniform(-1, 1, 2),
    )
