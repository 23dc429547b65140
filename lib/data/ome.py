"""What the description of an OME-TIFF says of the file it lies in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from engine.errors import InputError

_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_BITS = re.compile(r'\bSignificantBits="(\d+)"')
_MOST = 100_000  # pages that a statement may be of: a number is written faster than pages are
_ANY = "{*}"  # namespace: OME has one for every year


def significant_bits(description: str) -> int | None:
    """The depth of its first image, None where it says nothing."""
    pixels = _PIXELS.search(description)
    found = _BITS.search(pixels.group()) if pixels else None
    return int(found.group(1)) if found else None


def own_pages(description: str, file: str, count: int) -> tuple[list[dict[str, int]], int]:
    """Where the pages of this file lie in a set of several files; none if it is no such set.

    Microscopes write a file a position or time point, and each describes the whole set.

    Parameters
    ----------
    file : its name, by which it is known where it has no UUID
    count : how many pages it has

    Returns
    -------
    pages : of the first image that has any here: their number (IFD) and places along T, C and Z
    others : how many other images have pages here
    """
    root, parts = _parts(description)
    if len({_file_of(data) for _, data in parts}) < 2:
        return [], 0
    mine = _mine(root, parts, file)
    pages = [page for pixels, data in mine if pixels is mine[0][0]
             for page in _pages(pixels, data, count)]  # fmt: skip
    return pages, len({id(pixels) for pixels, _ in mine}) - 1 if mine else 0


def describes_others(description: str, file: str) -> bool:
    """Whether it speaks of pages, and none of them lie in this file."""
    root, parts = _parts(description)
    named = any(_file_of(data) for _, data in parts)
    return "BinaryOnly " in description or (named and not _mine(root, parts, file))


def stack_of(own: Sequence[Mapping[str, int]]) -> list[tuple[str, int]]:
    """Axes along which these pages lie, and how many places there are on each, at the first T."""
    return [(axis, len(places)) for axis, places in _places(own).items()]


def number_at(own: Sequence[Mapping[str, int]], place: Sequence[int], name: object) -> int:
    """Number of the page at a place along the axes of `stack_of`.

    Raises
    ------
    InputError
        There is none: of another channel there are more.
    """
    wanted = {axis: places[at]
              for (axis, places), at in zip(_places(own).items(), place, strict=True)}  # fmt: skip
    found = [page["IFD"] for page in own if wanted.items() <= page.items()]
    if not found:
        raise InputError(
            f"{name}: its OME description has no page of channel {wanted['C'] + 1}, plane "
            f"{wanted['Z'] + 1}. Choose another channel, or save the plane that is meant."
        )
    return found[0]


def _places(own: Sequence[Mapping[str, int]]) -> dict[str, list[int]]:
    first = min(page["T"] for page in own)
    shown = [page for page in own if page["T"] == first]  # other times may have other planes
    return {axis: sorted({page[axis] for page in (own if axis == "T" else shown)})
            for axis in "TCZ"}  # fmt: skip


def _parts(description: str) -> tuple[Element, list[tuple[Element, Element]]]:
    """The root, and every statement of where pages lie with the pixels that it is of."""
    if "FileName=" not in description:
        return Element("OME"), []
    root = ElementTree.fromstring(description)
    return root, [(pixels, data) for pixels in root.iterfind(f"{_ANY}Image/{_ANY}Pixels")
                  for data in pixels.iterfind(f"{_ANY}TiffData")]  # fmt: skip


def _file_of(data: Element) -> str:
    uuid = data.find(f"{_ANY}UUID")
    return "" if uuid is None else (uuid.text or "").strip() or uuid.get("FileName", "")


def _mine(root: Element, parts: list, file: str) -> list[tuple[Element, Element]]:
    """Statements on this file: that name none, or its UUID; else, if there are none, its name."""
    own = [part for part in parts if _file_of(part[1]) in ("", root.get("UUID"))]
    return own or [(pixels, data) for pixels, data in parts
                   if (uuid := data.find(f"{_ANY}UUID")) is not None
                   and uuid.get("FileName") == file]  # fmt: skip


def _pages(pixels: Element, data: Element, count: int) -> list[dict[str, int]]:
    """Every page that one statement is of.

    One page where it names the first (IFD) only, all of the file where it names nothing; several
    follow each other in the order of dimensions.
    """
    first = int(data.get("IFD", 0))
    several = int(data.get("PlaneCount", 1 if "IFD" in data.attrib else count))
    order = [axis for axis in pixels.get("DimensionOrder", "XYZCT") if axis in "ZCT"]
    channel = pixels.find(f"{_ANY}Channel")
    samples = 1 if channel is None else int(channel.get("SamplesPerPixel", 1))
    sizes = {axis: int(pixels.get(f"Size{axis}", 1)) // (samples if axis == "C" else 1)
             for axis in order}  # fmt: skip
    at = {axis: int(data.get(f"First{axis}", 0)) for axis in order}
    pages = []
    for number in range(first, first + min(several, _MOST)):
        pages.append(dict(at, IFD=number))
        for axis in order:  # as an odometer
            at[axis] = (at[axis] + 1) % max(1, sizes[axis])
            if at[axis]:
                break
    return pages
