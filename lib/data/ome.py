"""What the description of an OME-TIFF says of the file it lies in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_BITS = re.compile(r'\bSignificantBits="(\d+)"')
_ANY = "{*}"  # namespace: OME has one for every year


def significant_bits(description: str) -> int | None:
    """The depth of its first image, None where it says nothing."""
    pixels = _PIXELS.search(description)
    found = _BITS.search(pixels.group()) if pixels else None
    return int(found.group(1)) if found else None


def own_pages(description: str) -> list[dict[str, int]]:
    """Where the pages of this file lie in a set of several files; empty if it is no such set.

    Microscopes write a file a position or time point, and each describes the whole set. The pages
    of the first image that has any here: their number (IFD) and their places along T, C and Z.
    """
    if description.count("FileName=") < 2:
        return []
    root = ElementTree.fromstring(description)
    parts = [(image, data, data.findtext(f"{_ANY}UUID", "").strip())
             for image in root.iterfind(f".//{_ANY}Image")
             for data in image.iterfind(f".//{_ANY}TiffData")]  # fmt: skip
    if len({uuid for *_, uuid in parts}) < 2:
        return []
    mine = [(image, data) for image, data, uuid in parts if uuid == root.get("UUID")]
    return [
        dict(
            IFD=int(data.get("IFD", 0)),
            **{axis: int(data.get(f"First{axis}", 0)) for axis in "TCZ"},
        )
        for image, data in mine
        if image is mine[0][0]
    ]


def stack_of(own: list[dict[str, int]]) -> list[tuple[str, int]]:
    """Axes along which these pages lie, and how many places there are on each."""
    return [(axis, len({page[axis] for page in own})) for axis in "TCZ"]


def page_at(own: list[dict[str, int]], place: Sequence[int]) -> int:
    """Number of the page at a place along the axes of `stack_of`; the first where there is none."""
    wanted = {axis: sorted({page[axis] for page in own})[number]
              for axis, number in zip("TCZ", place, strict=True)}  # fmt: skip
    return next((page for page in own if wanted.items() <= page.items()), own[0])["IFD"]
