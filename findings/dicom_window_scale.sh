#!/usr/bin/env bash
# pydicom: the same picture through the same window is 0..4095, -2048..2047 or -1024..3071.
#
# One would expect: the window of a DICOM file says what is black and what is white, so apply_voi_lut
# gives the same range of grey for the same picture.
#
# What happens: the range of the result is that of the stored numbers: it depends on whether they are
# signed and on the rescale intercept, not on the window. Without a window the numbers come back as
# they are, in no scale at all. The usual next line, divide by the highest, times 255, astype(uint8),
# is right for the first only: in the others, black becomes a negative number and wraps round.
#
# Who is hurt: whoever turns DICOM of several manufacturers into PNG for a network with one loop. The
# files of one maker are right, those of another have bright shadows.
#
# This compendium brings the range that pydicom gives back to black and white, by the same rule.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pydicom==3.0.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian

print("pydicom", pydicom.__version__, "numpy", np.__version__)
counts = np.linspace(0, 2000, 64).reshape(8, 8).astype(np.uint16)


def dicom(pixels, centre=None, intercept=None):
    """12 bits in 16; the window, if any, is 2000 wide."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.Rows, data.Columns, data.SamplesPerPixel = *pixels.shape, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    if centre is not None:
        data.WindowCenter, data.WindowWidth = str(centre), "2000"
    if intercept is not None:
        data.RescaleIntercept, data.RescaleSlope = str(intercept), "1"
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OW"
    return data


FILES = {
    "unsigned": (dicom(counts, 1000), (0, 4095)),
    "signed": (dicom(counts.astype(np.int16), 1000), (-2048, 2047)),
    "unsigned, intercept -1024": (dicom(counts, 1000 - 1024, -1024), (-1024, 3071)),
    "unsigned, no window": (dicom(counts), (0, 2000)),
}
for name, (data, right) in FILES.items():
    grey = apply_voi_lut(apply_modality_lut(data.pixel_array, data), data)
    # The usual way to 8 bits; int16 first, so that the wrap is the same on every processor.
    eight = (grey / grey.max() * 255).astype(np.int16).astype(np.uint8)
    rises = bool((np.diff(eight.ravel().astype(int)) >= 0).all())
    print(f"{name}: {grey.min():.0f}..{grey.max():.0f}; in 8 bits dark to bright "
          f"{eight.ravel()[::21].tolist()}, {'rising' if rises else 'NOT rising'}")
    assert (round(float(grey.min())), round(float(grey.max()))) == right
    assert rises == (right[0] == 0)
PYTHON
