"""A field of view while cells are put into it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

MIN_PIXELS = 12  # of an instance: less cannot be told from debris
VISIBLE = 0.6  # share of a cell that must lie clear of the others
EIGHT = np.ones((3, 3), bool)  # pixels hang together over corners too


class Dish:
    """Maps of one field of view (H, W); the first cell at a place lies on top.

    A thing is given as a window (S, S), S odd, and the position of the window's middle, which may
    lie outside the field.
    """

    def __init__(self, shape: tuple[int, int], layers: int):
        self.layers = np.zeros((layers, *shape), np.float32)
        self.absorption = np.zeros(shape, np.float32)
        self.instances = np.zeros(shape, np.int32)
        self.particles = np.zeros(shape, np.float32)
        self.particle_layer = np.zeros(shape, np.uint8)
        self.centres: list[tuple[float, float]] = []
        self.covered = 0

    def _crop(self, window: np.ndarray, y: float, x: float):
        """The part of the field that the window lies on, and that part of the window."""
        height, width = self.instances.shape
        half = len(window) // 2
        top, left = int(np.floor(y)) - half, int(np.floor(x)) - half
        rows = slice(*np.clip([top, top + len(window)], 0, height))
        columns = slice(*np.clip([left, left + len(window)], 0, width))
        inner = window[rows.start - top :, columns.start - left :]
        inner = inner[: rows.stop - rows.start, : columns.stop - columns.start]
        return (rows, columns), inner

    def is_free(self, y: float, x: float) -> bool:
        """Whether the position lies in the field, or just beside it, and on no cell."""
        height, width = self.instances.shape
        if not (-4 <= y < height + 4 and -4 <= x < width + 4):
            return False
        row, column = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
        return self.instances[row, column] == 0

    def add_cell(self, window: np.ndarray, y: float, x: float, layer: int, overlap: float) -> None:
        """Put a cell under those that are there, unless they hide or tear it.

        overlap : share of the thickness that is left where others lie above; at 0 the cells press
            against each other, with a groove between them
        """
        at, body = self._crop(window, y, x)
        taken = self.instances[at] > 0
        inside = body > 0
        pieces, count = ndimage.label(inside & ~taken, EIGHT)
        if not count:
            return
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        own = pieces == sizes.argmax()
        if sizes.max() < max(MIN_PIXELS, VISIBLE * inside.sum()):
            return
        near = np.minimum(ndimage.uniform_filter(taken.astype(np.float32), 3) * 2, 0.9)
        body = body * (own | taken) * (1 - (1 - overlap) * near)
        self.layers[layer][at] += body
        self.absorption[at] += body
        self.centres.append((y, x))
        self.instances[at][own] = len(self.centres)
        self.covered += int(sizes.max())

    def add_debris(self, window: np.ndarray, y: float, x: float, layer: int) -> None:
        """Put a speck where no cell lies."""
        at, speck = self._crop(window, y, x)
        if not self.instances[at].any():
            self.layers[layer][at] += speck
            self.absorption[at] += 2 * speck

    def add_particle(self, window: np.ndarray, y: float, x: float, layer: int) -> None:
        """Put a particle on top of all else, unless another one lies there."""
        at, ball = self._crop(window, y, x)
        if not self.particles[at].any():
            self.particles[at] = ball
            self.particle_layer[at] = layer
