#!/usr/bin/env bash
# tifffile, scikit-image, imageio: every file of an OME-TIFF set reads as the first image of the set.
#
# One would expect: imread of the third file gives the picture that lies in the third file.
#
# What happens: microscopes write one file a position or time point, and each describes the whole
# set. imread of any of them opens the others and returns all images; its first plane is always that
# of the first file. A file that was copied away from its set gives black planes before its own: the
# first plane is all 0, and only a line in the log says so. Pillow and OpenCV return the file's own
# picture.
#
# Who is hurt: whoever reads a folder of such files and takes the first plane of each: as many copies
# of one picture as there are files, each with the label of another. Of files copied one by one, all
# are black.
#
# This compendium reads the pages of the file itself and never opens another.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 scikit-image==0.26.0 imageio==2.38.1 pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import os

import imageio.v3
import numpy as np
import skimage
import skimage.io
import tifffile
from PIL import Image

print("tifffile", tifffile.__version__, "scikit-image", skimage.__version__,
      "imageio", imageio.__version__)
NUMBER, SIDE = 5, 32
names = [f"time_{k}.ome.tif" for k in range(NUMBER)]
UUID = "urn:uuid:00000000-0000-4000-8000-00000000000"
parts = "".join(
    f'<TiffData FirstT="{k}" FirstZ="0" FirstC="0" IFD="0" PlaneCount="1">'
    f'<UUID FileName="{name}">{UUID}{k}</UUID></TiffData>'
    for k, name in enumerate(names)
)
for k, name in enumerate(names):
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{UUID}{k}">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="{SIDE}" SizeY="{SIDE}" SizeC="1" SizeZ="1" SizeT="{NUMBER}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{parts}</Pixels></Image></OME>'
    )
    tifffile.imwrite(name, np.full((SIDE, SIDE), 10 * (k + 1), np.uint8), description=xml,
                     metadata=None)
READERS = {
    "tifffile": tifffile.imread, "scikit-image": skimage.io.imread, "imageio": imageio.v3.imread,
    "Pillow": lambda name: np.asarray(Image.open(name)),
}


def first(name):
    """Grey level of the first plane that each reader returns."""
    read = {reader: np.asarray(function(name)) for reader, function in READERS.items()}
    return {reader: int(array.reshape(-1, SIDE, SIDE)[0, 0, 0]) for reader, array in read.items()}


for k, name in enumerate(names):
    seen = first(name)
    print(f"{name}: holds {10 * (k + 1)}; first plane {seen}")
    assert seen == {"tifffile": 10, "scikit-image": 10, "imageio": 10, "Pillow": 10 * (k + 1)}
os.mkdir("copied")
os.rename(names[2], "copied/mine.tif")
seen = first("copied/mine.tif")
print(f"the third one alone: holds 30; first plane {seen}")
assert seen == {"tifffile": 0, "scikit-image": 0, "imageio": 0, "Pillow": 30}
PYTHON
