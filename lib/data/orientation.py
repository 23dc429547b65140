"""Which way up: what the orientation tag of TIFF and EXIF stands for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ORIENTATION = 274  # number of the tag
# Orientation of TIFF 6.0: how the stored rows and columns are turned to be looked at.
_TURN: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}


def turned(pixels: np.ndarray, number: object) -> np.ndarray:
    """An image (H, W, ...) as it is looked at; as it is where ``number`` is no orientation."""
    return _TURN[number](pixels) if number in range(2, 9) else pixels
