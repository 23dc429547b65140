#!/usr/bin/env bash
# PyTorch's ONNX export: adaptive pooling stays at the size it was traced with.
#
# One would expect: a network exported with free height and width (dynamic_shapes) computes the same
# as in PyTorch at every size, or the export says that it cannot.
#
# What happens: adaptive pooling to a 2 x 2 grid becomes ordinary pooling with the window of the
# example image. The export succeeds, and the model declares free sizes. Traced at 48 x 48, a
# 96 x 96 image gives a 4 x 4 grid instead of 2 x 2. Where the grid is enlarged to the image again
# (pyramid pooling, as in segmentation networks), even the shape is right and only values are wrong.
# Pooling to 1 x 1 is exported well.
#
# Who is hurt: whoever exports on small tiles and runs on whole fields, as clinics and viewers do.
# A check at the traced size passes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.15.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import onnx
import onnxruntime
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

torch.set_num_threads(1)
TRACED, SIZES = 48, (48, 50, 96)


class Grid(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.side = side

    def forward(self, x):
        return adaptive_avg_pool2d(x, self.side)


class Pyramid(nn.Module):
    def forward(self, x):
        return x + interpolate(adaptive_avg_pool2d(x, 2), size=x.shape[-2:], mode="bilinear")


def compare(name, network):
    """Shape in PyTorch and ONNX Runtime and greatest difference (None: shapes differ) by size."""
    free = {"x": {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}}
    torch.onnx.export(
        network, (torch.rand(1, 1, TRACED, TRACED),), "network.onnx", input_names=["x"],
        dynamic_shapes=free, dynamo=True, verbose=False,
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession("network.onnx", options)
    print(f"{name}: declared input", session.get_inputs()[0].shape)
    found = {}
    for size in SIZES:
        # Brighter to the right, as an unevenly lit field.
        image = torch.linspace(0, 1, size).expand(1, 1, size, size).contiguous()
        here = network(image).numpy()
        there = session.run(None, {"x": image.numpy()})[0]
        same = here.shape == there.shape
        found[size] = float(abs(here - there).max()) if same else None
        print(
            f"  {size} x {size}: PyTorch {here.shape[-2:]}, ONNX Runtime {there.shape[-2:]}, "
            + (f"greatest difference {found[size]:.4f}" if same else "shapes differ")
        )
    return found


print("torch", torch.__version__, "onnx", onnx.__version__, "runtime", onnxruntime.__version__)
one = compare("pooled to 1 x 1", Grid(1).eval())
two = compare("pooled to 2 x 2", Grid(2).eval())
pyramid = compare("pyramid", Pyramid().eval())
assert max(one.values()) < 1e-5
assert two[48] < 1e-5
assert two[50] > 0.005
assert two[96] is None
assert pyramid[48] < 1e-5
assert pyramid[96] > 0.05
PYTHON
