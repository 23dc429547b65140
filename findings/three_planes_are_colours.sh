#!/usr/bin/env bash
# scikit-image: a stack of three focal planes comes back as one colour image, one of five does not.
#
# One would expect: imread keeps the axes of a TIFF that names them, whatever their length.
#
# What happens: skimage.io.imread moves an axis of length 3 or 4 to the end, because it might be
# colour. Stacks of 2, 5 and 7 planes are (planes, H, W); of 3 and 4 they are (H, W, planes), although
# the file says slices=3. rgb2gray then mixes the planes with the weights of red, green and blue. The
# first plane is image[0] for five planes, and the first row of pixels for three.
#
# Who is hurt: time-lapse incubators that take three focal planes, three-position autofocus, short
# time series. A pipeline that was tried on seven planes runs on three, without an error.
#
# This compendium takes the central plane of what the file calls planes, and says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  scikit-image==0.26.0 tifffile==2026.3.3 imageio==2.38.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import skimage
import skimage.io
import tifffile
from skimage.color import rgb2gray

print("scikit-image", skimage.__version__, "tifffile", tifffile.__version__)
for number in (2, 3, 4, 5, 7):
    planes = np.stack([np.full((40, 60), 20 * (k + 1), np.uint8) for k in range(number)])
    tifffile.imwrite("stack.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile("stack.tif") as tiff:
        axes, shape = tiff.series[0].axes, tiff.series[0].shape
    seen = skimage.io.imread("stack.tif")
    print(f"{number} planes: the file has {axes} {shape}, scikit-image returns {seen.shape}")
    assert seen.shape == ((40, 60, number) if number in (3, 4) else (number, 40, 60))
    if number == 3:
        grey = float(rgb2gray(seen)[0, 0] * 255)
        print(f"  grey of planes 20, 40, 60: {grey:.1f}, no plane of them")
        assert abs(grey - (0.2125 * 20 + 0.7154 * 40 + 0.0721 * 60)) < 0.1
PYTHON
