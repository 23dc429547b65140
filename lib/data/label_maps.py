"""Instance maps from mask files: images whose numbers are objects, or whose grey shows classes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy import ndimage
from tifffile import TiffFile

from engine.errors import InputError
from lib.data.images import decode, to_grey
from lib.data.reading import MAX_PIXELS, read_bytes
from lib.data.stored import is_whole

SMALLEST = 4  # px; what covers fewer is a speck and no object
_TIFF = (b"II", b"MM")
_FORMATS = ("PNG", "BMP", "WEBP")  # JPEG would mix the numbers of neighbours
_AS_LABELS = "Save it as a PNG or TIFF of 8 or 16 bits, 0 background, 1 to n the objects."


def read_label_map(path: Path) -> np.ndarray:
    """The objects of a label image, int32 (H, W): 0 background, 1 to n in the order of its numbers.

    PNG, BMP, WebP or TIFF of any depth. Of a palette the numbers count, not the colours; three
    equal channels are one.

    Raises
    ------
    InputError
        Missing or damaged file, several pages, colours, negative numbers or fractions, or what
        looks like classes: white, and not all numbers below it.
    """
    numbers = _numbers(read_bytes(path), path)
    if numbers.ndim == 3 and (numbers[..., :3] == numbers[..., :1]).all():
        numbers = numbers[..., 0]
    if numbers.ndim != 2:
        raise InputError(
            f"{path}: a mask in colours, shape {numbers.shape}: nothing says which colour is which "
            f"object. {_AS_LABELS}"
        )
    if numbers.min() < 0 or not is_whole(numbers):
        raise InputError(
            f"{path}: {numbers.dtype} numbers from {numbers.min():g} to {numbers.max():g} number "
            f"no objects. {_AS_LABELS}"
        )
    found, labels = np.unique(numbers, return_inverse=True)
    if _shows_classes(found[found != 0], numbers.dtype):
        raise InputError(
            f"{path}: a mask with white ({found[-1]}) and not every number below it shows classes "
            "and no objects. Set mask_threshold to a value below that of the object, or number the "
            "objects 1 to n."
        )
    return (labels.reshape(numbers.shape) + (found[0] != 0)).astype(np.int32)


def _shows_classes(values: np.ndarray, dtype: np.dtype) -> bool:
    """Whether white is among the values, and not because so many objects are counted.

    Masks of classes often hold further greys, at smoothed outlines.
    """
    if dtype.kind == "b":
        return len(values) > 0
    return dtype.kind == "u" and 0 < len(values) < values[-1] == np.iinfo(dtype).max


def read_components(path: Path, threshold: int) -> np.ndarray:
    """The connected areas of a class image above a grey level, int32 (H, W): 0, 1 to n.

    The image is read as `lib.data.images.decode` does, to grey levels of 0 to 255; object is what
    lies strictly above ``threshold``. Pixels that touch at a corner belong together; areas of fewer
    than ``SMALLEST`` px are left out.

    Raises
    ------
    InputError
        As `lib.data.images.decode`.
    """
    labels, count = ndimage.label(to_grey(decode(path)) > threshold, np.ones((3, 3)))
    return without_specks(labels.astype(np.int32), count)


def without_specks(labels: np.ndarray, highest: int) -> np.ndarray:
    """The map without objects of fewer than ``SMALLEST`` px, the others numbered 1 to n anew."""
    kept = np.bincount(labels.ravel(), minlength=highest + 1) >= SMALLEST
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]


def _numbers(content: bytes, path: Path) -> np.ndarray:
    """What the file stores, (H, W) or (H, W, channels), neither scaled nor coloured."""
    try:
        if content.startswith(_TIFF):
            with TiffFile(io.BytesIO(content), _multifile=False) as tiff:
                if len(tiff.pages) > 1:
                    raise InputError(
                        f"{path}: {len(tiff.pages)} pages. Save the one with the mask alone."
                    )
                _check_size(path, tiff.pages[0].imagewidth, tiff.pages[0].imagelength)
                return tiff.pages[0].asarray()
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            _check_size(path, *image.size)
            return np.asarray(image)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{path}: not a PNG, BMP, WebP or TIFF image. {_AS_LABELS}") from None
    except Exception as error:  # what a decoder raises depends on where the damage is
        raise InputError(
            f"{path}: cannot be decoded ({error}); it is damaged or incomplete. "
            "Copy it again from its source."
        ) from error


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: {width} x {height} pixels, more than {MAX_PIXELS} pixels. Save the field of "
            "interest alone, of the mask and of its image."
        )
