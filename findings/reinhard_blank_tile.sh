#!/usr/bin/env bash
# torchstain: Reinhard normalisation turns a white tile black, and glass with camera noise purple.
#
# One would expect: a tile without tissue stays white, or an error says that there is nothing to
# normalise.
#
# What happens: the method divides by the standard deviation of the tile's colours. On pure white
# that is 0 / 0, and the nan becomes the byte 0: the tile is black. Noise of 238 to 245 is
# stretched to the spread and mean of the target: empty glass looks like stained tissue in the mean.
# Only RuntimeWarnings of numpy are seen. Macenko's method of the same package stops on both tiles,
# with "Eigenvalues did not converge".
#
# Who is hurt: whole-slide pipelines that normalise all tiles, also those at the rim of a slide. A
# filter that looks for dark or coloured tiles after normalisation keeps the blank ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torchstain==1.4.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
from torchstain.numpy.normalizers.macenko import NumpyMacenkoNormalizer
from torchstain.numpy.normalizers.reinhard import NumpyReinhardNormalizer

warnings.simplefilter("ignore", RuntimeWarning)
print("torchstain", version("torchstain"), "numpy", np.__version__)
SIDE = 64
chance = np.random.default_rng(0)

# A tile with two stains, each absorbing in its own way (Beer-Lambert), and camera noise.
absorption = np.array([[0.65, 0.07], [0.70, 0.99], [0.29, 0.11]])
amount = chance.uniform(0.2, 1.2, (2, SIDE * SIDE))
light = 240 * np.exp(-absorption @ amount) + chance.normal(0, 1.5, (3, SIDE * SIDE))
tissue = np.clip(light, 0, 255).T.reshape(SIDE, SIDE, 3).astype(np.uint8)
tiles = {
    "white": np.full((SIDE, SIDE, 3), 255, np.uint8),
    "glass": chance.integers(238, 246, (SIDE, SIDE, 3)).astype(np.uint8),
}
reinhard, macenko = NumpyReinhardNormalizer(), NumpyMacenkoNormalizer()
reinhard.fit(tissue)
macenko.fit(tissue)
goal = tissue.mean((0, 1))
print("target: mean RGB", goal.round().astype(int).tolist())
after = {}
for name, tile in tiles.items():
    after[name] = reinhard.normalize(tile).mean((0, 1))
    before = tile.mean((0, 1)).round().astype(int).tolist()
    print(f"{name}: mean RGB {before}, Reinhard {after[name].round().astype(int).tolist()}")
    try:
        macenko.normalize(tile)
        raise SystemExit("Macenko's method gives an image now")
    except np.linalg.LinAlgError as error:
        print(f"  Macenko raises {type(error).__name__}: {error}")
assert (after["white"] == 0).all()
assert np.abs(after["glass"] - goal).max() < 5
PYTHON
