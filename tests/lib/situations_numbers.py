"""Sign, polarity, single bits and floats: what a number means."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from lib.data.images import decode
from tests.lib.situations import (
    TRIED,
    counts,
    eight,
    images,
    light,
    near,
    packed,
    plain_tiff,
    png,
    read_or_named,
    refused,
    scaled,
    situation,
    tiff,
)


@situation("16 bits or JPEG where 0 is white", TRIED, "inverted as at 8 bits")
def white_is_zero(folder: Path) -> None:
    white = dict(photometric="miniswhite")
    near(decode(tiff(folder / "8.tif", 255 - eight(), **white)), eight())
    near(decode(tiff(folder / "16.tif", 65535 - counts(65535), **white)), eight())
    near(
        decode(tiff(folder / "lzw.tif", 65535 - counts(65535), compression="lzw", **white)), eight()
    )
    jpeg = tiff(
        folder / "jpeg.tif",
        255 - eight(),
        compression="jpeg",
        compressionargs={"level": 95},
        **white,
    )
    near(decode(jpeg), eight(), within=12)


@situation("floats where 0 is white", "ome/bioformats#3901", "inverted as whole numbers are")
def white_is_zero_in_floats(folder: Path) -> None:
    path = tiff(folder / "a.tif", (1 - light()).astype(np.float32), photometric="miniswhite")
    near(decode(path), light() * 255)


@situation("1-bit TIFF where 0 is white", "imageio/imageio#355", "0 is white")
def white_is_zero_in_bits(folder: Path) -> None:
    bits = light() > 0.6
    path = plain_tiff(folder / "a.tif", np.packbits(bits, axis=1).tobytes(), t258=1, t262=0)
    near(decode(path), ~bits * 255)


@situation("1-bit TIFF with the bits of a byte reversed", "ome/bioformats#2936", "columns in order")
def fill_order(folder: Path) -> None:
    bits = light() > 0.6
    data = np.packbits(bits, axis=1, bitorder="little").tobytes()
    near(decode(plain_tiff(folder / "a.tif", data, t258=1, t266=2)), bits * 255)


@situation(
    "grey of 2 and of 4 bits in PNG and TIFF", "python-pillow/Pillow#1789", "from black to white"
)
def shallow(folder: Path) -> None:
    for bits in (2, 4):
        raw = counts(2**bits - 1)
        near(decode(png(folder / "a.png", packed(raw, bits), bits)), scaled(raw, bits))
        near(decode(plain_tiff(folder / "a.tif", packed(raw, bits), t258=bits)), scaled(raw, bits))


@situation("floats of 16, 32 and 64 bits in 0..1", TRIED, "1 is white")
def unit_floats(folder: Path) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        near(decode(tiff(folder / "a.tif", light().astype(dtype))), light() * 255)


@situation(
    "counts of a 12-bit camera as floats, whole or averaged",
    "CellProfiler/CellProfiler#292",
    "whole numbers as such a camera's; with fractions refused, the range named",
)
def counts_as_floats(folder: Path) -> None:
    raw = counts(3000).astype(np.float32)
    near(decode(tiff(folder / "whole.tif", raw)), scaled(raw, 12))
    refused(tiff(folder / "mean.tif", raw + np.float32(0.25)), "3000")


@situation("floats of 0..38", "CellProfiler/CellProfiler#1234", "refused, the range named")
def other_floats(folder: Path) -> None:
    refused(tiff(folder / "a.tif", (light() * 38).astype(np.float32)), "38")


@situation(
    "floats some of which are no number",
    "mantidproject/mantidimaging#1093",
    "refused and said; never an image that is blank",
)
def no_numbers(folder: Path) -> None:
    numbers = light().astype(np.float32)
    numbers[3, 5] = np.nan
    with pytest.raises(
        InputError, match=re.compile(r"a\.tif.*(nan|finite|no number)", re.I | re.S)
    ):
        decode(tiff(folder / "a.tif", numbers))


@situation(
    "signed 16 bits, moved down by 32768 (Scan^R) or with single negative numbers",
    "CellProfiler/CellProfiler#2285",
    "refused, and signed is said",
)
def signed(folder: Path) -> None:
    refused(tiff(folder / "moved.tif", (counts(4095, int) - 32768).astype(np.int16)), "signed")
    refused(tiff(folder / "some.tif", counts(4095, np.int16) - np.int16(1500)), "signed")
    refused(tiff(folder / "8.tif", counts(127, np.int8) - np.int8(60)), "signed")


@situation("signed 16 bits without a negative number", "fiji/fiji#336", "as unsigned")
def signed_but_positive(folder: Path) -> None:
    for order in "<>":
        path = tiff(folder / "a.tif", counts(4095, np.int16), byteorder=order)
        near(decode(path), eight())


@situation(
    "unsigned 32 bits",
    "python-pillow/Pillow#112",
    "numbers of a camera as its; larger ones refused",
)
def thirty_two(folder: Path) -> None:
    near(decode(tiff(folder / "a.tif", counts(3000, np.uint32))), scaled(counts(3000), 12))
    refused(tiff(folder / "b.tif", counts(2**30, np.uint32)))


@situation("64-bit whole numbers", "ome/bioformats#4089", "read as what they are, or named")
def sixty_four(folder: Path) -> None:
    path = tiff(folder / "a.tif", counts(3000, np.uint64))
    read_or_named(path, scaled(counts(3000), 12), "64")


@situation(
    "floats of 0..1 that rounding or a filter has taken a little beyond",
    TRIED,
    "up to half a grey level as black and white; beyond it refused, the range named",
)
def overshoot(folder: Path) -> None:
    for dtype in (np.float16, np.float32):
        numbers = light().astype(dtype)
        numbers[3, 5], numbers[3, 6] = 1.0015, -0.0015
        right = np.clip(numbers.astype(float), 0, 1) * 255
        near(decode(tiff(folder / "a.tif", numbers)), right)
        near(images(folder)["a.tif"], right)
    for strange in (1.05, -0.05):
        numbers[3, 5] = strange
        refused(tiff(folder / "b.tif", numbers), f"{strange:.2f}"[:4])
