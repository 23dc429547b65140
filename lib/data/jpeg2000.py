"""JPEG 2000 in its own container (JP2): what its boxes say of the samples."""

from __future__ import annotations

from collections.abc import Iterator

import imagecodecs
import numpy as np

from lib.data.samples import Meaning, split_samples
from lib.data.stored import Stored

_COLOURS = (16, 18)  # enumerated spaces: sRGB, and sYCC which the decoder turns into it
_OPACITY: dict[int, Meaning] = {1: "alpha", 2: "associated alpha"}


def read_jp2(content: bytes, name: object, channel: int = 0) -> Stored:
    """The picture of a JP2 file (ISO/IEC 15444-1, annex I).

    Parameters
    ----------
    channel : which of several greys, from 1; 0: there must not be several

    Raises
    ------
    InputError
        Several samples that nothing says to be colours, and none chosen.
    """
    boxes = dict(_boxes(content))
    header = dict(_boxes(boxes[b"jp2h"]))
    method, space = header[b"colr"][0], header[b"colr"][3:]
    number = int.from_bytes(space[:4]) if method == 1 else 0
    pixels = imagecodecs.jpeg2k_decode(content)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    coloured = number in _COLOURS or (method > 1 and space[16:20] == b"RGB ")
    base = 3 if coloured and pixels.ndim == 3 and pixels.shape[-1] > 2 else 1
    bits = (header[b"ihdr"][10] & 0x7F) + 1
    # 255: every component has its own; of a palette these are the bits of its indices.
    declared = bits if bits <= 16 and b"pclr" not in header else None
    count = pixels.shape[-1] - base if pixels.ndim == 3 else 0
    meanings = _meanings(header.get(b"cdef", b""), base, count)
    found = split_samples(pixels, base, meanings, name, channel, declared)
    deep = "" if pixels.itemsize == 1 else f";{pixels.itemsize * 8}"
    return Stored(
        found.pixels, ("RGB" if found.pixels.ndim == 3 else "L") + deep, declared,
        alpha=found.alpha, opaque=found.opaque, unused=found.unused, channels=found.channels,
    )  # fmt: skip


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes that follow each other here."""
    place = 0
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4]), content[place + 4 : place + 8]
        head = 16 if length == 1 else 8
        if length == 1:
            length = int.from_bytes(content[place + 8 : place + 16])
        end = place + length if length >= head else len(content)  # 0: to the end of the file
        yield kind, content[place + head : end]
        place = end


def _meanings(definitions: bytes, base: int, count: int) -> list[Meaning]:
    """What a box of channel definitions says of the samples from number ``base`` on."""
    rows = np.frombuffer(definitions[2:], ">u2").reshape(-1, 3) if definitions else ()
    kinds = {int(sample): _OPACITY.get(int(kind), "") for sample, kind, _ in rows}
    return [kinds.get(base + number, "") for number in range(count)]
