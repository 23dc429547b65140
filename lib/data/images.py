"""Images: from a file of any common kind to the uint8 stack the networks see."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps

from engine.errors import InputError
from engine.progress import progress
from lib.data.framing import crop
from lib.data.reading import read_bytes, read_stored
from lib.data.stored import to_8_bit

_BATCH = 16  # decoded ahead of the stack: of a camera's frames no more fit into memory


class Readable(Protocol):
    """Anything images can be read from by id, many at a time."""

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]: ...


def decode(
    path: str | Path, bits: int | None = None, channel: int = 0, plane: int | None = None
) -> np.ndarray:
    """Read an image file as uint8, (H, W) for grey and (H, W, 3) RGB for colour.

    PNG, JPEG, BMP, TIFF, WebP, JPEG 2000 or DICOM; whole numbers of any depth, or floats; grey,
    RGB, palette or CMYK. Transparency is laid on white, orientation and inverted scales are
    applied. `docs/images.md` says what is made of which file.

    Parameters
    ----------
    bits : depth of the device that the image is of (`lib.data.stored.UNIT` for floats of 0 to 1);
        None: what the file declares, else the smallest of 8, 10, 12, 14 or 16 bits that holds its
        numbers. One image is no sure sign: `lib.data.depth.device_bits` asks all of a device.
    channel : which of several channels, from 1; 0: there must not be several
    plane : which focal plane of a stack, from 1; None: the central one

    Raises
    ------
    InputError
        Missing, empty, truncated or unreadable file; more than ``MAX_PIXELS`` pixels; no such
        channel or plane, or several channels and none chosen; numbers that no scale is known for,
        or that are beyond ``bits``.
    """
    return to_8_bit(read_stored(read_bytes(path), path, channel, plane), bits, path)


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
