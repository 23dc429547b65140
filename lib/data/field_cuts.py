"""Squares cut out of images and of their instance maps, brought to one size in register."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from lib.data.label_maps import without_specks

_ROUNDING = 1e-6  # of the share of a pixel that is covered


@dataclass(frozen=True)
class Cut:
    """A square of an image.

    Attributes
    ----------
    top, left : its first row and column, px; negative where the square begins outside the image
    side : px
    name : what is added to the id of the image: nothing, or ``#row,column`` of a tile
    """

    top: int
    left: int
    side: int
    name: str = ""


def cuts_of(height: int, width: int, side: int, tiled: bool) -> list[Cut]:
    """The squares that are shown of an image.

    Parameters
    ----------
    height, width : of the image, px
    side : of a square, px; 0: as large as fits
    tiled : all whole squares side by side from the upper left, what is left at the right and at
        the bottom is not shown, none where the image is smaller; else one in the centre, which may
        be larger than the image
    """
    side = side or min(height, width)
    if not tiled:
        return [Cut((height - side) // 2, (width - side) // 2, side)]
    return [
        Cut(row * side, column * side, side, f"#{row},{column}")
        for row in range(height // side)
        for column in range(width // side)
    ]


def cut_image(image: np.ndarray, cut: Cut, size: int) -> np.ndarray:
    """A square of an image (H, W) or (H, W, 3), uint8 (size, size) or (size, size, 3).

    Beyond the image its outermost pixels go on. Resized bilinearly, antialiased where it shrinks.
    """
    piece = _piece(image, cut)[0]
    if cut.side == size:
        return piece
    return np.asarray(Image.fromarray(piece).resize((size, size), Image.Resampling.BILINEAR))


def cut_map(labels: np.ndarray, cut: Cut, size: int) -> np.ndarray:
    """The same square of an instance map (H, W), int32 (size, size): 0, 1 to n.

    Beyond the image there is background. A new pixel is object where objects cover more than half
    of it, and of the one that covers most: the nearest pixel alone would, where the side shrinks to
    half, always be the one at the lower right, a quarter of a new pixel away. Pixels that are just
    half covered are object in turn, like the black squares of a chessboard, so that objects neither
    grow nor shrink. What is left of an object in fewer than `lib.data.label_maps.SMALLEST` px is
    left out.
    """
    piece, inside = _piece(labels, cut)
    piece = np.where(inside, piece, 0)
    if cut.side != size:
        piece = _resized(piece, size)
    return without_specks(piece, int(labels.max()))


def _piece(whole: np.ndarray, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """A square with the outermost pixels repeated, and where it is inside."""
    rows, columns = (np.arange(cut.side) + start for start in (cut.top, cut.left))
    height, width = whole.shape[:2]
    piece = whole[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)]
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return piece, inside


def _resized(labels: np.ndarray, size: int) -> np.ndarray:
    side = labels.shape[0]
    overlap, scale = _overlap(side, size), size / side
    covered, most = np.zeros((2, size, size))
    whose = np.zeros((size, size), np.int32)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        new = tuple(slice(int(s.start * scale), math.ceil(s.stop * scale)) for s in box)
        down, across = (overlap[to, of] for to, of in zip(new, box, strict=True))
        share = down @ (labels[box] == number) @ across.T
        covered[new] += share
        larger = share > most[new]
        whose[new][larger] = number
        most[new][larger] = share[larger]
    black = np.indices((size, size)).sum(0) % 2 == 0
    return np.where(covered > 0.5 + np.where(black, -_ROUNDING, _ROUNDING), whose, 0)


@functools.lru_cache(8)
def _overlap(side: int, size: int) -> np.ndarray:
    """Share of every new pixel (size rows) that every old one (side columns) covers."""
    step = side / size
    start = np.arange(size)[:, None] * step
    old = np.arange(side)
    return np.clip(np.minimum(start + step, old + 1) - np.maximum(start, old), 0, None) / step
