#!/usr/bin/env bash
# OpenCV and Pillow: a TIFF with alpha comes back with its colours multiplied or divided by alpha.
#
# One would expect: "unchanged" and "asarray" give the numbers that the file holds, as they do for
# PNG; or all TIFFs with alpha are brought to one convention.
#
# What happens: TIFF says of alpha whether colours were multiplied by it already. OpenCV's
# IMREAD_UNCHANGED multiplies those that were not, so a grey of 100 at half transparency reads as 50.
# Pillow divides those that were, so 50 reads as 100. tifffile leaves both. PNG is left alone by all.
# A picture laid on white afterwards, with the same formula for each reader, has two brightnesses.
#
# Who is hurt: whoever composites exports of drawing and slide software on a background, and whoever
# saves a mask as alpha: outside of it, OpenCV has already set all colours to 0.
#
# This compendium asks the file which of the two it is, and lays it on white once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 opencv-python-headless==5.0.0.93 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image

print("Pillow", PIL.__version__, "OpenCV", cv2.__version__, "tifffile", tifffile.__version__)
READERS = {
    "tifffile": lambda name: tifffile.imread(name),
    "Pillow": lambda name: np.asarray(Image.open(name)),
    "OpenCV": lambda name: cv2.imread(name, cv2.IMREAD_UNCHANGED),
}


def stored(grey):
    """A plain grey, half transparent."""
    return np.dstack([np.full((16, 16), level, np.uint8) for level in (grey, grey, grey, 128)])


RIGHT = {"unassalpha": (100, dict(tifffile=100, Pillow=100, OpenCV=50)),
         "assocalpha": (50, dict(tifffile=50, Pillow=100, OpenCV=50))}
for kind, (grey, right) in RIGHT.items():
    tifffile.imwrite("a.tif", stored(grey), photometric="rgb", extrasamples=[kind])
    seen = {reader: int(read("a.tif")[0, 0, 0]) for reader, read in READERS.items()}
    print(f"TIFF, {kind}, holds {grey}: {seen}")
    assert all(abs(seen[reader] - right[reader]) <= 1 for reader in right)
Image.fromarray(stored(100)).save("a.png")
seen = {reader: int(READERS[reader]("a.png")[0, 0, 0]) for reader in ("Pillow", "OpenCV")}
print(f"PNG holds 100: {seen}")
assert set(seen.values()) == {100}
PYTHON
