#!/usr/bin/env bash
# Pillow and OpenCV: the same 16-bit file is white when the one reduces it to 8 bits, and black when
# the other does.
#
# One would expect: a reader that is asked for 8 bits scales what it reads, or refuses.
#
# What happens: Pillow's convert("L") and convert("RGB") clip at 255. Of a picture that uses 12 bits,
# nine tenths are white. OpenCV's imread, in its default mode, divides by 256: the same picture ends at
# 15 and is black. Neither warns. "Image.open(path).convert('RGB')" is how torchvision's ImageFolder
# and the data sets of most image-to-image networks open a file.
#
# Who is hurt: whoever trains on 16-bit PNG or TIFF of a microscope with a loader written for
# photographs. The network sees a white or a black page with some edges, and still trains.
#
# This compendium divides by what the device counts to.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import numpy as np
import PIL
from PIL import Image

print("Pillow", PIL.__version__, "OpenCV", cv2.__version__)
counts = np.linspace(0, 4095, 64 * 64).reshape(64, 64).round().astype(np.uint16)
right = counts / 4095 * 255
for name in ("a.png", "a.tif"):
    Image.fromarray(counts).save(name)
    seen = {
        "Pillow, convert('L')": np.asarray(Image.open(name).convert("L")),
        "Pillow, convert('RGB')": np.asarray(Image.open(name).convert("RGB")),
        "OpenCV, imread": cv2.imread(name),
        "OpenCV, in grey": cv2.imread(name, cv2.IMREAD_GRAYSCALE),
    }
    print(f"{name}: mean grey is {right.mean():.0f} of 255")
    for reader, array in seen.items():
        white, mean = (array == 255).mean(), array.mean()
        print(f"  {reader}: mean {mean:.0f}, white {white:.0%}, highest {array.max()}")
        assert mean > 240 if reader.startswith("Pillow") else array.max() == 15
PYTHON
