"""Situations of clinics and microscopes: small files and lists, and what is right for each.

A situation is a function of an empty folder. It writes its files there and asserts what is right
through the interface that everything else uses: `decode`, `Folder`, `open_source`. Sources are
public issues of the tools that made or met such files; nothing is copied from them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from compendium.clinic.audit import Folder
from engine.errors import InputError
from lib.data.images import decode

TRIED = "tried with files as clinics have them"
MODULES = (
    "situations_depth",
    "situations_numbers",
    "situations_storage",
    "situations_pages",
    "situations_ome",
    "situations_dicom",
    "situations_folders",
    "situations_lists",
    "situations_names",
)
HEIGHT, WIDTH = 48, 64

_ALL: list[Situation] = []


@dataclass(frozen=True)
class Situation:
    name: str
    source: str
    right: str
    check: Callable[[Path], None]


def situation(name: str, source: str, right: str):
    """Register a function of an empty folder that raises where what is seen is not ``right``."""

    def register(check: Callable[[Path], None]) -> Callable[[Path], None]:
        _ALL.append(Situation(name, source, right, check))
        return check

    return register


def situations() -> list[Situation]:
    """All of them, in the order in which they stand in their modules."""
    for name in MODULES:
        import_module(f"tests.lib.{name}")
    return _ALL


def table() -> str:
    """The Markdown table of ``docs/images.md``; its last column holds as long as the tests do."""
    lines = ["| situation | source | right | seen |", "|---|---|---|---|"]
    for one in situations():
        source = one.source
        if source != TRIED:
            repository, number = source.split("#")
            source = f"[{source}](https://github.com/{repository}/issues/{number})"
        lines.append(f"| {one.name} | {source} | {one.right} | right |")
    return "\n".join(lines)


# --- what is shown, and how it is stored -----------------------------------------------------


def light(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Brightness of a ring that lies off the centre, 0 < . <= 1: no turn or flip looks the same."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - 0.4 * width, y - 0.55 * height) / height
    shown = (
        0.25 + 0.2 * x / width + 0.1 * y / height + 0.4 * np.exp(-(((distance - 0.3) / 0.06) ** 2))
    )
    return shown / shown.max()


def counts(peak: int, dtype: type = np.uint16) -> np.ndarray:
    """The scene as a camera counts it."""
    return np.rint(light() * peak).astype(dtype)


def eight() -> np.ndarray:
    return counts(255, np.uint8)


def colour() -> np.ndarray:
    """The scene in three colours that differ, uint8 (H, W, 3)."""
    grey = eight()
    return np.dstack([grey, 255 - grey, grey // 2])


def stack(*shape: int) -> np.ndarray:
    """Pages that all differ, uint8 (*shape, H, W): each is the scene moved on by some columns."""
    pages = [np.roll(eight(), 5 * number, 1) for number in range(np.prod(shape))]
    return np.stack(pages).reshape(*shape, HEIGHT, WIDTH)


def scaled(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Counts of a device of ``bits`` bits, in 0..255."""
    return np.asarray(numbers, float) * 255 / (2**bits - 1)


def tiff(path: Path, pixels: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path, pixels, **options)
    return path


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def plain_tiff(path: Path, data: bytes, order: str = "<", **tags: int) -> Path:
    """A grey TIFF of one strip with these tags (``t258=12``), as no library writes it."""
    known = {256: WIDTH, 257: HEIGHT, 259: 1, 262: 1, 273: 8, 277: 1, 278: HEIGHT, 279: len(data)}
    known |= {int(name[1:]): value for name, value in tags.items()}
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, known[tag]) for tag in sorted(known))
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(order + "HI", 42, 8 + len(data))
    path.write_bytes(head + data + struct.pack(order + "H", len(known)) + entries + bytes(4))
    return path


def packed(numbers: np.ndarray, bits: int) -> bytes:
    """Rows of ``bits``-bit numbers without gaps, the highest bit first, each row whole bytes."""
    planes = np.unpackbits(numbers.astype(">u2").view(np.uint8), axis=1)
    planes = planes.reshape(len(numbers), -1, 16)[..., 16 - bits :]
    return np.packbits(planes.reshape(len(numbers), -1), axis=1).tobytes()


def png(path: Path, rows: bytes, bits: int, significant: int | None = None) -> Path:
    """A grey PNG of rows that are packed already, with an sBIT chunk where there is one."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    step = WIDTH * bits // 8
    lines = b"".join(b"\0" + rows[n : n + step] for n in range(0, len(rows), step))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 0, 0, 0, 0))
        + (b"" if significant is None else chunk(b"sBIT", bytes([significant])))
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
    return path


# --- what is seen ----------------------------------------------------------------------------


def near(seen: np.ndarray, right: np.ndarray, within: float = 1.0) -> None:
    """Assert an image of 8 bits that differs from ``right`` by rounding only.

    Grey that was stored in a palette or as three channels may come back with three equal ones.
    """
    assert seen.dtype == np.uint8
    if seen.ndim == 3 and np.ndim(right) == 2:
        assert (np.ptp(seen.astype(int), axis=2) <= within).all(), "colour where there is none"
        seen = seen[..., 0]
    assert seen.shape == np.shape(right)
    assert np.abs(seen - np.asarray(right, float)).max() <= within


def refused(path: Path, *words: str, **options: int) -> None:
    """Assert that ``decode`` refuses a file in an error that names it and has every word."""
    with pytest.raises(InputError) as caught:
        decode(path, **options)
    _says(caught.value, path, *words)


def _says(error: InputError, path: Path, *words: str) -> None:
    assert path.name in str(error)
    said = str(error).replace(str(path.parent), "").replace(path.name, "").lower()
    for word in words:
        assert word.lower() in said


def read_or_named(path: Path, right: np.ndarray, found: str) -> None:
    """Assert that a file is read rightly, or refused in an error that says what was found."""
    try:
        seen = decode(path)
    except InputError as error:
        _says(error, path, found)
    else:
        near(seen, right)


def images(folder: Path) -> dict[str, np.ndarray]:
    """What the audit reads of a folder, by id."""
    read = Folder(folder)
    ids = read.table()["id"].tolist()
    return dict(zip(ids, read.read_many(ids), strict=True))


def reasons(said: pd.DataFrame) -> dict[str, str]:
    """Why files were excluded, or what of them is not used, by id."""
    return {id: " ".join(part["reason"]) for id, part in said.groupby("id")}


def used(folder: Path, name: str, right: np.ndarray) -> str:
    """Assert what is used of a file in the audit, and return what is said of the rest."""
    near(images(folder)[name], right)
    said = reasons(Folder(folder).unused)
    assert name in said, f"nothing is said of what is not used of {name}"
    return said[name]
