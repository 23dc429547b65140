#!/usr/bin/env bash
# Pillow: the same grey picture has opposite polarity at 8 and at 16 bits.
#
# One would expect: a grey TIFF whose header says "0 is white" (photometric MinIsWhite) is treated
# alike at every depth: always turned round on reading, or never.
#
# What happens: Pillow turns the values round at 8 bits and leaves them at 16. The same picture is
# read as 255, 205, 0 from one file and as 0, 50, 255 (in 8 bits) from the other. tifffile leaves
# both as stored. So 8 bits differ between the two readers and 16 bits do not.
#
# Who is hurt: whoever mixes depths, as when one camera exports 8 bits and another 16, or when one
# program reduces a file to 8 bits and another reads it. Half of the images are negatives, and a
# network can tell the devices apart by polarity alone.
#
# This compendium reads TIFFs of all depths with tifffile and turns them round itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import PIL
import tifffile
from PIL import Image

print("Pillow", PIL.__version__, "tifffile", tifffile.__version__)
picture = np.array([[0, 50, 255]] * 3, np.uint8)
for depth, stored in ((8, picture), (16, picture.astype(np.uint16) * 257)):
    name = f"{depth}.tif"
    tifffile.imwrite(name, stored, photometric="miniswhite")
    with Image.open(name) as image:
        pillow, mode = np.asarray(image), image.mode
    raw = tifffile.imread(name)
    print(f"{depth} bits: stored {stored[0].tolist()}")
    print(f"  Pillow ({mode}) {pillow[0].tolist()}, tifffile {raw[0].tolist()}")
    assert (raw == stored).all()
    if depth == 8:
        assert (pillow == 255 - stored).all()
    else:
        assert (pillow == stored).all()
PYTHON
