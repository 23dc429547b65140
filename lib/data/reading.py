"""Image files of any common kind, from bytes to the numbers that they store."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.errors import InputError
from lib.data.dicom import PREAMBLE, read_dicom
from lib.data.foreign import looks_like
from lib.data.jpeg2000 import read_jp2
from lib.data.lists import NAME as LIST
from lib.data.orientation import ORIENTATION, turned
from lib.data.samples import split_samples, without_empty_alpha
from lib.data.stored import Stored
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
_KINDS = "PNG, JPEG, BMP, TIFF, WebP, JPEG 2000 or DICOM"
_UNKNOWN = re.compile(
    r"not (yet )?(supported|implemented)|unsupported|cannot handle", re.IGNORECASE
)
_PNG_DEPTH = 24  # byte of a PNG that holds the bits per channel


def find_images(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """All files below a folder: those that are read as images, and the others with a reason.

    Paths relative to ``root``, sorted. A DICOM file may come without a suffix. Links to folders are
    not followed. `CLUTTER` and hidden files that are no leftovers of images are not mentioned.
    """
    images, others = [], []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        folders = path.relative_to(root).parts[:-1]
        if any(folder.startswith(".") or folder in MACHINES for folder in folders):
            continue
        if (path.is_dir() and not path.is_symlink()) or is_clutter(path):
            continue
        if (shown := name.encode(errors="replace").decode()) != name:
            others.append((shown, f"{shown}: a name that is not in UTF-8. Rename the file."))
        elif reason := why_not(path):
            others.append((name, f"{name}: {reason}"))
        else:
            images.append(name)
    return images, others


def is_clutter(path: Path) -> bool:
    """Whether nobody means it as an image: `CLUTTER` and hidden files, not leftovers of images."""
    hidden = path.name.startswith(".") and not path.name.startswith("._")
    return hidden or path.name.lower() in CLUTTER


def why_not(path: Path) -> str | None:
    """Why a file or a link is not read as an image, and what to do; None where it is read."""
    suffix = path.suffix.lower()
    if path.is_dir():
        kind = "a link to a folder, which is not followed" if path.is_symlink() else "a folder"
        return f"{kind}. Move or copy its images to where images are read."
    if path.is_symlink() and not path.exists():
        return f"a link to {path.readlink().name}, which is not there. Copy the image here."
    if not path.is_file():
        return "neither a file nor a folder. Remove it."
    if path.name.startswith("._"):
        return "a leftover of macOS, no image. Delete it."
    if path.name.lower() == LIST:
        return (
            f"a list. Only {LIST} at the top of a folder is read, by audit and run. Move it there."
        )
    if suffix in SUFFIXES or (not suffix and _is_dicom(path)):
        return None
    kind = f"{suffix[1:].upper()} files are" if suffix else "files without a suffix are"
    return f"{kind} not read. {_EXPORT}"


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"


def check_inside(root: Path, name: str) -> None:
    """Refuse a path below ``root``, which is resolved, that a link or a detour leads out of it.

    Raises
    ------
    InputError
        It leads outside.
    """
    if not (root / name).resolve().is_relative_to(root):
        raise InputError(
            f"{root / name}: leads outside of the folder of the images. Copy the image into it."
        )


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
    channel : which of several channels, from 1; 0: there must not be several. Of an image without
        channels `unused` says that it was not needed.
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
            stored = read_tiff(content, name, check_size, channel, plane)
        elif content[PREAMBLE : PREAMBLE + 4] == b"DICM":
            stored = read_dicom(content, name, check_size)
        elif content.startswith(_JP2):
            with Image.open(io.BytesIO(content), formats=("JPEG2000",)) as header:
                check_size(*header.size)
            stored = read_jp2(content, name, channel)
        else:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                check_size(*image.size)
                stored = _from_pillow(image, content)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(
            f"{name}: not a {_KINDS} image{looks_like(content)}. Export it as PNG."
        ) from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: more than {MAX_PIXELS} pixels. {_SMALLER}") from None
    except Exception as error:  # what a decoder raises depends on where the damage is
        if isinstance(error, NotImplementedError) or _UNKNOWN.search(str(error)):
            raise InputError(f"{name}: of a kind that is not read ({error}). {_EXPORT}") from error
        raise InputError(
            f"{name}: cannot be decoded ({error}); it is damaged or incomplete. "
            "Copy it again from its source or export it as PNG."
        ) from error
    # One choice holds for all images of a run, so one without channels is no error, but said.
    if stored.channels == 1 and channel > (stored.pixels.ndim == 2):
        words = f"channel {channel} was asked for: it has no channels and was read whole"
        return replace(stored, unused=(*stored.unused, words))
    return stored


def _from_pillow(image: Image.Image, content: bytes) -> Stored:
    frames = getattr(image, "n_frames", 1)
    unused = (f"{frames - 1} of {frames} pictures",) if frames > 1 else ()
    if image.format == "PNG" and content[_PNG_DEPTH] == 16:
        stored = _from_png(content, image.mode)
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


def _from_png(content: bytes, mode: str) -> Stored:
    """All 16 bits of a PNG, of which Pillow would keep the upper 8 only."""
    pixels = imagecodecs.png_decode(content)
    base = 3 if pixels.ndim == 3 and pixels.shape[-1] > 2 else 1
    found = split_samples(pixels, base, ["alpha"], "", 0, None)
    shown = mode if not mode.startswith("I") else "L" if found.pixels.ndim == 2 else "RGB"
    return Stored(
        found.pixels, f"{shown};16", alpha=found.alpha, opaque=found.opaque, unused=found.unused
    )


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
