"""Compression, colour, palettes, alpha and orientation: one picture stored in many ways."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from compendium.clinic.audit import Folder
from lib.data.images import decode
from tests.lib.situations import (
    HEIGHT,
    TRIED,
    WIDTH,
    colour,
    counts,
    eight,
    images,
    light,
    near,
    reasons,
    refused,
    save,
    scaled,
    situation,
    tiff,
)


@situation(
    "16 bits in LZW with predictor, big-endian", "geotiffjs/geotiff.js#543", "as uncompressed"
)
def predictor(folder: Path) -> None:
    for order in "<>":
        kept = dict(compression="lzw", predictor=True, byteorder=order)
        near(decode(tiff(folder / "a.tif", counts(65535), **kept)), eight())


@situation(
    "floats with predictor, big-endian",
    "xarray-contrib/xarray-spatial#1500",
    "as uncompressed",
)
def float_predictor(folder: Path) -> None:
    for order in "<>":
        kept = dict(compression="zlib", predictor=3, byteorder=order)
        near(decode(tiff(folder / "a.tif", light().astype(np.float32), **kept)), light() * 255)


@situation("JPEG 2000, JPEG XL, LERC, Zstandard, LZMA in TIFF", TRIED, "as uncompressed")
def compressions(folder: Path) -> None:
    for kind in ("jpeg2000", "jpegxl", "lerc", "zstd", "lzma", "packbits"):
        options = dict(compression=kind, tile=(32, 32))
        if kind == "jpegxl":
            options["compressionargs"] = {"lossless": True}
        path = tiff(
            folder / f"{kind}.ome.tif", eight(), ome=True, metadata={"axes": "YX"}, **options
        )
        assert tifffile.TiffFile(path).pages[0].compression != 1
        near(decode(path), eight())


@situation("JPEG 2000 of 9 and of 12 bits", "python-pillow/Pillow#7899", "the declared depth")
def jpeg2000(folder: Path) -> None:
    for bits, peak in ((9, 400), (12, 900)):
        raw, path = counts(peak), folder / f"{bits}.jp2"
        stored = imagecodecs.jpeg2k_encode(raw, level=0, bitspersample=bits, codecformat="jp2")
        path.write_bytes(stored)
        near(decode(path), scaled(raw, bits))


@situation("colour in planes, one row a strip", "imagej/imagej2#196", "as pixel by pixel")
def planes_in_rows(folder: Path) -> None:
    planes = np.moveaxis(colour(), -1, 0)
    options = dict(photometric="rgb", planarconfig="separate", rowsperstrip=1)
    near(decode(tiff(folder / "a.tif", planes, **options)), colour())


@situation(
    "colour of 8 and 16 bits in planes, in tiles",
    "scikit-image/scikit-image#1496",
    "(H, W, 3), as pixel by pixel",
)
def planes(folder: Path) -> None:
    options = dict(photometric="rgb", planarconfig="separate", tile=(32, 32))
    planes = np.moveaxis(colour(), -1, 0)
    near(decode(tiff(folder / "8.tif", planes, **options)), colour())
    near(decode(tiff(folder / "16.tif", planes.astype(np.uint16) * 257, **options)), colour())


@situation("JPEG in TIFF, kept as brightness and two colours", "cgohlke/tifffile#146", "RGB")
def jpeg_in_tiff(folder: Path) -> None:
    options = dict(compression="jpeg", compressionargs={"level": 95})
    path = tiff(folder / "a.tif", colour(), photometric="rgb", **options)
    assert tifffile.TiffFile(path).pages[0].photometric == tifffile.PHOTOMETRIC.YCBCR
    seen = decode(path)
    assert seen.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(seen.astype(int) - colour()).mean() < 4


@situation(
    "palette TIFF, of greys or of colours",
    "darktable-org/darktable#19089",
    "what the palette shows, never its indices",
)
def palettes(folder: Path) -> None:
    levels = np.arange(256)
    falling = np.tile((65535 - 257 * levels).astype(np.uint16), (3, 1))
    path = tiff(folder / "grey.tif", eight(), photometric="palette", colormap=falling)
    near(decode(path), 255 - eight())
    colours = np.stack([257 * levels, 65535 - 257 * levels, np.full(256, 5140)]).astype(np.uint16)
    path = tiff(folder / "colour.tif", eight(), photometric="palette", colormap=colours)
    near(decode(path), np.dstack([eight(), 255 - eight(), np.full_like(eight(), 20)]))


@situation(
    "palette TIFF whose 16-bit entries go to 255 only",
    "python-pillow/Pillow#2157",
    "255 is white, not almost black",
)
def short_palette(folder: Path) -> None:
    short = np.tile((255 - np.arange(256)).astype(np.uint16), (3, 1))
    path = tiff(folder / "a.tif", eight(), photometric="palette", colormap=short)
    near(decode(path), 255 - eight())


@situation("CMYK JPEG, its inks inverted as Adobe does", "libvips/libvips#1283", "light is light")
def inks(folder: Path) -> None:
    Image.fromarray(eight()).convert("RGB").convert("CMYK").save(folder / "a.jpg", quality=98)
    seen = decode(folder / "a.jpg")
    assert np.abs(seen.astype(int) - eight()[..., None]).mean() < 4


@situation("BMP from top to bottom", "DanBloomberg/leptonica#323", "not upside down")
def top_down(folder: Path) -> None:
    head = struct.pack("<IiiHHIIiiII", 40, WIDTH, -HEIGHT, 1, 24, 0, 0, 2835, 2835, 0, 0)
    pixels = colour()[..., ::-1].tobytes()
    start = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    (folder / "a.bmp").write_bytes(start + head + pixels)
    near(decode(folder / "a.bmp"), colour())


@situation("32-bit BMP (plain, V4 and V5 header) whose alpha was never filled in", TRIED, "opaque")
def bmp_without_alpha(folder: Path) -> None:
    grey = eight()
    pixels = np.dstack([grey, grey, grey, np.zeros_like(grey)])[::-1].tobytes()
    for header in (40, 108, 124):
        kind = 3 if header > 40 else 0
        info = struct.pack(
            "<IiiHHIIiiII", header, WIDTH, HEIGHT, 1, 32, kind, len(pixels), 2835, 2835, 0, 0
        )
        if kind:
            info += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs"
        info += bytes(header - len(info))
        start = 14 + header
        head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
        (folder / f"{header}.bmp").write_bytes(head + info + pixels)
        near(decode(folder / f"{header}.bmp"), grey)


@situation(
    "PNG whose alpha is 0 everywhere", "glencoesoftware/bioformats2raw#200", "opaque, and said"
)
def empty_alpha(folder: Path) -> None:
    save(folder / "a.png", np.dstack([colour(), np.zeros_like(eight())]))
    near(images(folder)["a.png"], colour())
    assert "alpha" in reasons(Folder(folder).unused)["a.png"]


@situation(
    "colours already multiplied by alpha (ExtraSamples 1)",
    "image-rs/image#1743",
    "laid on white without a second multiplication",
)
def associated_alpha(folder: Path) -> None:
    alpha = np.full_like(eight(), 255)
    alpha[:, : WIDTH // 2] = 128
    share = alpha[..., None] / 255
    stored = np.dstack([np.rint(colour() * share).astype(np.uint8), alpha])
    path = tiff(folder / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    near(decode(path), colour() * share + 255 * (1 - share), within=2)


@situation(
    "colour of 12 declared bits whose alpha has 16", TRIED, "opaque; the depth is that of colour"
)
def deep_alpha(folder: Path) -> None:
    raw = colour().astype(np.uint16) * 16
    meta = dict(ome=True, metadata={"axes": "YXS", "SignificantBits": 12})
    for white in (4095, 65535):
        stored = np.dstack([raw, np.full_like(raw[..., 0], white)])
        options = dict(photometric="rgb", extrasamples=["unassalpha"], **meta)
        near(decode(tiff(folder / "a.ome.tif", stored, **options)), scaled(raw, 12))


@situation(
    "RGB with a fourth sample of no stated meaning (ExtraSamples 0)",
    "image-rs/image-tiff#390",
    "the colours as they are, the sample said to be unused",
)
def fourth_sample(folder: Path) -> None:
    stored = np.dstack([colour(), eight()])
    tiff(folder / "a.tif", stored, photometric="rgb", extrasamples=["unspecified"])
    near(images(folder)["a.tif"], colour())
    assert "a.tif" in reasons(Folder(folder).unused)


@situation("grey PNG with a transparent level", "python-pillow/Pillow#154", "that level is white")
def transparent_level(folder: Path) -> None:
    right = eight().copy()
    level = int(right[10, 10])
    right[right == level] = 255
    near(decode(save(folder / "a.png", eight(), transparency=level)), right)


# What is shown of an array stored with an orientation, and how a scene is stored for it.
STORED = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.T, 6: lambda a: np.rot90(a), 7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a, -1),
}  # fmt: skip


@situation(
    "TIFF in each of eight orientations at 8 and 16 bits and in floats",
    "opencv/opencv#14609",
    "upright",
)
def orientations(folder: Path) -> None:
    for pixels in (eight(), counts(65535), light().astype(np.float32)):
        for number, turn in STORED.items():
            stored = np.ascontiguousarray(turn(pixels))
            path = tiff(folder / "a.tif", stored, extratags=[(274, 3, 1, number, True)])
            near(decode(path), eight())


@situation("JPEG of a phone held upright", "scikit-image/scikit-image#3150", "upright")
def phone(folder: Path) -> None:
    for number, turn in STORED.items():
        exif = Image.Exif()
        exif[0x0112] = number
        path = folder / "a.jpg"
        save(path, np.ascontiguousarray(turn(eight())), exif=exif, quality=98)
        near(decode(path), eight(), within=12)


@situation("16-bit TIFF in big-endian order, in BigTIFF, in strips of 7 rows", TRIED, "the same")
def containers(folder: Path) -> None:
    for options in (dict(byteorder=">"), dict(bigtiff=True), dict(rowsperstrip=7)):
        near(decode(tiff(folder / "a.tif", counts(65535), **options)), eight())


@situation("colour PNG and TIFF of 16 bits", "danforthcenter/plantcv#1804", "as of 8 bits")
def sixteen_bit_colour(folder: Path) -> None:
    deep = colour().astype(np.uint16) * 257
    near(decode(tiff(folder / "a.tif", deep, photometric="rgb")), colour())
    (folder / "a.png").write_bytes(imagecodecs.png_encode(deep))
    near(decode(folder / "a.png"), scaled(deep, 16))


@situation(
    "JPEG 2000 with further samples that are, or are not, said to be alpha",
    TRIED,
    "alpha as alpha; two greys are channels, what is beyond colours is said to be unused",
)
def jpeg2000_samples(folder: Path) -> None:
    alpha = np.where(np.arange(WIDTH) < 20, 0, 255).astype(np.uint8) + np.zeros_like(eight())
    for shown in (eight(), colour()):
        four = np.dstack([shown, alpha])
        Image.fromarray(four).save(folder / "a.jp2", irreversible=False)
        opaque = alpha if shown.ndim == 2 else alpha[..., None]
        near(decode(folder / "a.jp2"), np.where(opaque > 0, shown, 255))
        plain = dict(level=0, codecformat="jp2", reversible=True)
        (folder / "b.jp2").write_bytes(imagecodecs.jpeg2k_encode(four, **plain))
        if shown.ndim == 2:
            refused(folder / "b.jp2", "2 channels")
            near(decode(folder / "b.jp2", channel=2), alpha)
        else:
            near(images(folder)["b.jp2"], shown)
            assert "without a stated meaning" in reasons(Folder(folder).unused)["b.jp2"]


@situation("kinds of JPEG and of YCbCr that are not read", TRIED, "the kind is said, and no damage")
def unusual_kinds(folder: Path) -> None:
    raw = counts(4095)
    for words, content in (
        ("JPEG of 12 bits", imagecodecs.jpeg8_encode(raw, bitspersample=12)),
        ("lossless JPEG", imagecodecs.ljpeg_encode(raw, bitspersample=12)),
        ("JPEG-LS", imagecodecs.jpegls_encode(raw)),
        ("bare JPEG 2000", imagecodecs.jpeg2k_encode(raw, codecformat="j2k")),
        ("JPEG XL", imagecodecs.jpegxl_encode(eight())),
    ):
        (folder / "a.jpg").write_bytes(content)
        refused(folder / "a.jpg", words, "export it")
    deep = colour().astype(np.uint16) * 257
    refused(tiff(folder / "a.tif", deep, photometric="ycbcr"), "uint16", "ycbcr", "save it as rgb")
