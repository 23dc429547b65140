#!/usr/bin/env bash
# scikit-image: counting cells by the peaks of their distance map leaves out cells at the edge.
#
# One would expect: the usual recipe (distance to the outside, its peaks as seeds, watershed) gives
# each separate cell of a correct mask a number.
#
# What happens: peak_local_max leaves out peaks nearer to the edge of the picture than its
# min_distance, unless it is told exclude_border=False. A cell cut by the edge has its peak there, no
# seed, and is gone: no warning, and the mask that watershed gives is smaller than the one it was
# given. In one large picture few cells are lost; cut into tiles, as networks want them, one in
# four was here.
#
# Who is hurt: whoever counts cells or matches instances tile by tile. A perfect mask has an average
# precision below 1, and small tiles count fewer cells than large ones of the same dish.
#
# This compendium seeds at the edge, too, and tests that no area of a mask is lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

for name in ("scikit-image", "scipy", "numpy"):
    print(name, version(name))

SIDE, STEP, RADIUS, APART = 256, 17, 6, 5
rows, columns = np.mgrid[:SIDE, :SIDE]
dish = np.zeros((SIDE, SIDE), bool)
for y in range(8, SIDE, STEP):
    for x in range(8, SIDE, STEP):
        dish |= (rows - y) ** 2 + (columns - x) ** 2 <= RADIUS**2


def split(mask, **options):
    distance = ndimage.distance_transform_edt(mask)
    separate = ndimage.label(mask)[0]
    peaks = peak_local_max(distance, min_distance=APART, labels=separate, **options)
    seeds = np.zeros(mask.shape, int)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, seeds, mask=mask)


def lost(tile, **options):
    """Separate cells of a mask, and those of which nothing is left."""
    separate, count = ndimage.label(tile)
    kept = np.unique(separate[split(tile, **options) > 0])
    return count, count - len(kept[kept > 0])


share = {}
for side in (256, 64):
    tiles = [dish[y : y + side, x : x + side] for y in range(0, SIDE, side)
             for x in range(0, SIDE, side)]
    for name, options in (("default", {}), ("exclude_border=False", dict(exclude_border=False))):
        cells, gone = np.sum([lost(tile, **options) for tile in tiles], axis=0)
        share[side, name] = gone / cells
        print(f"tiles of {side} px, {name}: {cells} separate cells, {gone} lost")
assert share[256, "exclude_border=False"] == share[64, "exclude_border=False"] == 0
assert share[64, "default"] > 0.15
assert share[64, "default"] > 2 * share[256, "default"]
PYTHON
