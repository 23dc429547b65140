#!/usr/bin/env bash
# piq: SSIM and MDSI jump where an image has 384 pixels instead of 383.
#
# One would expect: the same picture with the same noise has about the same similarity to itself
# when one row and one column more are looked at.
#
# What happens: from 384 pixels on both measures look at a picture of half the size, further on of a
# third and less. Noise is averaged away there: SSIM rises by 0.26 and MDSI falls by a quarter. For
# SSIM it is the default (downsample=True), for MDSI it cannot be turned off. scikit-image does not
# do so.
#
# Who is hurt: whoever compares a number for tiles of 256 pixels with a published one for 512, or
# evaluates fields after training on tiles.
#
# This compendium turns it off for SSIM and compares MDSI within one size only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  piq==0.8.0 torch==2.15.0 torchvision==0.29.2 scikit-image==0.26.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import piq
import torch
from skimage import data
from skimage.metrics import structural_similarity

torch.set_num_threads(1)
print("piq", version("piq"), "torch", torch.__version__, "scikit-image", version("scikit-image"))
section = data.immunohistochemistry()
noise = np.random.default_rng(0).normal(0, 15, section.shape)
noisy = np.clip(section + noise, 0, 255).round().astype(np.uint8)
values = {}
for side in (256, 383, 384, 512):
    cut = [image[:side, :side] for image in (noisy, section)]
    a, b = (torch.from_numpy(x.copy()).permute(2, 0, 1)[None].float() for x in cut)
    other = structural_similarity(*cut, channel_axis=2, gaussian_weights=True, sigma=1.5,
                                  use_sample_covariance=False, data_range=255)
    values[side] = [of(a, b, data_range=255.0).item() for of in (piq.ssim, piq.mdsi)] + [other]
    told = "{} px: SSIM {:.3f}, MDSI {:.3f}; SSIM of scikit-image {:.3f}"
    print(told.format(side, *values[side]))
assert values[384][0] - values[383][0] > 0.2
assert values[383][1] - values[384][1] > 0.08
assert abs(values[384][2] - values[383][2]) < 0.005
PYTHON
