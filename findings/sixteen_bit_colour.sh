#!/usr/bin/env bash
# Pillow, scikit-image, imageio: 16-bit PNG of colour is read as 8 bits, 16-bit PNG of grey is not.
#
# One would expect: a 16-bit PNG gives uint16, in grey and in colour, or a warning.
#
# What happens: Pillow has no mode for colour of 16 bits and keeps the upper half of each number.
# scikit-image and imageio read PNG through Pillow. A camera of 12 bits counts to 4095, so the upper
# half of its numbers has 16 levels: 4 of 12 bits are left, in uint8 that looks like any other, and
# the picture is almost black. Grey of the same camera keeps all of its 4096 levels. OpenCV with
# IMREAD_UNCHANGED and imagecodecs keep both.
#
# Who is hurt: whoever exports colour of a scientific camera losslessly. Between two devices, one of
# grey and one of colour, the number of levels differs by 256 times.
#
# This compendium decodes PNG of 16 bits with imagecodecs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 scikit-image==0.26.0 imageio==2.38.1 imagecodecs==2026.3.6 \
  opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import imagecodecs
import imageio.v3
import numpy as np
import PIL
import skimage.io
from PIL import Image

print("Pillow", PIL.__version__, "scikit-image", skimage.__version__, "OpenCV", cv2.__version__)
grey = np.arange(4096, dtype=np.uint16).reshape(64, 64)
for name, pixels in (("grey", grey), ("colour", np.dstack([grey] * 3))):
    with open("a.png", "wb") as stream:
        stream.write(imagecodecs.png_encode(pixels))
    seen = {
        "Pillow": np.asarray(Image.open("a.png")),
        "scikit-image": skimage.io.imread("a.png"),
        "imageio": imageio.v3.imread("a.png"),
        "OpenCV": cv2.imread("a.png", cv2.IMREAD_UNCHANGED),
        "imagecodecs": imagecodecs.imread("a.png"),
    }
    print(f"{name}, 12 bits in a 16-bit PNG, {len(np.unique(pixels))} levels up to {pixels.max()}")
    for reader, array in seen.items():
        levels = len(np.unique(array))
        print(f"  {reader}: {array.dtype}, {levels} levels up to {array.max()}")
        lost = name == "colour" and reader in ("Pillow", "scikit-image", "imageio")
        assert (array.dtype, levels) == ((np.uint8, 16) if lost else (np.uint16, 4096))
PYTHON
