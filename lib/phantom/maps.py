"""Building blocks of a phantom embryo: seeded draws, granular texture, cells, walls, polygons.

Lengths are in embryo radii, the embryo's centre is the origin, x right, y down, z to the viewer.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F

TILE = 1024  # texels along one side of a texture tile
TILE_RADII = 6.0  # embryo radii that one side of the tile covers
CHUNK_PIXELS = 1 << 17  # maps of this many pixels stay in the processor's cache


class Draws:
    """Random numbers of which each row depends on its own seed alone.

    ``stream`` separates what is drawn from one seed for different purposes.
    """

    def __init__(self, seeds: np.ndarray, stream: int):
        self.generators = [np.random.default_rng([int(s), stream]) for s in seeds]

    def uniform(self, low, high, count: int | None = None) -> np.ndarray:
        """Uniform numbers, (N,) or (N, count); the bounds may be arrays of that shape."""
        unit = np.array([g.random(count) for g in self.generators], dtype=np.float32)
        return low + (high - low) * unit

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers, float32 (N, *shape)."""
        return np.stack([g.standard_normal(shape, dtype=np.float32) for g in self.generators])


def column(values: np.ndarray) -> np.ndarray:
    """(N,) -> (N, 1, 1), so that one value per embryo meets a map."""
    return np.asarray(values, dtype=np.float32)[:, None, None]


def soft_step(distance: np.ndarray, width: float) -> np.ndarray:
    """0 below -width/2, 1 above width/2, a cubic between."""
    t = np.clip(distance / np.float32(width) + np.float32(0.5), 0.0, 1.0)
    return t * t * (3 - 2 * t)


@functools.cache
def _tile(kind: str, level: int) -> torch.Tensor:
    """A square of periodic noise of unit variance, halved ``level`` times in resolution."""
    if level:
        return F.avg_pool2d(_tile(kind, level - 1), 2)
    cycles = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :])
    wavelength = TILE_RADII / TILE / np.maximum(cycles, 0.5 / TILE)  # embryo radii
    if kind == "granules":  # cytoplasm: grains around 5 % of the radius, of no single size
        power = np.exp(-(np.log(wavelength / 0.06) ** 2) / (2 * 0.7**2))
    elif kind == "grain":  # of one size, a tenth of the radius, to be stretched to any other
        power = np.exp(-(np.log(wavelength / 0.1) ** 2) / (2 * 0.25**2))
    elif kind == "swell":  # living shapes: slow departures from circles and spheres
        power = wavelength**1.5 * (wavelength > 0.3) * (wavelength < 2.0)
    else:  # clouds: no scale of their own
        power = wavelength**1.5 * (wavelength < 2.0)
    noise = np.random.default_rng(20220711).standard_normal((TILE, TILE))
    field = np.fft.irfft2(np.fft.rfft2(noise) * power, s=(TILE, TILE))
    field /= field.std()
    return torch.from_numpy(field.astype(np.float32))[None, None]


def texture(kind: str, x, y, offset: np.ndarray, spacing: float) -> np.ndarray:
    """Noise of unit variance at the points (x, y), the same at any resolution of the grid.

    Parameters
    ----------
    kind : "granules", "grain", "swell" or "clouds"
    x, y : (N, S, S), embryo radii
    offset : (N, 2) in [-1, 1], which part of the tile each embryo gets
    spacing : of the points, embryo radii; detail finer than it is left out
    """
    level = int(np.clip(np.floor(np.log2(spacing * TILE / TILE_RADII)), 0, 5))
    points = np.stack([x, y], axis=-1) * (2 / TILE_RADII) + offset[:, None, None, :]
    grid = torch.from_numpy(points.astype(np.float32))
    tile = _tile(kind, level).expand(len(x), -1, -1, -1)
    sampled = F.grid_sample(tile, grid, padding_mode="reflection", align_corners=False)
    return sampled[:, 0].numpy()


def directions(count: np.ndarray, most: int, draws: Draws, jitter: float) -> np.ndarray:
    """Nearly even directions on the sphere (Fibonacci lattice, turned and shaken), (N, most, 3).

    Row n has ``count[n]`` of them; the rest repeat the first one.
    """
    k = np.arange(most)[None, :]
    index = np.where(k < count[:, None], k, 0)
    z = 1 - (2 * index + 1) / count[:, None]
    azimuth = np.pi * (3 - np.sqrt(5)) * index + draws.uniform(0, 2 * np.pi)[:, None]
    flat = np.sqrt(np.maximum(1 - z**2, 0))
    points = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), z], axis=-1)
    shaken = points + jitter * draws.normal(most, 3) * (2 / np.sqrt(count))[:, None, None]
    shaken = np.where((k < count[:, None])[..., None], shaken, shaken[:, :1])
    turn, _ = np.linalg.qr(draws.normal(3, 3))
    shaken = shaken @ turn
    return (shaken / np.linalg.norm(shaken, axis=-1, keepdims=True)).astype(np.float32)


def heap_of_cells(x, y, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Thickness of a heap of overlapping cells, seen from both sides: (N, S, S).

    A cell is a ball pressed flat: steep at its edge, level in its middle. The front and the back
    surface are the outermost cell at each point, so that a cell hides the creases of those behind
    it but not those of the other side.

    Parameters
    ----------
    centres : (N, K, 3); radii : (N, K)
    """
    front = np.zeros_like(x)
    back = np.zeros_like(x)
    for k in range(centres.shape[1]):
        cx, cy, cz, r = (column(a) for a in (*centres[:, k].T, radii[:, k]))
        far = ((x - cx) ** 2 + (y - cy) ** 2) / np.maximum(r * r, 1e-6)
        inside = 1 - far * far * far
        half = r * np.sqrt(np.maximum(inside, 0))
        present = inside > 0
        np.maximum(front, np.where(present, half + cz + 1, 0), out=front)
        np.maximum(back, np.where(present, half - cz + 1, 0), out=back)
    return np.maximum(front + back - 2, 0)


def polygons(x, y, rho: np.ndarray, cells: np.ndarray, sharpness: np.ndarray) -> np.ndarray:
    """Relief of the flat cells that cover a sphere, front and back added: (N, S, S) in [0, 2].

    Each cell is a plateau with a valley to its neighbours: the Voronoi cells of ``cells``
    (N, K, 3, unit directions) on a sphere of radius ``rho`` (N,), so that they narrow towards
    the edge as they do in perspective. ``sharpness`` (N,): 6 blurred to 20 crisp.
    """
    px, py = x / column(rho), y / column(rho)
    pz = np.sqrt(np.maximum(1 - px**2 - py**2, 0))
    relief = np.zeros_like(x)
    for side in (pz, -pz):
        first = np.full_like(x, -2.0)
        second = np.full_like(x, -2.0)
        for k in range(cells.shape[1]):
            near = px * column(cells[:, k, 0]) + py * column(cells[:, k, 1])
            near += side * column(cells[:, k, 2])
            second = np.maximum(second, np.minimum(first, near))
            first = np.maximum(first, near)
        relief += 1 - np.exp(-(((first - second) * column(sharpness)) ** 2))
    return relief


def lenses(angle: np.ndarray, thickness: np.ndarray, shift: np.ndarray):
    """Lens-shaped cells along a wall: their profile and thickness at each angle.

    Parameters
    ----------
    angle : (N, S, S) radians
    thickness : (N, K), of the K cells of the full turn
    shift : (N, K), where each border is moved, in shares of a cell (below 0.5)

    Returns
    -------
    profile : (N, S, S) in [0, 1], 0 on the border between two cells
    thickness : (N, S, S), of the cell at that angle times its profile
    """
    count = thickness.shape[1]
    turn = (angle * np.float32(count / (2 * np.pi))) % count
    index = np.minimum(turn.astype(np.int64), count - 1)
    local = turn - index
    rows = np.arange(len(angle))[:, None, None]
    start = shift[rows, index]
    stop = 1 + shift[rows, (index + 1) % count]
    before, after = local < start, local > stop
    index = np.where(before, (index - 1) % count, np.where(after, (index + 1) % count, index))
    local = local + before - after
    start = shift[rows, index]
    stop = 1 + shift[rows, (index + 1) % count]
    local = np.clip((local - start) / (stop - start), 0, 1)
    profile = 4 * local * (1 - local)
    return profile, profile * thickness[rows, index]
