"""Pages, planes, channels, frames and scenes of one file."""

from __future__ import annotations

from pathlib import Path

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
    eight,
    near,
    reasons,
    refused,
    situation,
    stack,
    tiff,
    used,
)


@situation(
    "7 focal planes, by ImageJ and in OME-TIFF", TRIED, "the central plane; the others are said"
)
def focal_planes(folder: Path) -> None:
    planes = stack(7)
    tiff(folder / "a.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    tiff(folder / "b.ome.tif", planes, ome=True, metadata={"axes": "ZYX"})
    for name in ("a.tif", "b.ome.tif"):
        assert "6" in used(folder, name, planes[3])


@situation("composite of 3 channels", TRIED, "refused: 3 channels, until one is chosen")
def composite(folder: Path) -> None:
    channels = stack(3)
    options = dict(imagej=True, metadata={"axes": "CYX", "mode": "composite"})
    path = tiff(folder / "a.tif", channels, **options)
    refused(path, "3", "channel")
    near(decode(path, channel=2), channels[1])


@situation(
    "channels in one page, at 8 and 16 bits, in planes or not", TRIED, "refused: so many channels"
)
def channels_in_a_page(folder: Path) -> None:
    black = dict(photometric="minisblack")
    for number in (2, 3, 4):
        planes = stack(number)
        last = np.moveaxis(planes, 0, -1)
        path = tiff(folder / f"{number}.tif", last, planarconfig="contig", **black)
        refused(path, str(number), "channel")
        near(decode(path, channel=number), planes[-1])
        deep = planes.astype(np.uint16) * 257
        path = tiff(folder / f"{number}_16.tif", deep, planarconfig="separate", **black)
        refused(path, str(number), "channel")
        near(decode(path, channel=2), planes[1])


@situation(
    "RGBA written as 4 grey samples by a converter",
    "ome/bioformats#4059",
    "refused: nothing says that they are colours",
)
def grey_samples(folder: Path) -> None:
    four = np.dstack([colour(), np.full_like(eight(), 255)])
    options = dict(photometric="minisblack", planarconfig="contig", ome=True)
    refused(tiff(folder / "a.ome.tif", four, metadata={"axes": "YXS"}, **options), "4", "channel")


@situation(
    "two channels, the last axis", "MouseLand/cellpose#148", "refused: 2, until one is chosen"
)
def channels_last(folder: Path) -> None:
    both = np.dstack([eight(), 255 - eight()])
    path = tiff(folder / "a.tif", both, photometric="minisblack", planarconfig="contig")
    refused(path, "2", "channel")
    near(decode(path, channel=1), both[..., 0])
    near(decode(path, channel=2), both[..., 1])
    refused(path, "2", "channel", channel=3)


@situation(
    "ImageJ stack of 3 planes", "scikit-image/scikit-image#4138", "the central plane, no colours"
)
def three_planes(folder: Path) -> None:
    planes = stack(3)
    tiff(folder / "a.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    assert "2" in used(folder, "a.tif", planes[1])


@situation(
    "stack that another tool takes for channels", "MouseLand/cellpose#226", "planes, as it is named"
)
def planes_by_name(folder: Path) -> None:
    planes = stack(5)
    words = "ImageJ=1.53t\nimages=5\nslices=5\nloop=false\n"
    tiff(folder / "a.tif", planes, description=words, metadata=None)
    used(folder, "a.tif", planes[2])


@situation(
    "hyperstack of 3 planes in 2 channels",
    "micro-manager/micro-manager#894",
    "a channel chosen, the central plane of it",
)
def hyperstack(folder: Path) -> None:
    pages = stack(3, 2)
    path = tiff(folder / "a.tif", pages, imagej=True, metadata={"axes": "ZCYX"})
    refused(path, "2", "channel")
    near(decode(path, channel=2), pages[1, 1])


@situation("time-lapse by ImageJ", "luispedro/imread#19", "the first; the others are said")
def frames(folder: Path) -> None:
    pages = stack(4)
    tiff(folder / "a.tif", pages, imagej=True, metadata={"axes": "TYX"})
    assert "3" in used(folder, "a.tif", pages[0])


@situation("time series in OME-TIFF", "ome/bioformats#3920", "time is no depth: the first")
def times(folder: Path) -> None:
    pages = stack(5)
    tiff(folder / "a.ome.tif", pages, ome=True, metadata={"axes": "TYX"})
    assert "4" in used(folder, "a.ome.tif", pages[0])


@situation("scenes in OME-TIFF", "filippocastelli/pyometiff#7", "the first; the others are said")
def scenes(folder: Path) -> None:
    pages = stack(2)
    with tifffile.TiffWriter(folder / "a.ome.tif", ome=True) as writer:
        for page in pages:
            writer.write(page, metadata={"axes": "YX"})
    used(folder, "a.ome.tif", pages[0])


UUID = "urn:uuid:00000000-0000-4000-8000-00000000000"


def ome_set(folder: Path, pages: np.ndarray, axis: str) -> list[Path]:
    """An OME-TIFF set of pages (N, planes, H, W), a file each of N with a stack of focal planes.

    Each describes the whole set, N as time points (``axis`` T) or as images (P).
    """
    names = [f"set_{number}.ome.tif" for number in range(len(pages))]
    parts = [
        "".join(
            f'<TiffData FirstZ="{z}" FirstC="0" FirstT="{number if axis == "T" else 0}" IFD="{z}" '
            f'PlaneCount="1"><UUID FileName="{name}">{UUID}{number}</UUID></TiffData>'
            for z in range(pages.shape[1])
        )
        for number, name in enumerate(names)
    ]
    groups = ["".join(parts)] if axis == "T" else parts
    described = "".join(
        f'<Image ID="Image:{n}"><Pixels ID="Pixels:{n}" DimensionOrder="XYZCT" Type="uint8" '
        f'SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeZ="{pages.shape[1]}" SizeC="1" '
        f'SizeT="{len(pages) if axis == "T" else 1}">'
        f'<Channel ID="Channel:{n}:0" SamplesPerPixel="1"/>{group}</Pixels></Image>'
        for n, group in enumerate(groups)
    )
    for number, (name, planes) in enumerate(zip(names, pages, strict=True)):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{UUID}{number}">{described}</OME>'
        )
        with tifffile.TiffWriter(folder / name) as writer:
            for plane in planes:
                writer.write(plane, description=xml, metadata=None)
                xml = None
    return [folder / name for name in names]


@situation(
    "OME-TIFF set, one file a time point", "MouseLand/suite2p#116", "each file gives its own image"
)
def several_files(folder: Path) -> None:
    pages = stack(3, 1)
    for path, (page,) in zip(ome_set(folder, pages, "T"), pages, strict=True):
        near(decode(path), page)


@situation(
    "OME-TIFF set, one file a position with its focal planes (Micro-Manager)",
    "cgohlke/tifffile#54",
    "the central plane of the file itself",
)
def positions(folder: Path) -> None:
    pages = stack(3, 5)
    for axis in "PT":
        for path, planes in zip(ome_set(folder, pages, axis), pages, strict=True):
            assert "4" in used(folder, path.name, planes[2])


@situation("one file of an OME-TIFF set alone, renamed", "cgohlke/tifffile#72", "its own image")
def one_of_a_set(folder: Path) -> None:
    pages = stack(3, 1)
    first, second, third = ome_set(folder, pages, "T")
    first.unlink()
    second.unlink()
    near(decode(third.rename(folder / "mine.ome.tif")), pages[2, 0])


@situation(
    "pyramid, its reduced copies in SubIFDs or as pages", "cgohlke/tifffile#130", "the full image"
)
def pyramid(folder: Path) -> None:
    for subifds in (2, 0):
        path = folder / f"{subifds}.tif"
        with tifffile.TiffWriter(path) as writer:
            writer.write(eight(), subifds=subifds or None, metadata=None)
            for step in (2, 4):
                writer.write(np.ascontiguousarray(eight()[::step, ::step]), subfiletype=1,
                             metadata=None)  # fmt: skip
        near(decode(path), eight())


@situation(
    "a page of another size before a stack", "imageio/imageio#558", "the first; the others are said"
)
def preview(folder: Path) -> None:
    with tifffile.TiffWriter(folder / "a.tif") as writer:
        writer.write(np.ascontiguousarray(eight()[::2, ::2]), metadata=None)
        writer.write(stack(3), photometric="minisblack", metadata=None)
    used(folder, "a.tif", eight()[::2, ::2])


@situation(
    "JPEG of a phone with a second picture (MPO)", "python-pillow/Pillow#1138", "the first picture"
)
def two_pictures(folder: Path) -> None:
    first, second = Image.fromarray(eight()), Image.fromarray(255 - eight())
    first.save(folder / "a.jpg", "MPO", save_all=True, append_images=[second], quality=98)
    near(decode(folder / "a.jpg"), eight(), within=12)


@situation("WebP that moves", "wagtail/Willow#80", "the first frame; the others are said")
def moving(folder: Path) -> None:
    first, second = Image.fromarray(colour()), Image.fromarray(255 - colour())
    first.save(folder / "a.webp", save_all=True, append_images=[second], lossless=True)
    used(folder, "a.webp", colour())


@situation(
    "a channel chosen for a run, images without channels in it",
    TRIED,
    "read whole, and said of each",
)
def no_channels(folder: Path) -> None:
    tiff(folder / "a.tif", stack(3), imagej=True, metadata={"axes": "CYX", "mode": "composite"})
    Image.fromarray(colour()).save(folder / "b.png")
    Image.fromarray(eight()).save(folder / "c.png")
    for channel in (1, 2):
        seen = Folder(folder, channel)
        said = reasons(seen.unused)
        assert said["a.tif"] == "2 of 3 channels"
        assert f"channel {channel} was asked for" in said["b.png"]
        assert ("c.png" in said) == (channel > 1)  # the only one is the first
