"""Images: from a file of any common kind to the uint8 stack the networks see."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Protocol

import imagecodecs
import numpy as np
import pandas as pd
import tifffile
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.errors import InputError
from engine.progress import progress
from lib.data.framing import crop

MAX_PIXELS = 64_000_000  # a camera frame has fewer; more is a slide scan or an image bomb
MAX_BYTES = 8 * MAX_PIXELS  # an uncompressed 16-bit RGBA image of that many pixels
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

_SMALLER = "Reduce it or cut the field of interest out of it."
_BATCH = 16  # decoded ahead of the stack: of a camera's frames no more fit into memory
_PNG_DEPTH = 24  # byte of a PNG that holds the bits per channel
_BITS_PER_SAMPLE, _COMPRESSION = 258, 259  # TIFF tags
_JPEG_IN_TIFF = (6, 7)  # values of the latter


class Readable(Protocol):
    """Anything images can be read from by id, many at a time."""

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]: ...


def decode(path: str | Path) -> np.ndarray:
    """Read an image file as uint8, (H, W) for grey and (H, W, 3) RGB for colour.

    PNG, JPEG, BMP or TIFF (first page); 1, 8 or 16 bits; grey, RGB, palette or CMYK. Transparency
    is laid on white, the orientation a phone notes in EXIF is applied. 16-bit images are divided
    by the smallest depth (8, 10, 12, 14 or 16 bits) that holds their maximum, because cameras of
    10 to 14 bits are stored in 16 without being scaled.

    Raises
    ------
    InputError
        Missing, empty, truncated or unreadable file; more than ``MAX_PIXELS`` pixels; 32 bits.
    """
    return decode_bytes(read_bytes(path), path)[0]


def inspect(path: Path) -> tuple[np.ndarray, dict[str, object]]:
    """An image file as `decode` reads it, and its sha256, width, height and stored mode."""
    content = read_bytes(path)
    image, mode = decode_bytes(content, path)
    height, width = image.shape[:2]
    sha256 = hashlib.sha256(content).hexdigest()
    return image, {"sha256": sha256, "width": width, "height": height, "mode": mode}


def read_bytes(path: str | Path) -> bytes:
    """Content of an image file of reasonable size; raises `InputError` otherwise."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Correct the path or restore the image.")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path}: the file has zero bytes. Copy it again from its source.")
    if size > MAX_BYTES:
        raise InputError(f"{path}: {size} bytes, more than {MAX_BYTES}. {_SMALLER}")
    return path.read_bytes()


def decode_bytes(content: bytes, name: str | Path) -> tuple[np.ndarray, str]:
    """Decode the content of an image file; ``name`` stands in the errors.

    Returns the image as `decode` does, and its stored mode (Pillow's name, ``RGB;16`` for 16-bit
    colour).
    """
    try:
        return _decode(content, name)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a PNG, JPEG, BMP or TIFF image. Export it as PNG.") from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: more than {MAX_PIXELS} pixels. {_SMALLER}") from None
    except Exception as error:  # what a decoder raises depends on where the damage is
        raise InputError(
            f"{name}: cannot be decoded ({error}); it is damaged or incomplete. "
            "Copy it again from its source or export it as PNG."
        ) from error


def _decode(content: bytes, name: str | Path) -> tuple[np.ndarray, str]:
    with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "BMP", "TIFF")) as image:
        _check_size(image.size, name)
        mode = image.mode
        if mode in ("I", "F") or mode.startswith("I;32"):
            raise InputError(f"{name}: 32 bits per pixel. Save it with 8 or 16 bits.")
        if mode.startswith("I;16"):
            return _to_8_bit(np.asarray(image)), mode
        if image.format == "PNG" and content[_PNG_DEPTH] == 16:
            # Pillow would keep the upper 8 bits only.
            return _flatten(_to_8_bit(imagecodecs.png_decode(content))), f"{mode};16"
        if image.format == "TIFF":
            deep = max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))) == 16
            if deep or image.tag_v2.get(_COMPRESSION) in _JPEG_IN_TIFF:
                # Pillow fails on the JPEG strips that slide scanners write.
                pixels = _decode_tiff(content, name)
                return pixels, f"{mode};16" if deep else mode
        return _pillow_to_array(image), mode


def _decode_tiff(content: bytes, name: str | Path) -> np.ndarray:
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        page = tiff.pages[0]
        if page.ndim > 3 or page.samplesperpixel > 4 or page.dtype not in (np.uint8, np.uint16):
            raise InputError(
                f"{name}: pixels of type {page.dtype} in shape {page.shape}. Save it as grey or "
                "RGB with 8 or 16 bits."
            )
        pixels = page.asarray()
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, -1)
    return _flatten(_to_8_bit(pixels) if pixels.dtype == np.uint16 else pixels)


def _pillow_to_array(image: Image.Image) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return _flatten(np.asarray(image.convert("RGBA")))
    grey = image.mode in ("1", "L")
    return np.asarray(image.convert("L" if grey else "RGB"))


def _flatten(pixels: np.ndarray) -> np.ndarray:
    """Lay grey+alpha or RGBA on white; drop the channel axis of grey."""
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2]
    if channels in (2, 4):
        alpha = pixels[..., -1:].astype(np.float32) / 255
        mixed = pixels[..., :-1] * alpha + 255 * (1 - alpha)
        pixels = np.rint(mixed).astype(np.uint8)
    return pixels[..., 0] if channels < 3 else np.ascontiguousarray(pixels[..., :3])


def _to_8_bit(pixels: np.ndarray) -> np.ndarray:
    highest = int(pixels.max())
    depth = next(bits for bits in (8, 10, 12, 14, 16) if highest < 2**bits)
    return np.rint(pixels * np.float32(255 / (2**depth - 1))).astype(np.uint8)


def _check_size(size: tuple[int, int], name: str | Path) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name}: {width} x {height} pixels, more than {MAX_PIXELS} pixels. {_SMALLER}"
        )


def to_grey(image: np.ndarray) -> np.ndarray:
    """Luma (0.299 R + 0.587 G + 0.114 B, ITU-R BT.601), uint8 (H, W); grey stays as it is."""
    if image.ndim == 2:
        return image
    # Pillow does this in fixed point, several times faster than numpy in floats.
    return np.asarray(Image.fromarray(image).convert("L"))


def to_rgb(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3); a grey image gets three equal channels."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def fit(image: np.ndarray, size: int, how: Literal["pad", "crop"]) -> np.ndarray:
    """Bring an image to size x size pixels without changing its aspect ratio; antialiased.

    Parameters
    ----------
    image : uint8 (H, W) or (H, W, 3)
    size : side of the result in pixels
    how : "pad" shows all of it and fills the rest with the median colour of its border;
        "crop" shows the largest centred square.
    """
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    if how == "crop":
        return np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC))
    scale = size / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    shown = np.asarray(picture.resize(inner, Image.Resampling.BICUBIC))
    filled = np.empty((size, size, *image.shape[2:]), np.uint8)
    filled[:] = border_colour(image)
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    filled[top : top + inner[1], left : left + inner[0]] = shown
    return filled


def border_colour(image: np.ndarray) -> np.ndarray:
    """Median of the outermost pixels per channel, uint8, shape () or (3,)."""
    edges = [image[0], image[-1], image[:, 0], image[:, -1]]
    return np.median(np.concatenate(edges), axis=0).astype(np.uint8)


def load_stack(
    source: Readable,
    ids: Sequence[str],
    size: int,
    colour: Literal["grey", "rgb"],
    how: Literal["pad", "crop"],
    frames: pd.DataFrame | None = None,
    field_of_view: float = 1.15,
    folder: Path | None = None,
    budget_mb: int = 2048,
) -> torch.Tensor:
    """Decode images once into a uint8 tensor (N, C, size, size); C is 1 (luma) or 3 (RGB).

    Parameters
    ----------
    source : where the images are read from
    ids : which ones, in the order of the stack
    size, how : as in `fit`
    frames : frame table of these ids; what was found is cropped to ``field_of_view`` (half side in
        radii), unsure finds and images without a table keep the whole frame
    folder : where a stack beyond ``budget_mb`` MiB is memory-mapped

    Raises
    ------
    InputError
        The stack exceeds the budget and no folder is given.
    """
    placed = {} if frames is None else {row.id: row for row in frames.itertuples() if row.found}

    def prepare(id: str, image: np.ndarray) -> np.ndarray:
        image = to_grey(image) if colour == "grey" else to_rgb(image)
        if id in placed:
            frame = placed[id]
            image = crop(image, frame.x, frame.y, frame.radius, field_of_view, size)
        else:
            image = fit(image, size, how)
        return image.reshape(size, size, -1).transpose(2, 0, 1)

    shape = (len(ids), 1 if colour == "grey" else 3, size, size)
    stack = _allocate(shape, ids, folder, budget_mb)
    with ThreadPoolExecutor() as pool:
        for start in progress(range(0, len(ids), _BATCH), label="batches of images"):
            batch = ids[start : start + _BATCH]
            ready = pool.map(prepare, batch, source.read_many(batch))
            stack[start : start + len(batch)] = np.stack(list(ready))
    return torch.from_numpy(stack)


def _allocate(
    shape: tuple[int, ...], ids: Sequence[str], folder: Path | None, budget_mb: int
) -> np.ndarray:
    needed_mb = math.prod(shape) / 2**20
    if needed_mb <= budget_mb:
        return np.empty(shape, np.uint8)
    if folder is None:
        raise InputError(
            f"A stack of {len(ids)} images needs {needed_mb:.0f} MiB, the budget is {budget_mb} "
            "MiB. Raise memory_mb or name a folder to map it to."
        )
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256("\n".join([str(shape), *ids]).encode()).hexdigest()[:16]
    return np.memmap(folder / f"stack_{name}.uint8", np.uint8, "w+", shape=shape)
