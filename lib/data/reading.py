"""Image files of any common kind, from bytes to the numbers that they store."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.errors import InputError
from lib.data.dicom import PREAMBLE, read_dicom
from lib.data.orientation import ORIENTATION, turned
from lib.data.stored import Stored, without_empty_alpha
from lib.data.tiff import read_tiff

MAX_PIXELS = 64_000_000  # a camera frame has fewer; more is a slide scan or an image bomb
MAX_BYTES = 8 * MAX_PIXELS  # an uncompressed 16-bit RGBA image of that many pixels
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".dcm",
)  # fmt: skip
# What is looked past without a word: no clinic means it as an image.
CLUTTER = ("thumbs.db", "desktop.ini", ".ds_store")
MACHINES = ("@eaDir", "__MACOSX", "$RECYCLE.BIN")  # folders of thumbnails and leftovers

_EXPORT = "Export it as PNG or TIFF."
_SMALLER = "Reduce it or cut the field of interest out of it."
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JP2 = b"\0\0\0\x0cjP  "
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_OTHERS = {
    b"GIF8": "GIF", b"<svg": "SVG", b"%PDF": "PDF", b"\0\0\0\x0cJXL": "JPEG XL",
    b"ZISRAWFILE": "Zeiss CZI", b"\x89HDF": "HDF5", b"PK": "zip",
}  # fmt: skip
_KINDS = "PNG, JPEG, BMP, TIFF, WebP, JPEG 2000 or DICOM"
_PNG_DEPTH = 24  # byte of a PNG that holds the bits per channel


def find_images(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """All files below a folder: those that are read as images, and the others with a reason.

    Paths relative to ``root``, sorted. A DICOM file may come without a suffix. `CLUTTER` and hidden
    files that are no leftovers of images are not mentioned.
    """
    images, others = [], []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        suffix = path.suffix.lower()
        folders = path.relative_to(root).parts[:-1]
        if any(folder.startswith(".") or folder in MACHINES for folder in folders):
            continue
        if not path.is_file() or path.name.lower() in CLUTTER:
            continue
        if (shown := name.encode(errors="replace").decode()) != name:
            others.append((shown, f"{shown}: a name that is not in UTF-8. Rename the file."))
            continue
        if path.name.startswith("._"):
            others.append((name, f"{name}: a leftover of macOS, no image. Delete it."))
        elif path.name.startswith("."):
            continue
        elif suffix in SUFFIXES or (not suffix and _is_dicom(path)):
            images.append(name)
        else:
            kind = f"{suffix[1:].upper()} files are" if suffix else "files without a suffix are"
            others.append((name, f"{name}: {kind} not read. {_EXPORT}"))
    return images, others


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"


def check_there(path: Path) -> None:
    """Refuse a file that is not there; one beside it of nearly this name is named.

    Raises
    ------
    InputError
        No such file.
    """
    if path.is_file():
        return
    beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    near = [other.name for other in beside if other.name.casefold() == path.name.casefold()]
    there = f"; there is '{near[0]}'" if near else ""
    raise InputError(f"{path}: no such file{there}. Correct the path or restore the image.")


def read_bytes(path: str | Path) -> bytes:
    """Content of an image file of reasonable size; raises `InputError` otherwise."""
    path = Path(path)
    check_there(path)
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path}: the file has zero bytes. Copy it again from its source.")
    if size > MAX_BYTES:
        raise InputError(f"{path}: {size} bytes, more than {MAX_BYTES}. {_SMALLER}")
    return path.read_bytes()


def read_stored(
    content: bytes, name: str | Path, channel: int = 0, plane: int | None = None
) -> Stored:
    """What an image file stores; ``name`` stands in the errors.

    Parameters
    ----------
    channel : which of several channels, from 1; 0: there must not be several
    plane : which focal plane of a stack, from 1; None: the central one

    Raises
    ------
    InputError
        Not an image of a known kind, damaged, too large, or without the channel or plane.
    """

    def check_size(width: int, height: int, deep: int = 1) -> None:
        if width * height > MAX_PIXELS:
            raise InputError(
                f"{name}: {width} x {height} pixels, more than {MAX_PIXELS} pixels. {_SMALLER}"
            )
        if width * height * deep > MAX_BYTES:
            raise InputError(
                f"{name}: {width} x {height} pixels of {deep} bytes, more than {MAX_BYTES} bytes. "
                f"{_SMALLER}"
            )

    if channel < 0:
        raise InputError(f"{name}: channel {channel} was asked for. Set channel, from 1.")
    try:
        if content.startswith(_TIFF):
            return read_tiff(content, name, check_size, channel, plane)
        if content[PREAMBLE : PREAMBLE + 4] == b"DICM":
            return read_dicom(content, name, check_size)
        if content.startswith(_JP2):
            with Image.open(io.BytesIO(content), formats=("JPEG2000",)) as header:
                check_size(*header.size)
            stored = _from_samples(imagecodecs.jpeg2k_decode(content), "")
            return replace(stored, bits=_jp2_bits(content))
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            check_size(*image.size)
            return _from_pillow(image, content)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(
            f"{name}: not a {_KINDS} image{_looks_like(content)}. Export it as PNG."
        ) from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: more than {MAX_PIXELS} pixels. {_SMALLER}") from None
    except Exception as error:  # what a decoder raises depends on where the damage is
        raise InputError(
            f"{name}: cannot be decoded ({error}); it is damaged or incomplete. "
            "Copy it again from its source or export it as PNG."
        ) from error


def _looks_like(content: bytes) -> str:
    """What the first bytes say, to people who know it by that name."""
    if content[4:8] == b"ftyp":
        brand = content[8:12].decode("ascii", "replace")
        return " but one of a phone (HEIC or AVIF)" if brand[:3] in ("hei", "mif", "avi") else ""
    for start, name in _OTHERS.items():
        if content.startswith(start):
            return f" but {name}"
    return ""


def _from_pillow(image: Image.Image, content: bytes) -> Stored:
    frames = getattr(image, "n_frames", 1)
    unused = (f"{frames - 1} of {frames} pictures",) if frames > 1 else ()
    if image.format == "PNG" and content[_PNG_DEPTH] == 16:
        # Pillow would keep the upper 8 bits only.
        stored = _from_samples(imagecodecs.png_decode(content), image.mode)
        significant = _significant_bits(content)
        # The standard moves numbers up to the full 16 bits; programs of cameras leave them alone.
        moved = significant and _is_moved_up(stored.pixels, significant)
        way = image.getexif().get(ORIENTATION)
        alpha = None if stored.alpha is None else turned(stored.alpha, way)
        return replace(
            stored, pixels=turned(stored.pixels, way), alpha=alpha,
            bits=16 if moved else significant, unused=stored.unused + unused,
        )  # fmt: skip
    image = ImageOps.exif_transpose(image)
    mode = image.mode
    if mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"))
        alpha, words = without_empty_alpha(pixels[..., 3])
        grey = mode == "LA"
        colours = pixels[..., 0] if grey else pixels[..., :3]
        return Stored(colours, mode, 8, alpha=alpha, unused=unused + words)
    grey = mode in ("1", "L")
    return Stored(np.asarray(image.convert("L" if grey else "RGB")), mode, 8, unused=unused)


def _is_moved_up(pixels: np.ndarray, bits: int) -> bool:
    """Whether numbers of ``bits`` bits fill 16: the lower ones repeat the highest, or are 0."""
    lower = pixels & (2 ** (16 - bits) - 1)
    return bool(pixels.max() >= 2**bits or (lower == pixels >> bits).all() or not lower.any())


def _from_samples(pixels: np.ndarray, mode: str) -> Stored:
    """Numbers of a decoder that gives the channels last: grey, grey and alpha, RGB or RGBA."""
    alpha, words, opaque = None, (), float(np.iinfo(pixels.dtype).max)
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
        alpha, words = without_empty_alpha(pixels[..., -1])
        pixels = pixels[..., :-1]
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    shape = mode if mode and not mode.startswith("I") else "L" if pixels.ndim == 2 else "RGB"
    deep = "" if pixels.itemsize == 1 else f";{pixels.itemsize * 8}"
    bits = 8 if pixels.dtype == np.uint8 else None
    return Stored(pixels, shape + deep, bits, alpha=alpha, opaque=opaque, unused=words)


def _jp2_bits(content: bytes) -> int | None:
    """Bits per component of the image header box of a JP2 file (ISO/IEC 15444-1, I.5.3.1)."""
    place = content.find(b"ihdr") + 4 + 10  # height, width and number of components come before
    bits = (content[place] & 0x7F) + 1
    return bits if bits <= 16 else None  # 255: every component has its own


def _significant_bits(png: bytes) -> int | None:
    """The depth that a PNG's sBIT chunk declares (PNG, 11.3.2.7), None without one."""
    place = 8
    while place + 8 <= len(png):
        length, kind = int.from_bytes(png[place : place + 4]), png[place + 4 : place + 8]
        if kind == b"sBIT":
            found = max(png[place + 8 : place + 8 + length], default=0)
            return found if 8 < found < 16 else None
        if kind == b"IDAT":
            return None
        place += length + 12
    return None
