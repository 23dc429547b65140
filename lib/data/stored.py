"""An image as its file stores it: the device's own numbers, before any scale is put on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import InputError

UNIT = 0  # bits of floats whose white is 1
DEPTHS = (8, 10, 12, 14, 16)  # bits of cameras
# Floats of 0 to 1 that overshoot by less than half a grey level of 255 round to black or white.
ROUNDING = 0.5 / 255
# What to do with images that do not fit the depth of their device.
APART = (
    "Put images of another device into a folder and domain of their own, or write the depth into "
    "column bits of labels.csv, which audit and run read."
)
_INVERTED = 12  # most bits that a scale which counts from white is guessed to have


@dataclass(frozen=True)
class Stored:
    """One picture of a file.

    Attributes
    ----------
    pixels : (H, W) for grey, (H, W, 3) for RGB; unsigned, signed or floating numbers
    mode : what the file says of them: ``L``, ``RGB;16``, ``MONOCHROME1;12``
    bits : depth that the file declares, None where it says nothing
    inverted : whether 0 is white
    alpha : (H, W) opacity, ``opaque`` where nothing shines through
    opaque : largest number of ``alpha``
    unused : what else the file holds, a phrase each
    plane, planes : which focal plane this is, from 1, and how many there are
    channels : how many there were to choose from
    """

    pixels: np.ndarray
    mode: str
    bits: int | None = None
    inverted: bool = False
    alpha: np.ndarray | None = None
    opaque: float = 255.0
    unused: tuple[str, ...] = ()
    plane: int = 1
    planes: int = 1
    channels: int = 1

    @property
    def plain(self) -> bool:
        """Whether these are 8-bit levels already."""
        return self.pixels.dtype == np.uint8 and self.bits in (None, 8)


def check_numbers(stored: Stored, name: object) -> None:
    """Refuse numbers that no scale of brightness is known for.

    Raises
    ------
    InputError
        Negative, infinite or missing numbers, fractions beyond 1, or undeclared ones beyond 16
        bits.
    """
    pixels = stored.pixels
    if stored.plain:
        return
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise InputError(
            f"{name}: {pixels.dtype} numbers, some of them infinite or missing (NaN). "
            "Save it with 8 or 16 bits, without them."
        )
    if low < 0 and not (low >= -ROUNDING and is_light(pixels.dtype, high)):
        raise InputError(
            f"{name}: signed numbers from {low:g} to {high:g} ({pixels.dtype}), and nothing says "
            "which of them is black. Save it unsigned, with 8 or 16 bits."
        )
    if stored.bits is None and high >= 2 ** DEPTHS[-1]:
        raise InputError(
            f"{name}: {pixels.dtype} numbers up to {high:g}, more than the {DEPTHS[-1]} bits of "
            "any camera: nothing says which of them is white. Save it with 8 or 16 bits."
        )
    if not is_light(pixels.dtype, high) and not is_whole(pixels):
        raise InputError(
            f"{name}: {pixels.dtype} numbers from {low:g} to {high:.9g}, neither of 0 to 1 nor "
            "whole: nothing says which of them is white. Save it with 8 or 16 bits."
        )


def is_light(dtype: np.dtype, peak: float) -> bool:
    """Whether numbers up to ``peak`` are floats of 0 to 1, give or take rounding."""
    return dtype.kind == "f" and peak <= 1 + ROUNDING


def is_whole(pixels: np.ndarray) -> bool:
    """Whether all numbers are integers."""
    return pixels.dtype.kind in "uib" or bool((pixels == np.rint(pixels)).all())


def white_of(bits: int) -> int:
    """The number that stands for white at a depth."""
    return 1 if bits == UNIT else 2**bits - 1


def depth_for(peak: float, dtype: np.dtype, inverted: bool = False) -> int:
    """The smallest depth that holds ``peak``, the highest number of one or of many images.

    Cameras of 10 to 14 bits store 16 without scaling. Where 0 is white, all numbers of a bright
    picture are small, so only a peak of 12 bits or less counts as a sign of such a camera.
    """
    if is_light(dtype, peak):
        return UNIT
    most = DEPTHS[-1]
    if dtype.kind in "ui":
        most = min(most, dtype.itemsize * 8 - (dtype.kind == "i"))
    if inverted and peak >= 2**_INVERTED:
        return most
    return min(bits for bits in {*DEPTHS, most} if bits <= most and peak < 2**bits)


def to_8_bit(stored: Stored, bits: int | None, name: object) -> np.ndarray:
    """The picture as uint8 (H, W) or (H, W, 3), transparency laid on white.

    Parameters
    ----------
    bits : depth of the device; None: what the file declares, else what its own numbers need

    Raises
    ------
    InputError
        No scale is known (`check_numbers`), or a number is beyond the depth.
    """
    pixels = stored.pixels
    if stored.plain:
        return _flatten(255 - pixels if stored.inverted else pixels, stored)
    check_numbers(stored, name)
    peak = pixels.max()
    if bits is None:
        bits = stored.bits
    if bits is None:
        bits = depth_for(peak, pixels.dtype, stored.inverted)
    white = white_of(bits)
    if not fits(peak, bits):
        raise InputError(f"{name}: {beyond(peak, bits, 'its device')}. {APART}")
    # More than 24 bits do not fit a float32.
    scale = (np.float64 if white > 2**24 or pixels.itemsize > 4 else np.float32)(255 / white)
    if stored.inverted:
        pixels = white - pixels
    return _flatten(np.clip(np.rint(pixels * scale), 0, 255).astype(np.uint8), stored)


def fits(peak: float, bits: int) -> bool:
    """Whether a depth holds the number ``peak``."""
    return peak <= white_of(bits) + (ROUNDING if bits == UNIT else 0)


def beyond(peak: float, bits: int, device: str) -> str:
    """What is to be said of a number that the depth of a device does not hold."""
    return (
        f"its brightest number is {peak:g}, more than the {white_of(bits)} of {depth_name(bits)}, "
        f"the depth of {device}"
    )


def depth_name(bits: int) -> str:
    """``12 bits``, or that they are floats of 0 to 1."""
    return "floats of 0 to 1" if bits == UNIT else f"{bits} bits"


def _flatten(levels: np.ndarray, stored: Stored) -> np.ndarray:
    if stored.alpha is None:
        return np.ascontiguousarray(levels)
    alpha = stored.alpha.astype(np.float32) / np.float32(stored.opaque)
    if levels.ndim == 3:
        alpha = alpha[..., None]
    return np.clip(np.rint(levels * alpha + 255 * (1 - alpha)), 0, 255).astype(np.uint8)
