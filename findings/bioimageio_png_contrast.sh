#!/usr/bin/env bash
# bioimageio.core: a prediction saved as PNG is stretched to the whole range, each image by itself.
#
# One would expect: predict(save_output_path="….png") keeps grey levels 0 to 255 as they are, or
# refuses numbers that are no bytes.
#
# What happens: float images are stretched so that their darkest pixel is 0 and their brightest 255,
# each image by its own two. An image and one twice as bright are the same file. A warning exists,
# but the package switches its messages off when it is imported as a library. As TIFF the numbers
# stay.
#
# Who is hurt: whoever measures or compares what a network made (denoised, restored, translated,
# virtually stained) in PNG files: brightness, contrast and background are gone.
#
# This compendium writes the pictures of a package itself, and its recipe saves levels as they are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  bioimageio.core==0.11.0 bioimageio.spec==0.5.12.0 pydantic==2.13.5 \
  onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON' 2> messages.txt
import numpy as np
import onnx
from bioimageio.core import __version__, predict
from bioimageio.spec import ValidationContext, build_description
from imageio.v3 import imread
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


print("bioimageio.core", __version__)
free = model(*[dict(min=16, step=1)] * 2)
dim = np.tile(np.linspace(20, 100, 96, dtype=np.float32), (64, 1))
found = {}
for suffix in ("tif", "png"):
    for name, image in dict(dim=dim, bright=2 * dim).items():
        file = f"{name}.{suffix}"
        predict(model=free, inputs=image, save_output_path=file)
        found[name, suffix] = imread(file).squeeze()
        low, high = found[name, suffix].min(), found[name, suffix].max()
        print(f"{image.min():.0f} to {image.max():.0f}, saved as {file}: {low:.0f} to {high:.0f}")
assert np.array_equal(found["dim", "tif"], dim)
assert np.array_equal(found["bright", "tif"], 2 * dim)
assert found["dim", "png"].min() == 0
assert found["dim", "png"].max() == 255
assert np.array_equal(found["dim", "png"], found["bright", "png"])
PYTHON
echo "messages: $(wc -c < messages.txt) bytes"
test ! -s messages.txt
