"""The timm networks that classifiers and feature losses are made of, with their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import timm
from safetensors import SafetensorError, safe_open
from torch import nn

from engine.errors import InputError
from lib.models import imagenet


def build_network(name: str, channels: int, weights: str, classes: int = 1) -> nn.Module:
    """A timm network with ``channels`` inputs and ``classes`` logits.

    Parameters
    ----------
    weights
        ``""`` for random weights, ``"timm"`` for the published ones (downloaded once),
        ``"imagenet"`` for those of ``lib.models.imagenet`` (one network, no download), or the path
        of a local safetensors file. With one channel the stem's three are summed.

    Raises
    ------
    InputError
        Unknown network, a file that is missing or does not fit, or weights that cannot be had.
    """
    if name not in timm.list_models():
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "timm.list_models()"
        raise InputError(f"classifier '{name}': timm has no such network. Some it has: {near}.")
    shape = dict(in_chans=channels, num_classes=classes)
    if not weights:
        return timm.create_model(name, **shape)
    if weights == "imagenet":
        if name != imagenet.NETWORK:
            raise InputError(
                f"classifier '{name}': weights 'imagenet' are those of '{imagenet.NETWORK}' alone. "
                "Name that network, or set the weights to 'timm', which downloads them."
            )
        return imagenet.imagenet_network(channels, classes)
    if weights == "timm":
        try:
            return timm.create_model(name, pretrained=True, **shape)
        except Exception as error:  # the hub client raises a dozen unrelated kinds
            raise InputError(
                f"classifier '{name}': the pretrained weights cannot be had "
                f"({type(error).__name__}). Set classifier_weights (texture_network_weights) to a "
                "local safetensors file of this network, or to '' to train from scratch; "
                f"'{imagenet.NETWORK}' has them without a download, as 'imagenet'."
            ) from error
    path = Path(weights).expanduser()
    if path.suffix != ".safetensors" or not path.is_file():
        raise InputError(
            f"{weights}: no such safetensors file. Give the path of a .safetensors file of "
            f"'{name}', 'timm' to download it, or '' to train from scratch."
        )
    network = timm.create_model(name, **shape)
    try:
        with safe_open(path, framework="pt") as stream:
            given = set(stream.keys())
        # timm passes over tensors it misses, and would train from random ones without a word.
        missing = [key for key in network.state_dict() if key not in given | _head(network)]
        if missing:
            raise KeyError(f"{len(missing)} tensors are missing, first {missing[0]}")
        overlay = dict(file=str(path))
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **shape)
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise InputError(
            f"{path}: not the weights of '{name}' ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}). Use a safetensors file saved from this network."
        ) from error


def weights_of(network: nn.Module) -> dict[str, np.ndarray]:
    """Weights by name, as part of a key."""
    return {name: weight.cpu().numpy().copy() for name, weight in network.state_dict().items()}


def _head(network: nn.Module) -> set[str]:
    """Names of the weights that belong to the classes and are never taken over."""
    names = network.pretrained_cfg["classifier"]
    names = (names,) if isinstance(names, str) else names
    return {key for key in network.state_dict() if key.startswith(tuple(names))}
