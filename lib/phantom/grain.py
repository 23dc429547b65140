"""The texture that a phantom is graded by: how fine its cytoplasm, how close its inner cell mass.

Label 1 is what embryologists grade best: smooth, finely granular cytoplasm and an inner cell mass
of many cells packed tightly (grade A of Gardner & Schoolcraft 1999, In vitro culture of human
blastocysts); label 0 is coarse cytoplasm and few cells loosely grouped (grade C). One continuous
quality leads from the one to the other, and the classes overlap on it.

All else is the embryo that the same seed grows when its cavity is the diagnosis: its stage,
outline and masks are equal to the pixel, whatever the label. Morulae and early stages remain among
them, so that a cavity or a mass that a translation invents can still be counted; all stages have
cytoplasm, and it is graded in each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lib.phantom.maps import Draws, column, texture

AMBIGUOUS_SHARE = 0.03  # of the embryos: their grain says nothing of their label
COARSE_QUALITY = (0.0, 0.4)
FINE_QUALITY = (0.6, 1.0)
UNEVEN = 0.15  # how far cytoplasm and inner cell mass may each depart from the embryo's quality
WAVELENGTHS = (0.34, 0.10)  # embryo radii, of the cytoplasm's grain from coarse to fine
CONTRASTS = (0.32, 0.48)  # typical slope of a grain, of every embryo its own
SMOOTHER = 0.35  # share of its contrast that the finest cytoplasm loses
CELLS = (6.0, 42.0)  # of an inner cell mass, in the picture's plane
FILL = (0.78, 1.15)  # radius of a cell over the radius at which they would just cover the mass
SCATTER = (0.30, 0.10)  # of the cells, in distances between them
MOST_CELLS = 46
REACH = 1.3  # radii of an inner cell mass from its centre; beyond, none of it is left
GRANULE = 0.008  # height of granules of unit variance, embryo radii


@dataclass(frozen=True)
class Grain:
    """Texture of the embryos; the first axis is the embryo.

    label : int64 (N,), 1 fine and cohesive
    ambiguous : bool (N,)
    wavelength : (N,) of the cytoplasm's grain, embryo radii
    slope : (N,) of its relief, standard deviation
    cell_places : (N, K, 2) in the inner cell mass, in its radii
    cell_radii : (N, K) likewise; 0 where there is no cell
    offset : (N, 2), which part of the texture tile each embryo gets
    """

    label: np.ndarray
    ambiguous: np.ndarray
    wavelength: np.ndarray
    slope: np.ndarray
    cell_places: np.ndarray
    cell_radii: np.ndarray
    offset: np.ndarray

    def __getitem__(self, rows) -> Grain:
        return Grain(*(getattr(self, f.name)[rows] for f in fields(self)))


def _between(ends: tuple[float, float], quality: np.ndarray) -> np.ndarray:
    """From the coarse end to the fine one, in equal ratios."""
    return ends[0] * (ends[1] / ends[0]) ** quality


def draw_grain(seeds: np.ndarray, positive_share: float) -> Grain:
    """Draw label and texture of each seed from random numbers that its geometry has no part in."""
    draws = Draws(seeds, stream=2)
    label = draws.uniform(0, 1) < positive_share
    ambiguous = draws.uniform(0, 1) < AMBIGUOUS_SHARE
    shown = np.where(ambiguous, draws.uniform(0, 1) < positive_share, label)
    coarse, fine = draws.uniform(*COARSE_QUALITY), draws.uniform(*FINE_QUALITY)
    quality = np.where(shown, fine, coarse)
    cytoplasm, mass = (np.clip(quality + draws.uniform(-UNEVEN, UNEVEN), 0, 1) for _ in range(2))

    count = np.round(_between(CELLS, mass) * draws.uniform(0.9, 1.1)).astype(int)
    # A sunflower's order (Vogel 1979): even at any number, and in no rows.
    k = np.arange(MOST_CELLS)[None, :]
    far = np.sqrt((k + 0.5) / count[:, None])
    way = np.pi * (3 - np.sqrt(5)) * k + draws.uniform(0, 2 * np.pi)[:, None]
    places = np.stack([far * np.cos(way), far * np.sin(way)], axis=-1)
    apart = 1.8 / np.sqrt(count)
    places += (apart * _between(SCATTER, mass))[:, None, None] * draws.normal(MOST_CELLS, 2)
    radii = (_between(FILL, mass) / np.sqrt(count))[:, None] * draws.uniform(0.8, 1.2, MOST_CELLS)
    return Grain(
        label=label.astype(np.int64),
        ambiguous=ambiguous,
        wavelength=_between(WAVELENGTHS, cytoplasm),
        slope=draws.uniform(*CONTRASTS) * (1 - SMOOTHER * cytoplasm),
        cell_places=places.astype(np.float32),
        cell_radii=np.where(k < count[:, None], radii, 0).astype(np.float32),
        offset=draws.uniform(-1, 1, 2),
    )


def cytoplasm(g: Grain, x, y, spacing: float) -> np.ndarray:
    """The cytoplasm's grain at the points (N, S, S), in place of ``granules``."""
    # The tile's own grain has a wavelength of one tenth of a radius.
    finer = column(0.1 / g.wavelength)
    relief = texture("grain", x * finer, y * finer, g.offset, spacing)
    return column(g.slope * g.wavelength / (2 * np.pi * GRANULE)) * relief


def inner_cell_mass(g: Grain, along, beside) -> np.ndarray:
    """Height of the cells in an inner cell mass, (N, S, S) in its radii.

    Each cell is a dome; between loose cells the mass shows gaps.

    Parameters
    ----------
    along, beside : (N, S, S), from its centre, in its radii
    """
    height = np.zeros_like(along)
    near = along**2 + beside**2 < REACH**2
    row = np.nonzero(near)[0]
    u, v = along[near], beside[near]
    seen = np.zeros_like(u)
    for k in range(MOST_CELLS):
        cx, cy, r = (a[row] for a in (*g.cell_places[:, k].T, g.cell_radii[:, k]))
        far = ((u - cx) ** 2 + (v - cy) ** 2) / np.maximum(r * r, 1e-6)
        np.maximum(seen, r * np.sqrt(np.maximum(1 - far, 0)), out=seen)
    height[near] = seen
    return height
