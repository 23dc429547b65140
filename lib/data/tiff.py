"""TIFF of every kind, through tifffile: which page is meant, how deep it is, which way it lies."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tifffile import (
    COMPRESSION,
    EXTRASAMPLE,
    PHOTOMETRIC,
    PLANARCONFIG,
    TiffFile,
    TiffFrame,
    TiffPage,
    TiffPageSeries,
)

from engine.errors import InputError
from lib.data.ome import describes_others, number_at, own_pages, significant_bits, stack_of
from lib.data.orientation import ORIENTATION, turned
from lib.data.samples import Meaning, choose_channel, split_samples
from lib.data.stored import Stored

_CHANNELS = "CEH"  # axes of tifffile: channel, wavelength, lifetime
_WORDS = {"Z": "focal planes", "T": "time points", "I": "pages", "Q": "pages", "P": "positions"}
_MAX_SAMPLE_VALUE = 281
_BASE = {PHOTOMETRIC.RGB: 3, PHOTOMETRIC.YCBCR: 3, PHOTOMETRIC.SEPARATED: 4,
         PHOTOMETRIC.MINISBLACK: 1, PHOTOMETRIC.MINISWHITE: 1, PHOTOMETRIC.PALETTE: 1}  # fmt: skip
_ALPHA: dict[int, Meaning] = {
    EXTRASAMPLE.ASSOCALPHA: "associated alpha", EXTRASAMPLE.UNASSALPHA: "alpha",
}  # fmt: skip


def read_tiff(
    content: bytes,
    name: object,
    check_size: Callable[[int, int, int], None],
    channel: int = 0,
    plane: int | None = None,
) -> Stored:
    """One picture of a TIFF file.

    Parameters
    ----------
    check_size : refuses a width, a height and bytes of a pixel before anything is decoded
    channel : which of several channels, from 1; 0: there must not be several
    plane : which focal plane, from 1; None: the central one

    Raises
    ------
    InputError
        Several channels and none chosen, a kind of colour that is not known, a choice that is not
        there. What tifffile raises of damaged files passes through.
    """
    # A set of OME files names its siblings: this file's own pages are meant.
    with TiffFile(io.BytesIO(content), _multifile=False) as tiff:
        if not tiff.pages:
            raise InputError(f"{name}: a TIFF without a page. Export it again, as PNG.")
        said, file = tiff.ome_metadata or "", Path(str(name)).name
        own, others = own_pages(said, file, len(tiff.pages))
        if own:
            choice = _choose(stack_of(own), name, channel, plane)
            page = alone = _own_page(tiff, number_at(own, choice.place, name), name)
        else:
            # A thumbnail may come first.
            series = min(tiff.series, key=lambda s: bool(s.keyframe.is_reduced))
            others = sum(s is not series and bool(s.size) for s in tiff.series)
            choice = _choose(_stack(series), name, channel, plane)
            page, alone = series.keyframe, _page_at(series, choice.place, name)
        decoded = series.shape if alone is None else page.shape
        area = max(1, page.imagewidth * page.imagelength)
        check_size(
            page.imagewidth, page.imagelength, math.prod(decoded) * page.dtype.itemsize // area
        )
        if others:
            choice.unused.append(f"{others} other images in the file, of other sizes or kinds")
        if describes_others(said, file):
            choice.unused.append("an OME description that is of other files only")
        pixels = _cut(series, choice.place) if alone is None else alone.asarray()
        return _meaning(page, pixels, name, channel, choice, _declared(tiff, page))


@dataclass(frozen=True)
class _Choice:
    """Where along the axes of a stack, what is left out, and which focal plane of how many."""

    place: list[int]
    unused: list[str]
    plane: int
    planes: int
    channels: int


def _own_page(tiff: TiffFile, number: int, name: object) -> TiffPage:
    if number >= len(tiff.pages):
        raise InputError(
            f"{name}: its OME description speaks of page {number + 1}, and the file has "
            f"{len(tiff.pages)}: it was cut off, or edited. Copy it again from its source, or save "
            "the plane that is meant."
        )
    return tiff.pages[number]


def _stack(series: TiffPageSeries) -> list[tuple[str, int]]:
    """Axes of a stack and their lengths, without those of a picture."""
    return [(axis, length) for axis, length in zip(series.axes, series.shape, strict=True)
            if axis not in "YXS"]  # fmt: skip


def _choose(stack: list[tuple[str, int]], name: object, channel: int, plane: int | None) -> _Choice:
    place, unused, planes, chosen, channels = [], [], 1, 1, 1
    for axis, length in stack:
        at, rest = 0, f"{length - 1} of {length} {_WORDS.get(axis, f'steps along {axis}')}"
        if axis in _CHANNELS and length > 1:
            at = choose_channel(channel, length, name)
            rest, channels = f"{length - 1} of {length} channels", length
        elif axis == "Z":
            planes = length
            chosen = (length + 1) // 2 if plane is None else plane
            if not 1 <= chosen <= length:
                raise InputError(
                    f"{name}: focal plane {chosen} of {length} was asked for. Name one of them."
                )
            at = chosen - 1
        if length > 1:
            unused.append(rest)
        place.append(at)
    return _Choice(place, unused, chosen, planes, channels)


def _page_at(
    series: TiffPageSeries, place: Sequence[int], name: object
) -> TiffPage | TiffFrame | None:
    """The page at a place along the axes of a stack, None where pages hold more than a plane."""
    shape = [length for _, length in _stack(series)]
    if len(series.pages) != math.prod(shape):
        return None
    number = int(np.ravel_multi_index(place, shape)) if shape else 0
    if series.pages[number] is None:
        raise InputError(
            f"{name}: page {number + 1} of the {len(series.pages)} that its description speaks of "
            "is not in the file. Copy it again from its source, or save the plane that is meant."
        )
    return series.pages[number]


def _cut(series: TiffPageSeries, place: Sequence[int]) -> np.ndarray:
    whole = series.asarray()
    order = [i for i, axis in enumerate(series.axes) if axis not in "YXS"]
    rest = [i for i in range(whole.ndim) if i not in order]
    return whole.transpose(order + rest)[tuple(place)]


def _meaning(
    page: TiffPage, pixels: np.ndarray, name: object, channel: int, choice: _Choice,
    declared: int | None,
) -> Stored:  # fmt: skip
    """What the samples of a page stand for."""
    photometric = page.photometric
    if page.planarconfig == PLANARCONFIG.SEPARATE and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim not in (2, 3) or photometric not in _BASE or pixels.dtype.kind not in "uifb":
        raise InputError(
            f"{name}: {page.dtype} pixels of shape {page.shape}, {photometric.name} in TIFF's "
            "words. Save it as grey or RGB with 8 or 16 bits."
        )
    tag = page.tags.get(ORIENTATION)
    pixels = turned(pixels, tag.value if tag is not None else 1)
    base = 3 if _is_rgb(page, pixels) else _BASE[photometric]
    meanings = [_ALPHA.get(kind, "") for kind in page.extrasamples]
    samples = split_samples(pixels, base, meanings, name, channel, declared)
    pixels, mode, declared = _coloured(page, samples.pixels, name, declared)
    return Stored(
        pixels, mode, declared, photometric == PHOTOMETRIC.MINISWHITE, samples.alpha,
        samples.opaque, (*choice.unused, *samples.unused), choice.plane, choice.planes,
        channels=max(choice.channels, samples.channels),
    )  # fmt: skip


def _is_rgb(page: TiffPage, pixels: np.ndarray) -> bool:
    return page.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR) and pixels.ndim == 3


def _coloured(
    page: TiffPage, pixels: np.ndarray, name: object, declared: int | None
) -> tuple[np.ndarray, str, int | None]:
    """Grey or RGB numbers, their mode, and the depth that is known of them."""
    photometric, deep = page.photometric, "" if pixels.itemsize == 1 else f";{_kind(pixels)}"
    if photometric == PHOTOMETRIC.PALETTE:
        table = np.asarray(page.colormap)
        # Written as 8 bits moved up, or not moved up by older programs.
        table = table >> 8 if table.max() > 255 else table
        # Take, not an index: 1-bit entries are booleans, which would choose rows.
        return np.take(table.T, pixels, axis=0).astype(np.uint8), "P", 8
    if photometric == PHOTOMETRIC.SEPARATED:
        if pixels.dtype != np.uint8 or pixels.shape[-1] != 4:
            raise InputError(f"{name}: inks of {pixels.dtype}. Save it as RGB with 8 or 16 bits.")
        ink = Image.fromarray(np.ascontiguousarray(pixels), "CMYK")
        return np.asarray(ink.convert("RGB")), "CMYK", 8
    if photometric == PHOTOMETRIC.YCBCR and page.compression in _UNCONVERTED:
        if pixels.dtype != np.uint8:
            raise InputError(
                f"{name}: {pixels.dtype} numbers of YCbCr, brightness and two colours. Save it as "
                "RGB with 8 or 16 bits."
            )
        pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels), "YCbCr").convert("RGB"))
        return pixels, "YCbCr", 8
    if pixels.dtype.kind == "b":
        return pixels.astype(np.uint8), "1", 1
    return pixels, ("RGB" if pixels.ndim == 3 else "L") + deep, declared


# Decoders of JPEG and its kin give RGB; of these what was stored.
_UNCONVERTED = (COMPRESSION.NONE, COMPRESSION.LZW, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE,
                COMPRESSION.PACKBITS, COMPRESSION.ZSTD, COMPRESSION.LZMA)  # fmt: skip


def _kind(pixels: np.ndarray) -> str:
    letter = {"u": "", "i": "signed ", "f": "float "}[pixels.dtype.kind]
    return f"{letter}{pixels.itemsize * 8}"


def _declared(tiff: TiffFile, page: TiffPage) -> int | None:
    """Significant bits that the file speaks of, None where it says nothing beyond its container.

    Bio-Formats writes the container's depth as SignificantBits where it knows none, and TIFF 6.0
    lets MaxSampleValue be the brightest pixel of the picture: neither is a depth.
    """
    bits = page.bitspersample
    bits = min(bits) if isinstance(bits, Sequence) else int(bits)
    container = page.dtype.itemsize * 8
    if page.dtype.kind != "u" and (page.dtype.kind != "i" or container == 8):
        return None
    if bits < container or container == 8:
        return bits
    said = [significant_bits(tiff.ome_metadata or ""), _maximum_bits(page)]
    said = [found for found in said if found and found < container]
    return min(said) if said else _camera_bits(page, container)


def _maximum_bits(page: TiffPage) -> int | None:
    tag = page.tags.get(_MAX_SAMPLE_VALUE)
    if tag is None:
        return None
    highest = int(np.max(tag.value))
    bits = highest.bit_length()
    return bits if bits >= 8 and highest == 2**bits - 1 else None


def _camera_bits(page: TiffPage, container: int) -> int | None:
    """Depth that Micro-Manager noted of the camera."""
    tag = page.tags.get("MicroManagerMetadata")
    if tag is None:
        return None
    facts = tag.value if isinstance(tag.value, dict) else json.loads(tag.value)
    bits = int(facts.get("BitDepth", 0) or 0)
    return bits if 8 <= bits <= container else None
