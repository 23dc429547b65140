"""A translated square put back into its photograph, and the photograph as a file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

# EXIF that may be kept: description, maker, model, software, date, artist, copyright, and the parts
# on exposure and place. The orientation was applied; of a TIFF the rest is the layout of its file.
_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_PARTS = (0x8769, 0x8825)


@dataclass(frozen=True)
class Square:
    """The part of an image that was translated: left and top edge and side, in pixels."""

    left: float
    top: float
    side: float


def paste(grey: np.ndarray, picture: np.ndarray, square: Square) -> np.ndarray:
    """``grey`` with ``square`` replaced by ``picture``, resampled to its pixels."""
    height, width = grey.shape
    size = max(1, round(square.side))
    if size < picture.shape[0]:  # the affine transform below does not average
        picture = np.asarray(
            Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS)
        )
    scale = picture.shape[0] / square.side
    placed = Image.fromarray(picture).transform(
        (width, height), Image.Transform.AFFINE,
        (scale, 0, -square.left * scale, 0, scale, -square.top * scale),
        Image.Resampling.BICUBIC,
    )  # fmt: skip
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    inside_x = (x >= square.left) & (x < square.left + square.side)
    inside_y = (y >= square.top) & (y < square.top + square.side)
    return np.where(inside_y[:, None] & inside_x, np.asarray(placed), grey)


def encode(image: np.ndarray, exif_of: Path | None) -> bytes:
    """PNG of a grey image (H, W), with the EXIF of the file ``exif_of``, if one is given."""
    extra = {}
    if exif_of is not None:
        with Image.open(exif_of) as original:
            given, exif = original.getexif(), Image.Exif()
            exif.update({tag: given[tag] for tag in _TAGS if tag in given})
            for part in _PARTS:
                exif.get_ifd(part).update(given.get_ifd(part))
        extra = dict(exif=exif)
    stream = io.BytesIO()
    # Two thirds of the time of the default, and 1 % larger.
    Image.fromarray(image).save(stream, "PNG", compress_level=4, **extra)
    return stream.getvalue()
