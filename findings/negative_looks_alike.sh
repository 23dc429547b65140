#!/usr/bin/env bash
# piq: a photographic negative is nearer to its original than a picture moved by one pixel.
#
# One would expect: a tile with pale nuclei on dark ground is a bad rendering of one with dark
# nuclei on pale ground, and measures of perceived quality say so.
#
# What happens: HaarPSI compares the size of edges and not their sign: the negative has more than
# 0.8 of 1, the picture moved by one pixel less. MS-GMSD (0 is best) puts the negative first, too,
# and red exchanged for blue at next to nothing: it sees luma alone. Its documentation says that
# colour counts by default ("chromatic ... Default: True"), but the default is False. PSNR, SSIM and
# MDSI put the negative last. Two black tiles, which are equal, have an infinite HaarPSI, and so has
# every mean that they are in.
#
# Who is hurt: whoever judges stain translation or virtual staining by these two measures: swapped
# dark and pale, or another stain, costs next to nothing.
#
# This compendium gives every measure beside what the images are for, the F1 of nuclei.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  piq==0.8.0 torch==2.15.0 torchvision==0.29.2 scikit-image==0.26.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import inspect
import re
from importlib.metadata import version

import piq
import torch
from skimage import data

torch.set_num_threads(1)
print("piq", version("piq"), "torch", torch.__version__)
section = torch.from_numpy(data.immunohistochemistry()).permute(2, 0, 1)[None].float()
measures = {
    "PSNR": piq.psnr, "SSIM": piq.ssim, "MS-GMSD": piq.multi_scale_gmsd, "MDSI": piq.mdsi,
    "HaarPSI": piq.haarpsi,
}
shown = {
    "negative": (255 - section, section),
    "moved by 1 px": (section[..., 1:], section[..., :-1]),
    "red for blue": (section.flip(1), section), "itself": (section, section),
}
found = {
    name: {m: of(*pair, data_range=255.0).item() for m, of in measures.items()}
    for name, pair in shown.items()
}
for name, values in found.items():
    print(name.ljust(14), ", ".join(f"{m} {value:.3f}" for m, value in values.items()))
colour = piq.multi_scale_gmsd(*shown["red for blue"], data_range=255.0, chromatic=True).item()
print(f"MS-GMSD of red for blue, with colour: {colour:.3f}")
default = inspect.signature(piq.multi_scale_gmsd).parameters["chromatic"].default
told = re.search(r"chromatic:.*?Default: (\w+)", piq.multi_scale_gmsd.__doc__, re.S)[1]
print("chromatic is", default, "by default, the documentation says", told)
black = torch.zeros(1, 3, 64, 64)
print("two black tiles: HaarPSI", piq.haarpsi(black, black).item())
negative, moved = found["negative"], found["moved by 1 px"]
assert negative["HaarPSI"] > 0.8 > moved["HaarPSI"]
assert negative["MS-GMSD"] < moved["MS-GMSD"]
assert negative["SSIM"] < moved["SSIM"] and negative["PSNR"] < moved["PSNR"]
assert negative["MDSI"] > moved["MDSI"]
assert (default, told) == (False, "True")
assert colour > 3 * found["red for blue"]["MS-GMSD"]
assert piq.haarpsi(black, black).isinf()
PYTHON
