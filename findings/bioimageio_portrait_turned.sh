#!/usr/bin/env bash
# bioimageio.core: a portrait image is turned on its side for a landscape model.
#
# One would expect: a model whose description fixes its input to 64 x 96 pixels (y, x) refuses an
# image of 96 x 64 pixels, or fits it with a border.
#
# What happens: predict tries all orders of the axes until the lengths are large enough. The image
# is transposed, y becomes x, and the result comes back transposed. No error, no warning. An image
# of 80 x 60 pixels, too small whatever way, is refused, one of 200 x 300 taken as it is.
#
# Who is hurt: whoever runs photographs of both formats through one model. What the network learnt
# of up and down (light from one side, gravity, layers of a tissue) is turned for the portraits,
# mirrored too, and masks or positions that come back belong to a turned image.
#
# This compendium exports translators whose sizes are free alike in both directions, where no other
# order can fit better.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  bioimageio.core==0.11.0 bioimageio.spec==0.5.12.0 pydantic==2.13.5 \
  onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import onnx
from bioimageio.core import __version__, predict
from bioimageio.spec import ValidationContext, build_description
from onnx import TensorProto, helper


def model(height, width):
    """A network that hands its image on as it is."""
    shape = [None, 1, None, None]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "ab"]
    nodes = [helper.make_node("Identity", ["a"], ["b"])]
    graph = helper.make_graph(nodes, "as it is", ends[:1], ends[1:])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), "weights.onnx")
    np.save("test.npy", np.ones((1, 1, 64, 96), np.float32))

    def tensor(name, sizes):
        axes = [dict(type="batch"), dict(type="channel", channel_names=["grey"])]
        axes += [dict(type="space", id=axis, size=size) for axis, size in sizes.items()]
        return dict(id=name, axes=axes, test_tensor=dict(source="test.npy"))

    like = {axis: dict(tensor_id="a", axis_id=axis) for axis in "yx"}
    return build_description(
        dict(
            type="model", format_version="0.5.12", name="as it is",
            inputs=[tensor("a", dict(y=height, x=width))], outputs=[tensor("b", like)],
            weights=dict(onnx=dict(source="weights.onnx", opset_version=17)),
        ),
        context=ValidationContext(log_warnings=False),
    )  # fmt: skip


def through(height, width):
    """What comes out of an image that is bright at the top."""
    image = np.zeros((height, width), np.float32)
    image[: height // 4] = 1
    (out,) = predict(model=landscape, inputs=image).members.values()
    return image, out.to_numpy()[0, 0]


print("bioimageio.core", __version__)
landscape = model(64, 96)
for height, width in ((64, 96), (96, 64), (200, 300)):
    image, out = through(height, width)
    bright = [side for side, part in (("top", out[0]), ("left", out[:, 0])) if part.min() == 1]
    print(f"{height} x {width}, bright at the top: gives {out.shape}, bright at the {bright[0]}")
    assert np.array_equal(out, image.T if height == 96 else image)
try:
    through(80, 60)
except ValueError as error:
    print(f"80 x 60: {error}"[:100])
else:
    raise AssertionError("80 x 60 is taken too")
PYTHON
