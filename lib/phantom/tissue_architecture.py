"""Where tissue has epithelium, lumen, fat, vessels and stroma: signed distances, from a label.

They stand on a raster that reaches beyond the field of view on every side, so that a structure is
cut by the edge where it happens to lie. Lengths are in um; distances are negative inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lib.phantom.sensor import Range
from lib.phantom.tissue_textures import patch, texture

STEP = 1.0  # between points of the raster
MARGIN = 20.0  # of the raster around the field
ROW = 11.0  # height of a benign epithelium of one row of cells
SECOND_ROW = 6.5  # that another row adds
FAR = 60.0  # the greatest distance that is told
USUAL = 48.0  # side of a field that the numbers of glands and fat cells are given for


@dataclass(frozen=True)
class Architecture:
    """Of one field; maps are float32 (R, R) on the raster.

    epithelium : distance to the basal border of glands and nests, negative inside, lumen included
    lumen : distance to the border of white space within the epithelium
    fat, vessel : distance to fat cells, to the lumen of small vessels
    across, along : um across and along the collagen fibres, which follow lines of equal ``across``
    red_cells : (K, 3), centre y, x and radius
    benign : glands have a myoepithelium and rows of cells
    rows : of cells in a benign epithelium
    field : side of the field of view
    """

    epithelium: np.ndarray
    lumen: np.ndarray
    fat: np.ndarray
    vessel: np.ndarray
    across: np.ndarray
    along: np.ndarray
    red_cells: np.ndarray
    benign: bool
    rows: int
    field: float

    def at(self, name: str, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """A map's values at points given in um from the field's upper left corner."""
        places = [(part + MARGIN) / STEP for part in (y, x)]
        return ndimage.map_coordinates(
            getattr(self, name), places, order=1, mode="nearest", output=np.float32
        )


def raster(field: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (R, R) of the raster of a field, y and x in um from the field's corner."""
    line = np.arange(-MARGIN, field + MARGIN + STEP, STEP)
    return np.meshgrid(line, line, indexing="ij")


def build_architecture(label: str, field: float, rng: np.random.Generator) -> Architecture:
    """Draw what a field of view with a label consists of."""
    y, x = raster(field)
    benign = label == "benign"
    rows = 2 if benign and rng.random() < 0.25 else 1
    if benign:
        epithelium, lumen = _glands(y, x, field, rows, rng)
    else:
        epithelium, lumen = _nests(y, x, field, rng)
    fat = np.full(y.shape, FAR, np.float32)
    if rng.random() < (0.3 if benign else 0.1):
        cells = _discs(y, x, field, (14, 32), (0.5, 2.0), 30, rng)
        fat = np.maximum(cells, 6 - epithelium).astype(np.float32)
    vessel, red_cells = _vessels(y, x, np.minimum(epithelium, fat), field, rng)
    across, along = _fibres(y, x, epithelium, rng)
    return Architecture(
        epithelium, lumen, fat, vessel, across, along, red_cells, benign, rows, field
    )


def signed_distance(inside: np.ndarray) -> np.ndarray:
    """Distance in um to the border of a region of the raster, negative inside, up to ``FAR``."""
    if not inside.any():
        return np.full(inside.shape, FAR, np.float32)
    if inside.all():
        return np.full(inside.shape, -FAR, np.float32)
    outer = ndimage.distance_transform_edt(~inside)
    inner = ndimage.distance_transform_edt(inside)
    smooth = ndimage.gaussian_filter((outer - inner).astype(np.float32), 0.8)
    return np.clip(STEP * smooth, -FAR, FAR)


def _patches(y: np.ndarray, rng) -> np.ndarray:
    return patch("patches", *y.shape, rng.random(2), STEP)


def _discs(y, x, field: float, radius: Range, gap: Range, tries: float, rng) -> np.ndarray:
    """Distance to stretched discs that keep ``gap``; the border of the first crosses the field.

    tries : to place one, in a field of ``USUAL`` um
    """
    placed: list[tuple[float, float, float]] = []
    shape = np.full(y.shape, FAR)
    for _ in range(int(tries * (field / USUAL) ** 2) + 1):
        r = rng.uniform(*radius)
        if placed:
            cy, cx = rng.uniform(-r, field + r, 2)
            room = rng.uniform(*gap)
            if any(np.hypot(cy - py, cx - px) < r + pr + room for py, px, pr in placed):
                continue
        else:
            way, wall = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8, 2) * field
            cy, cx = wall + (r - 5) * np.array([np.sin(way), np.cos(way)])
        placed.append((cy, cx, r))
        turn, stretch = rng.uniform(0, np.pi), np.sqrt(rng.uniform(1.0, 1.7))
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        shape = np.minimum(shape, np.hypot(u * stretch, v / stretch) - r)
    return shape


def _glands(y, x, field: float, rows: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Benign: lobules of small round acini, or a wide duct, with rows of cells round a lumen."""
    more = SECOND_ROW * (rows - 1)
    if rng.random() < 0.7:
        shape = _discs(y, x, field, (14 + more, 23 + more), (1, 9), 14, rng)
    else:
        shape = _discs(y, x, field, (30, 65), (6, 20), 4, rng)
    epithelium = signed_distance(shape + 1.8 * _patches(y, rng) < 0)
    height = ROW + more + 1.3 * _patches(y, rng)
    return epithelium, np.clip(height + epithelium, -FAR, FAR)


def _nests(y, x, field: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """Malignant: irregular solid nests, strands or sheets, with few lumina of odd shape."""
    pattern = rng.choice(["nests", "strands", "sheet", "glands"], p=[0.4, 0.2, 0.15, 0.25])
    turn, scale = rng.uniform(0, np.pi), rng.uniform(0.75, 1.2)
    stretch = rng.uniform(1.0, 1.5)
    if pattern == "strands":
        scale, stretch = 1.5 * scale, rng.uniform(1.8, 2.6)
    u = scale * (x * np.cos(turn) + y * np.sin(turn)) / stretch
    v = scale * (y * np.cos(turn) - x * np.sin(turn))
    noise = texture("clouds", v, u, rng.random(2), STEP) + 0.25 * _patches(y, rng)
    share = {"nests": (0.35, 0.70), "strands": (0.30, 0.50), "sheet": (0.85, 1.0),
             "glands": (0.45, 0.75)}[pattern]  # fmt: skip
    seen = (y >= 0) & (x >= 0) & (y <= field) & (x <= field)
    epithelium = signed_distance(noise < np.quantile(noise[seen], rng.uniform(*share)))
    if pattern not in ("glands", "sheet"):
        return epithelium, np.full_like(epithelium, FAR)
    holes = _patches(y, rng)
    few = np.quantile(holes, rng.uniform(0.02, 0.10 if pattern == "sheet" else 0.22))
    return epithelium, signed_distance((holes < few) & (epithelium < -8))


def _vessels(y, x, solid, field: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """Capillaries and venules in the stroma, with or without red cells."""
    distance = np.full(y.shape, FAR, np.float32)
    red: list[tuple[float, float, float]] = []
    room = np.argwhere(solid > 6)
    for _ in range(rng.poisson(0.5 * len(room) * STEP**2 / USUAL**2)):
        cy, cx = np.array([y[0, 0], x[0, 0]]) + STEP * room[rng.integers(len(room))]
        r = min(rng.uniform(3.5, 8.0), solid[int((cy + MARGIN) / STEP), int((cx + MARGIN) / STEP)]
                - 2)  # fmt: skip
        turn, stretch = rng.uniform(0, np.pi), np.sqrt(rng.uniform(1.0, 2.2))
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        distance = np.minimum(distance, np.hypot(u / stretch, v * stretch) - r)
        for _ in range(rng.integers(0, 5)):
            way, far = rng.uniform(0, 2 * np.pi), rng.uniform(0, max(r - 3, 0))
            red.append((cy + far * np.sin(way), cx + far * np.cos(way), rng.uniform(2.6, 3.4)))
    return distance.astype(np.float32), np.reshape(red, (-1, 3))


def _fibres(y, x, epithelium, rng) -> tuple[np.ndarray, np.ndarray]:
    """Wavy collagen that bends round the epithelium."""
    turn = rng.uniform(0, np.pi)
    along = x * np.cos(turn) + y * np.sin(turn)
    across = y * np.cos(turn) - x * np.sin(turn)
    length, height = rng.uniform(18, 36), rng.uniform(0.5, 2.0)
    shift = _patches(y, rng)
    across = across + height * np.sin(2 * np.pi * along / length + 1.5 * shift) + 2.5 * shift
    near = 0.8 * np.exp(-np.maximum(epithelium, 0) / rng.uniform(5, 12))
    across = across + near * (epithelium - across)
    return across.astype(np.float32), along.astype(np.float32)
