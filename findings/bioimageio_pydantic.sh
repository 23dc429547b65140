#!/usr/bin/env bash
# bioimageio.spec: with the newest pydantic every model is invalid.
#
# One would expect: a model package that was valid yesterday is valid today; or, if a library that
# it needs is too new, the installation or the import says so.
#
# What happens: bioimageio.spec 0.5.12.0 allows any pydantic 2. Under 2.14 the same description that
# is valid under 2.13 is "failed", with a message about the serializer of file names and not about
# versions. Nothing is raised: a caller gets an object of another class.
#
# Who is hurt: whoever validates models today and takes the verdict for one on the model; a program
# that skips invalid models finds a zoo without any.
#
# This compendium keeps pydantic below 2.14.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/validate.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import pydantic
from bioimageio.spec import ValidationContext, __version__, build_description
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


described = model(*[dict(min=16, step=1)] * 2)
status = described.validation_summary.status
print(f"bioimageio.spec {__version__}, pydantic {pydantic.VERSION}: {status}")
if status == "failed":
    print(" ".join(described.get_reason().split())[:120])
sys.exit(status != sys.argv[1])
PYTHON
for case in "2.13.5 valid-format" "2.14.3 failed"; do
  read -r version status <<< "$case"
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check \
    bioimageio.spec==0.5.12.0 pydantic=="$version" onnx==1.23.2 numpy==2.4.6
  (cd "$folder" && "$version/bin/python" -W ignore validate.py "$status")
done
