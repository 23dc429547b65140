#!/usr/bin/env bash
# safetensors: a transposed numpy array comes back scrambled.
#
# One would expect: save_file of safetensors.numpy keeps every numpy array as it is, or raises.
#
# What happens: it writes the memory in the order it lies in, with the shape the view shows. An
# image of height x width x colour, moved to colour x height x width (np.moveaxis, no copy), comes
# back with the same shape, type and mean, and pixels in wrong places. So does a transposed weight
# matrix. Nothing is raised or warned. np.ascontiguousarray before saving avoids it.
#
# Who is hurt: whoever keeps images or converted weights (from a framework that stores kernels the
# other way round) as safetensors from numpy. Checks of shape, type or mean do not notice.
#
# This compendium makes every tensor contiguous before it is written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  safetensors==0.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

print("safetensors", safetensors.__version__, "numpy", np.__version__)
row, column = np.mgrid[:4, :5]
image = np.stack([row, column, np.full_like(row, 9)], axis=-1).astype(np.uint8)
weights = np.arange(6, dtype=np.float32).reshape(2, 3)
views = {"image": np.moveaxis(image, -1, 0), "weights": weights.T}
save_file(views, "views.safetensors")
save_file({name: np.ascontiguousarray(view) for name, view in views.items()}, "copies.safetensors")
after, copies = load_file("views.safetensors"), load_file("copies.safetensors")
for name, view in views.items():
    same = float((after[name] == view).mean())
    print(f"{name}: saved {view.shape} {view.dtype}, read {after[name].shape} {after[name].dtype}")
    print(f"  mean {view.mean():.4f} and {after[name].mean():.4f}, equal values {same:.0%}")
    assert after[name].shape == view.shape
    assert after[name].dtype == view.dtype
    assert after[name].mean() == view.mean()
    assert same < 0.5
    assert (copies[name] == view).all()
print("weights saved", views["weights"].tolist(), "read", after["weights"].tolist())
PYTHON
