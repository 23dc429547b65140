"""Depth: what a device counts to, whatever its files have room for."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np

from compendium.clinic.audit import Folder
from lib.data.images import decode
from tests.lib.situations import (
    TRIED,
    colour,
    counts,
    eight,
    images,
    near,
    packed,
    plain_tiff,
    png,
    reasons,
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
    TRIED,
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
    "frames of a 12-bit camera that are blown out, one of them wholly",
    "EtalumaSupport/LumaViewPro#730",
    "4095 is white; a frame of nothing else is blank",
)
def blown_out(folder: Path) -> None:
    for peak in (1000, 8000):
        tiff(folder / f"{peak}.tif", np.minimum(counts(peak), 4095))
    tiff(folder / "wholly.tif", np.full_like(counts(1), 4095))
    seen = images(folder)
    assert set(seen) == {"1000.tif", "8000.tif"}
    near(seen["1000.tif"], scaled(counts(1000), 12))
    assert seen["8000.tif"].max() == 255
    assert "wholly.tif" in reasons(Folder(folder).excluded)


@situation(
    "PNG with sBIT 12 and samples scaled to 16 bits, as the standard says",
    "pnggroup/libpng#627",
    "65535 is white: sBIT says how fine the scale is, not how long",
)
def sbit_scaled(folder: Path) -> None:
    for peak in (900, 200):  # the darker one would fit into 12 bits as it is
        raw = counts(peak)
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


@situation(
    "files that count from white, of a 12-bit and of a 16-bit scale",
    TRIED,
    "those of the shorter scale are excluded and named, never shown as white",
)
def two_scales_of_white(folder: Path) -> None:
    white = dict(photometric="miniswhite")
    for number in range(3):
        tiff(folder / f"16_{number}.tif", 65535 - counts(65535), **white)
        tiff(folder / f"12_{number}.tif", 4095 - counts(4000 + number), **white)
    seen, said = images(folder), reasons(Folder(folder).excluded)
    assert set(seen) == {f"16_{number}.tif" for number in range(3)}
    assert all("counts from white" in said[f"12_{number}.tif"] for number in range(3))
    listed = [f"{number}_{n}.tif,{number}" for number in (12, 16) for n in range(3)]
    (folder / "labels.csv").write_text("\n".join(["file,bits", *listed]))
    near(images(folder)["12_1.tif"], scaled(counts(4001), 12))
