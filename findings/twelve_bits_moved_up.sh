#!/usr/bin/env bash
# Pillow and OpenCV: 12 bits are multiplied by 16 in one format by one, in another by the other.
#
# One would expect: two files that both declare 12 bits and hold the same numbers give the same
# numbers, in both readers.
#
# What happens: of a packed 12-bit TIFF, Pillow returns 0..4095 and OpenCV 0..65520. Of a 12-bit
# JPEG 2000, OpenCV returns 0..4095 and Pillow 0..65520. tifffile and imagecodecs return what was
# stored, from both.
#
# Who is hurt: whoever divides by 4095 because the files say 12 bits, or by 65535 because the array
# says uint16: depending on format and reader the picture is white, right or black. Two devices of one
# depth differ by 16 times if one exports JPEG 2000.
#
# This compendium reads both with imagecodecs and divides by the declared depth.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 opencv-python-headless==5.0.0.93 tifffile==2026.3.3 \
  imagecodecs==2026.3.6 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import struct

import cv2
import imagecodecs
import numpy as np
import PIL
import tifffile
from PIL import Image

print("Pillow", PIL.__version__, "OpenCV", cv2.__version__, "tifffile", tifffile.__version__,
      "imagecodecs", imagecodecs.__version__)
SIDE = 64
counts = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)  # 0..4095
with open("a.jp2", "wb") as stream:
    stream.write(imagecodecs.jpeg2k_encode(counts, level=0, bitspersample=12, codecformat="jp2"))
bits = np.unpackbits(counts.astype(">u2").view(np.uint8), axis=1).reshape(SIDE, SIDE, 16)[..., 4:]
packed = np.packbits(bits.reshape(SIDE, -1), axis=1).tobytes()
tags = {256: SIDE, 257: SIDE, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: SIDE, 279: len(packed)}
entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
with open("a.tif", "wb") as stream:
    stream.write(struct.pack("<2sHI", b"II", 42, 8 + len(packed)) + packed)
    stream.write(struct.pack("<H", len(tags)) + entries + bytes(4))

READERS = {
    "Pillow": lambda name: np.asarray(Image.open(name)),
    "OpenCV": lambda name: cv2.imread(name, cv2.IMREAD_UNCHANGED),
    "tifffile, imagecodecs": lambda name: (
        tifffile.imread(name) if name.endswith("tif") else imagecodecs.imread(name)
    ),
}
RIGHT = {"a.tif": (1, 16, 1), "a.jp2": (16, 1, 1)}
for name, factors in RIGHT.items():
    for (reader, read), factor in zip(READERS.items(), factors, strict=True):
        seen = read(name)
        print(f"{name}: {reader} {seen.dtype} {seen.min()}..{seen.max()}, {factor} times the counts")
        assert (seen == counts.astype(int) * factor).all()
PYTHON
