"""What an OME description says of pages that are, or are not, in its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from lib.data.images import decode
from tests.lib.situations import HEIGHT, TRIED, WIDTH, near, refused, situation, stack, used

UUID = "urn:uuid:00000000-0000-4000-8000-00000000000"


def described(path: Path, pages: np.ndarray, data: Sequence[tuple[str, str]], **sizes: int) -> Path:
    """A file of ``pages`` and a description of (attributes of TiffData, file it is of)."""
    parts = "".join(
        f'<TiffData {said}><UUID FileName="{file}">{UUID}{file[0]}</UUID></TiffData>'
        for said, file in data
    )
    size = {"Z": len(pages), "C": 1, "T": 2} | sizes
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="{UUID}{path.name[0]}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYZCT" Type="uint8" SizeX="{WIDTH}" SizeY="{HEIGHT}" '
        + " ".join(f'Size{axis}="{number}"' for axis, number in size.items())
        + f'><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{parts}</Pixels></Image></OME>'
    )
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, description=xml, metadata=None)
            xml = None
    return path


@situation(
    "OME-TIFF set that says where its pages begin and how many there are, or neither",
    TRIED,
    "the central plane, and the channel that was chosen",
)
def counted(folder: Path) -> None:
    pages = stack(5)
    for said in ('IFD="0" PlaneCount="5"', ""):
        described(folder / "1.tif", pages, [(f'{said} FirstT="{n}"', f"{n}.tif") for n in (1, 2)])
        assert "4" in used(folder, "1.tif", pages[2])
    pages = stack(6)
    data = [(f'IFD="0" PlaneCount="6" FirstT="{n}"', f"{n}.tif") for n in (1, 2)]
    near(decode(described(folder / "1.tif", pages, data, Z=3, C=2), channel=2), pages[4])


@situation(
    "OME-TIFF whose description speaks of pages that are not there",
    TRIED,
    "refused, where the plane that is meant is one of them",
)
def pages_missing(folder: Path) -> None:
    pages, cut = stack(5), 2
    for files in ("12", "1"):
        data = [(f'IFD="{z}" FirstZ="{z}"', f"{file}.tif") for file in files for z in range(5)]
        refused(described(folder / "1.tif", pages[:cut], data, Z=5, T=1), "page 3", "copy it again")
    data = [(f'IFD="{z}" FirstZ="{z}" FirstC="{c}"', f"{n}.tif")
            for n in "12" for z, c in ((0, 0), (1, 0), (2, 0), (3, 1))]  # fmt: skip
    path = described(folder / "1.tif", pages, data, C=2, T=1)
    refused(path, "channel 2", "plane 2", channel=2)


@situation(
    "OME-TIFF that describes other files only, itself under another name",
    TRIED,
    "known by its name; else the first page, and that the description is not of it",
)
def described_elsewhere(folder: Path) -> None:
    pages = stack(5)
    data = [(f'IFD="{z}" FirstZ="{z}"', f"{n}.tif") for n in (3, 4) for z in range(5)]
    described(folder / "1.tif", pages, data)
    assert "other files only" in used(folder, "1.tif", pages[0])
    (folder / "1.tif").rename(folder / "3.tif")
    near(decode(folder / "3.tif"), pages[2])
