"""Depth, sign, polarity and floats: which number is white."""

from __future__ import annotations

import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from compendium.clinic.audit import Folder
from engine.errors import InputError
from lib.data.images import decode
from tests.lib.situations import (
    TRIED,
    colour,
    counts,
    eight,
    images,
    light,
    near,
    packed,
    plain_tiff,
    png,
    read_or_named,
    reasons,
    refused,
    scaled,
    situation,
    tiff,
)


@situation(
    "12-bit camera in 16-bit files, peaks of 1020, 1030 and 4000",
    TRIED,
    "one scale for the device, 12 bits",
)
def one_camera(folder: Path) -> None:
    for peak in (1020, 1030, 4000):
        tiff(folder / f"{peak}.tif", counts(peak))
    assert set(Folder(folder).table()["bits"]) == {12}
    for name, seen in images(folder).items():
        near(seen, scaled(counts(int(Path(name).stem)), 12))


@situation("two cameras of 10 and of 14 bits", TRIED, "a depth for each domain")
def two_cameras(folder: Path) -> None:
    right = {}
    for domain, peak, bits in (("a", 900, 10), ("b", 900, 14), ("b", 9000, 14)):
        (folder / domain).mkdir(exist_ok=True)
        tiff(folder / domain / f"{peak}.tif", counts(peak))
        right[f"{domain}/{peak}.tif"] = scaled(counts(peak), bits)
    for name, seen in images(folder).items():
        near(seen, right[name])


@situation(
    "depth declared: packed 12 bits in both byte orders, OME SignificantBits, MaxSampleValue",
    TRIED,
    "the declared depth, however dark the image",
)
def declared(folder: Path) -> None:
    raw = counts(900)
    for order in "<>":
        near(
            decode(plain_tiff(folder / "packed.tif", packed(raw, 12), order, t258=12)),
            scaled(raw, 12),
        )
    ome = dict(ome=True, metadata={"axes": "YX", "SignificantBits": 12})
    near(decode(tiff(folder / "a.ome.tif", raw, **ome)), scaled(raw, 12))
    peak = dict(extratags=[(281, 3, 1, 4095, True)])
    near(decode(tiff(folder / "peak.tif", raw, **peak)), scaled(raw, 12))


@situation("depth known of the device and not of the file", TRIED, "a parameter says it")
def told(folder: Path) -> None:
    raw = counts(900)
    near(decode(tiff(folder / "a.tif", raw), bits=14), scaled(raw, 14))


@situation(
    "14-bit camera in 16-bit files",
    "CellProfiler/CellProfiler#4470",
    "scaled by 14 bits, whatever the container holds",
)
def fourteen(folder: Path) -> None:
    near(decode(tiff(folder / "a.tif", counts(16383))), eight())


@situation(
    "12 bits in the upper part of 16, a dark frame among them",
    "basler/pypylon#804",
    "full scale is that of 16 bits",
)
def upper_bits(folder: Path) -> None:
    for peak in (4095, 1000):
        tiff(folder / f"{peak}.tif", counts(peak) * 16)
    for name, seen in images(folder).items():
        near(seen, scaled(counts(int(Path(name).stem)), 12))


@situation(
    "10-bit colour of a scanner", "qupath/qupath#1807", "one depth for the domain, colour included"
)
def deep_colour(folder: Path) -> None:
    for factor in (1, 4):
        tiff(folder / f"{factor}.tif", colour().astype(np.uint16) * factor, photometric="rgb")
    for name, seen in images(folder).items():
        near(seen, scaled(colour().astype(int) * int(name[0]), 10))


@situation(
    "a scale bar burned in at 65535 among 12-bit files",
    "EtalumaSupport/LumaViewPro#730",
    "the odd file is excluded and named, the others keep 12 bits",
)
def burned_in(folder: Path) -> None:
    for number in range(20):
        raw = counts(3900 - number)
        if number == 7:
            raw[40:43, 30:60] = 65535
        tiff(folder / f"{number:02d}.tif", raw)
    assert "07.tif" in reasons(Folder(folder).excluded)
    seen = images(folder)
    assert len(seen) == 19
    near(seen["00.tif"], scaled(counts(3900), 12))


@situation(
    "PNG with sBIT 12 and samples scaled to 16 bits, as the standard says",
    "pnggroup/libpng#627",
    "65535 is white: sBIT says how fine the scale is, not how long",
)
def sbit_scaled(folder: Path) -> None:
    raw = counts(900)
    rows = (raw << 4 | raw >> 8).astype(">u2").tobytes()
    near(decode(png(folder / "a.png", rows, 16, significant=12)), scaled(raw, 12))


@situation(
    "PNG with sBIT 12 and samples left as counted",
    TRIED,
    "12 bits: the lower ones are in use",
)
def sbit_as_counted(folder: Path) -> None:
    raw = counts(900)
    near(
        decode(png(folder / "a.png", raw.astype(">u2").tobytes(), 16, significant=12)),
        scaled(raw, 12),
    )


@situation(
    "10 bits saved as a 16-bit PNG without a word", "python-pillow/Pillow#5403", "10 bits, not 16"
)
def silent_png(folder: Path) -> None:
    raw = counts(1023)
    near(decode(png(folder / "a.png", raw.astype(">u2").tobytes(), 16)), eight())


@situation("packed 10-bit TIFF", "imagej/ImageJ#185", "the declared 10 bits")
def packed_ten(folder: Path) -> None:
    raw = counts(400)
    near(decode(plain_tiff(folder / "a.tif", packed(raw, 10), t258=10)), scaled(raw, 10))


@situation("OME-TIFF of colour with SignificantBits", "ome/bioformats#3591", "the declared depth")
def significant_colour(folder: Path) -> None:
    raw = colour().astype(np.uint16) * 4
    meta = {"axes": "YXS", "SignificantBits": 12}
    path = tiff(folder / "a.ome.tif", raw, photometric="rgb", ome=True, metadata=meta)
    near(decode(path), scaled(raw, 12))


@situation(
    "12-bit grey with alpha in a 16-bit PNG",
    "scikit-image/scikit-image#5242",
    "the depth is that of grey, alpha has always 16",
)
def deep_grey_alpha(folder: Path) -> None:
    raw = counts(3000)
    path = folder / "a.png"
    path.write_bytes(imagecodecs.png_encode(np.dstack([raw, np.full_like(raw, 65535)])))
    near(decode(path), scaled(raw, 12))


@situation("16 bits or JPEG where 0 is white", TRIED, "inverted as at 8 bits")
def white_is_zero(folder: Path) -> None:
    white = dict(photometric="miniswhite")
    near(decode(tiff(folder / "8.tif", 255 - eight(), **white)), eight())
    near(decode(tiff(folder / "16.tif", 65535 - counts(65535), **white)), eight())
    near(
        decode(tiff(folder / "lzw.tif", 65535 - counts(65535), compression="lzw", **white)), eight()
    )
    jpeg = tiff(folder / "jpeg.tif", 255 - eight(), compression=("jpeg", 95), **white)
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


@situation("grey PNG of 2 and of 4 bits", "DaemonEngine/Urcheon#61", "from black to white")
def shallow_png(folder: Path) -> None:
    for bits in (2, 4):
        raw = counts(2**bits - 1)
        near(decode(png(folder / f"{bits}.png", packed(raw, bits), bits)), scaled(raw, bits))


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
    "cgohlke/tifffile#61",
    "numbers of a camera as its; larger ones refused",
)
def thirty_two(folder: Path) -> None:
    near(decode(tiff(folder / "a.tif", counts(3000, np.uint32))), scaled(counts(3000), 12))
    refused(tiff(folder / "b.tif", counts(2**30, np.uint32)))


@situation("64-bit whole numbers", "ome/bioformats#4089", "read as what they are, or named")
def sixty_four(folder: Path) -> None:
    path = tiff(folder / "a.tif", counts(3000, np.uint64))
    read_or_named(path, scaled(counts(3000), 12), "64")
