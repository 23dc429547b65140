"""DICOM secondary captures through pydicom: what an archive of a clinic hands out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import InputError
from lib.data.stored import Stored

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE = 128  # bytes before the letters DICM
_OPTIONAL = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence",
             "WindowCenter", "WindowWidth")  # fmt: skip


def read_dicom(content: bytes, name: object, check_size: Callable[[int, int, int], None]) -> Stored:
    """The first frame of a DICOM image as its file says it is looked at, at its stored depth.

    A rescaling and a window that the file carries are applied (PS3.3 C.11.1, C.11.2).

    Raises
    ------
    InputError
        No pixels, or a kind of colour that is not known. What pydicom raises of damaged files
        passes through.
    """
    import pydicom
    from pydicom.pixels import apply_color_lut, pixel_array

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that break the standard without any harm here
        data = pydicom.dcmread(io.BytesIO(content))
        for element in _OPTIONAL:
            if element in data and data[element].is_empty:  # emptied with the patient's name
                del data[element]
        if "PixelData" not in data:
            raise InputError(f"{name}: DICOM without pixels. Export the image from its archive.")
        deep = int(data.get("SamplesPerPixel", 1)) * -(-int(data.BitsAllocated) // 8)
        check_size(int(data.Columns), int(data.Rows), deep)
        frames = int(data.get("NumberOfFrames", 1) or 1)
        pixels = pixel_array(data, index=0)
        bits, kind = int(data.BitsStored), str(data.PhotometricInterpretation)
        windowed = "WindowCenter" in data or "VOILUTSequence" in data
        if pixels.ndim == 2 and kind.startswith("MONOCHROME"):
            pixels = _shown(data, pixels, bits, windowed)
        elif kind == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, data)
            bits = pixels.itemsize * 8
        elif pixels.ndim != 3 or pixels.shape[-1] != 3:
            raise InputError(f"{name}: {kind} in DICOM's words. Export it as grey or RGB.")
    unused = (f"{frames - 1} of {frames} frames",) if frames > 1 else ()
    mode = (kind if bits == 8 else f"{kind};{bits}") + " windowed" * windowed
    return Stored(pixels, mode, bits, kind == "MONOCHROME1", unused=unused)


def _shown(data: Dataset, pixels: np.ndarray, bits: int, windowed: bool) -> np.ndarray:
    """Numbers from 0 to 2**bits - 1, rescaled and windowed as the file says."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    values = apply_modality_lut(pixels, data)
    if "VOILUTSequence" in data:
        low, high = 0, 2 ** int(data.VOILUTSequence[0].LUTDescriptor[2]) - 1
    else:
        low, high = _range(data, bits)
    if windowed:
        values = apply_voi_lut(values, data)
    elif low == 0 and high == 2**bits - 1 and values.dtype.kind == "u":
        return values
    levels = np.clip((values.astype(float) - low) / (high - low), 0, 1) * (2**bits - 1)
    return np.rint(levels).astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


def _range(data: Dataset, bits: int) -> tuple[float, float]:
    """What black and white stand for: all numbers that could be stored, rescaled."""
    if "ModalityLUTSequence" in data:
        return 0, 2 ** int(data.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    signed = data.PixelRepresentation == 1
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
    low, high = sorted((low * slope + intercept, high * slope + intercept))
    return low, high
