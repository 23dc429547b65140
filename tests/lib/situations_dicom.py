"""DICOM secondary captures: polarity, windows, colour, frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from lib.data.images import decode
from tests.lib.situations import (
    HEIGHT,
    TRIED,
    WIDTH,
    colour,
    counts,
    eight,
    near,
    scaled,
    situation,
    stack,
    used,
)


def dicom(path: Path, pixels: np.ndarray, bits: int, kind: str, **elements: object) -> Path:
    """A secondary capture of these pixels; ``kind`` is its photometric interpretation."""
    rgb = kind in ("RGB", "YBR_FULL")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(path, {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    data.Rows, data.Columns, data.SamplesPerPixel = HEIGHT, WIDTH, 3 if rgb else 1
    data.PhotometricInterpretation = kind
    data.BitsAllocated, data.BitsStored, data.HighBit = 8 * pixels.itemsize, bits, bits - 1
    data.PixelRepresentation = 0
    if rgb:
        data.PlanarConfiguration = 0
    for name, value in elements.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    data.save_as(path, enforce_file_format=True)
    return path


@situation("DICOM of 12 bits in 16", TRIED, "12 bits, as it declares")
def dicom_depth(folder: Path) -> None:
    near(decode(dicom(folder / "a.dcm", counts(900), 12, "MONOCHROME2")), scaled(counts(900), 12))


@situation("DICOM MONOCHROME1", "pydicom/pydicom#783", "inverted")
def monochrome1(folder: Path) -> None:
    near(decode(dicom(folder / "a.dcm", 4095 - counts(4095), 12, "MONOCHROME1")), eight())


def windowed(numbers: np.ndarray, centre: float, width: float) -> np.ndarray:
    """The linear window of the standard (PS3.3 C.11.2.1.2), in 0..255."""
    return np.clip(((numbers - (centre - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)


@situation(
    "DICOM MONOCHROME1 of 16 bits with a window",
    "ome/bioformats#3620",
    "windowed, then inverted",
)
def monochrome1_windowed(folder: Path) -> None:
    raw = counts(4000)
    path = dicom(folder / "a.dcm", raw, 16, "MONOCHROME1", WindowCenter="1500", WindowWidth="2000")
    near(decode(path), 255 - windowed(raw, 1500, 2000))


@situation("DICOM with several windows", "pydicom/contrib-pydicom#1", "the first")
def windows(folder: Path) -> None:
    raw = counts(4000)
    elements = dict(WindowCenter=["1500", "3000"], WindowWidth=["2000", "100"])
    near(decode(dicom(folder / "a.dcm", raw, 12, "MONOCHROME2", **elements)),
         windowed(raw, 1500, 2000))  # fmt: skip


@situation("DICOM with an overlay in the upper bits", "pydicom/pydicom#2066", "these are no light")
def upper_bits(folder: Path) -> None:
    raw = counts(4000)
    drawn = raw.copy()
    drawn[5:9] |= 1 << 15
    near(decode(dicom(folder / "a.dcm", drawn, 12, "MONOCHROME2")), scaled(raw, 12))


@situation("DICOM YBR_FULL", "pydicom/pydicom#2118", "RGB")
def ybr(folder: Path) -> None:
    stored = np.asarray(Image.fromarray(colour()).convert("YCbCr"))
    near(decode(dicom(folder / "a.dcm", stored, 8, "YBR_FULL")), colour(), within=4)


@situation("DICOM of colour plane by plane", "pydicom/pydicom#357", "as pixel by pixel")
def dicom_planes(folder: Path) -> None:
    near(decode(dicom(folder / "a.dcm", colour(), 8, "RGB")), colour())
    planes = np.ascontiguousarray(np.moveaxis(colour(), -1, 0))
    near(decode(dicom(folder / "b.dcm", planes, 8, "RGB", PlanarConfiguration=1)), colour())


@situation("DICOM PALETTE COLOR", "pydicom/pydicom#205", "what the palette shows")
def dicom_palette(folder: Path) -> None:
    levels = np.arange(256)
    tables = dict(Red=257 * levels, Green=65535 - 257 * levels, Blue=np.full(256, 5140))
    elements = {}
    for name, entries in tables.items():
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{name}PaletteColorLookupTableData"] = entries.astype("<u2").tobytes()
    path = dicom(folder / "a.dcm", eight(), 8, "PALETTE COLOR", **elements)
    near(decode(path), np.dstack([eight(), 255 - eight(), np.full_like(eight(), 20)]))


@situation("DICOM of several frames", "pydicom/pydicom#614", "the first; the others are said")
def dicom_frames(folder: Path) -> None:
    pages = stack(3)
    dicom(folder / "a.dcm", pages, 8, "MONOCHROME2", NumberOfFrames="3")
    assert "2" in used(folder, "a.dcm", pages[0])
