"""A generator as an ONNX graph, written layer by layer, for programs that have no PyTorch.

The graph is made of plain operators in an opset and a file format that old runtimes read too: the
Java engines of deepImageJ go up to opset 18 and format 8, below what PyTorch's exporter writes. No
example image is traced, so no size is built in.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from lib.models.classifier import to_unit
from lib.models.cyclegan import Generator, InstanceNorm, ResidualBlock, ResizeConvolution

OPSET, FORMAT = 17, 8
INPUT, OUTPUT = "grey", "translated"
MULTIPLE = 4  # that the generator needs of height and width


def build_model(generator: Generator, facts: Mapping[str, str]) -> onnx.ModelProto:
    """The generator with all that comes before and after it.

    Input ``grey`` and output ``translated``: float32 (batch, 1, height, width), grey levels 0 to
    255 as of an 8-bit image, the output not rounded. All three lengths are free. Where height or
    width is no multiple of 4, the image is enlarged to the next one by repeating its last row or
    column, and what that adds is cut off again. Below 8 pixels a runtime refuses an image where
    edges are reflected.

    Parameters
    ----------
    facts : metadata of the file
    """
    graph = _Graph()
    size = graph.add("Shape", INPUT, start=2)
    missing = graph.add("Mod", graph.add("Neg", size), np.array([MULTIPLE]))
    pads = graph.add("Concat", np.zeros(6, np.int64), missing, axis=0)
    x = graph.add("Pad", INPUT, pads, mode="edge")
    x = graph.add("Sub", graph.add("Div", x, np.float32(127.5)), np.float32(1.0))
    x = graph.append(generator.last, graph.append(generator.body, x))
    x = graph.add("Add", graph.add("Tanh", x), np.float32(1.0))
    x = graph.add("Mul", x, np.float32(127.5))
    graph.add("Slice", x, np.zeros(2, np.int64), size, np.array([2, 3]), output=OUTPUT)
    shape = ["batch", 1, "height", "width"]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name in (INPUT, OUTPUT)]  # fmt: skip
    model = helper.make_model(
        helper.make_graph(graph.nodes, "translator", ends[:1], ends[1:], graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=FORMAT,
        producer_name="compendium export",
    )  # fmt: skip
    helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model, full_check=True)
    return model


def run_model(model: onnx.ModelProto, grey: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of grey levels, float32 (N, 1, H, W), on the CPU."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {INPUT: grey})[0]


@torch.inference_mode()
def expected(generator: Generator, grey: Tensor) -> Tensor:
    """What the graph is to give for float32 grey levels (N, 1, H, W), by PyTorch."""
    height, width = grey.shape[2:]
    padded = F.pad(grey, [0, -width % MULTIPLE, 0, -height % MULTIPLE], mode="replicate")
    return ((generator(to_unit(padded)) + 1.0) * 127.5)[..., :height, :width]


class _Graph:
    """Nodes and weights, in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str | np.ndarray, output: str = "", **settings) -> str:
        """Add a node, and arrays among its inputs as weights; the name of its output."""
        names = []
        for given in inputs:
            if not isinstance(given, str):
                name = f"weights{len(self.weights)}"
                self.weights.append(numpy_helper.from_array(np.asarray(given), name))
                given = name
            names.append(given)
        name = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], name, **settings))
        return name

    def append(self, layer: nn.Module, x: str) -> str:
        """Add a layer of a generator after ``x``; the name of its output."""
        match layer:
            case nn.Sequential():
                return reduce(lambda name, part: self.append(part, name), layer, x)
            case ResidualBlock():
                return self.add("Add", x, self.append(layer.body, x))
            case nn.ReLU():
                return self.add("Relu", x)
            case InstanceNorm():
                scale = np.ones(layer.num_channels, np.float32)
                shift = np.zeros_like(scale)
                return self.add("InstanceNormalization", x, scale, shift, epsilon=layer.eps)
            case nn.ConvTranspose2d():
                return self.add(
                    "ConvTranspose", x, *_weights(layer), strides=layer.stride,
                    pads=layer.padding * 2, output_padding=layer.output_padding,
                )  # fmt: skip
            case ResizeConvolution():
                twice = np.array([1, 1, 2, 2], np.float32)
                return self._convolve(layer, self.add(
                    "Resize", x, "", twice, mode="nearest", nearest_mode="floor",
                    coordinate_transformation_mode="asymmetric",
                ), (1, 1))  # fmt: skip
            case nn.PixelShuffle():  # channel by column by row: what ONNX calls CRD
                return self.add("DepthToSpace", x, blocksize=layer.upscale_factor, mode="CRD")
            case nn.Conv2d():  # opening and closing ones too: they compute the same in another way
                return self._convolve(layer, x, layer.stride)
        raise TypeError(f"no ONNX operator for {type(layer).__name__}")

    def _convolve(self, layer: nn.Conv2d, x: str, stride: tuple[int, ...]) -> str:
        around = layer.padding * 2
        if layer.padding_mode != "zeros":
            pads = np.array([0, 0, *layer.padding] * 2)
            x, around = self.add("Pad", x, pads, mode=layer.padding_mode), (0, 0, 0, 0)
        return self.add("Conv", x, *_weights(layer), strides=stride, pads=around)


def _weights(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy()
