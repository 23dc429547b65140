"""The classifier: any timm network with one logit, calibrated and with a frozen threshold."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

from lib.models.calibration import Calibration, match_called
from lib.params import InputError, Params


def build_network(name: str, channels: int, weights: str, classes: int = 1) -> nn.Module:
    """A timm network with ``channels`` inputs and ``classes`` logits.

    Parameters
    ----------
    weights
        ``""`` for random weights, ``"timm"`` for the published ones (downloaded once), or the
        path of a local safetensors file. With one channel the stem's three are summed.

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
    if weights == "timm":
        try:
            return timm.create_model(name, pretrained=True, **shape)
        except Exception as error:  # the hub client raises a dozen unrelated kinds
            raise InputError(
                f"classifier '{name}': the pretrained weights cannot be had "
                f"({type(error).__name__}). Set classifier_weights (texture_network_weights) to a "
                "local safetensors file of this network, or to '' to train from scratch."
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


def check_networks(params: Params) -> None:
    """Build every named network once, with its pretrained weights, so that nothing fails later.

    Raises
    ------
    InputError
        As ``build_network``.
    """
    names = [params.classifier, *params.compared_classifiers.split(",")]
    for name in filter(None, names):
        build_network(name, 3, params.classifier_weights)
    if params.texture_loss == "efficientnet":
        build_network(params.texture_network, 3, params.texture_network_weights)


def _head(network: nn.Module) -> set[str]:
    """Names of the weights that belong to the classes and are never taken over."""
    names = network.pretrained_cfg["classifier"]
    names = (names,) if isinstance(names, str) else names
    return {key for key in network.state_dict() if key.startswith(tuple(names))}


def to_unit(stack: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1]."""
    return stack.float() / 127.5 - 1.0


def soften(stack: Tensor, sigma: float) -> Tensor:
    """Blur a uint8 stack (N, C, H, W) by a Gaussian of ``sigma`` pixels; 0 leaves it as it is.

    A translator gets the coarse structure right long before the finest grain. A classifier that is
    not shown the grain, in any domain, cannot be misled by it.
    """
    if not sigma:
        return stack
    size = 2 * int(3 * sigma) + 1
    return torch.cat([gaussian_blur(part, [size] * 2, [sigma] * 2) for part in stack.split(256)])


def predict_logits(network: nn.Module, stack: Tensor) -> np.ndarray:
    """Logits (N,) of a uint8 stack (N, C, H, W); the network is left in evaluation mode."""
    batches = prediction_batches(network, stack)
    with torch.inference_mode():
        joined = torch.cat([network(images)[:, 0] for images in batches])
    return joined.float().cpu().numpy().astype(np.float64)


def prediction_batches(network: nn.Module, stack: Tensor, batch: int = 32) -> Iterator[Tensor]:
    """Batches in [-1, 1] on the network's device; the network is put in evaluation mode."""
    # Channels last and small batches: twice as fast on a CPU, whose cache they fit.
    with torch.inference_mode(False):  # else its weights could serve no texture loss any more
        network.eval().to(memory_format=torch.channels_last)
    weight = next(network.parameters())
    return (
        to_unit(part.to(weight.device)).to(weight).contiguous(memory_format=torch.channels_last)
        for part in stack.split(batch)
    )


@dataclass
class FoldEnsemble:
    """One network per fold with its calibration; together they are "the classifier".

    The ensemble averages calibrated logits and its threshold is the mean of the folds' own, so an
    image is positive where the mean margin to the frozen thresholds is.
    """

    networks: list[nn.Module]
    calibrations: list[Calibration]
    blur: float = 0.0  # pixels, see ``soften``

    @property
    def thresholds(self) -> list[float]:
        """Frozen decision threshold of every fold, as probabilities."""
        return [float(1 / (1 + np.exp(-c.threshold))) for c in self.calibrations]

    @property
    def threshold(self) -> float:
        """Frozen decision threshold of the ensemble, as a probability."""
        mean = np.mean([calibration.threshold for calibration in self.calibrations])
        return float(1 / (1 + np.exp(-mean)))

    def fold_scores(self, stack: Tensor) -> np.ndarray:
        """Calibrated probabilities (folds, N) of a uint8 stack (N, C, H, W)."""
        stack = soften(stack, self.blur)
        logits = [
            calibration(predict_logits(network, stack))
            for network, calibration in zip(self.networks, self.calibrations, strict=True)
        ]
        return 1.0 / (1.0 + np.exp(-np.stack(logits)))

    def scores(self, stack: Tensor) -> np.ndarray:
        """Probabilities (N,) of the ensemble for a uint8 stack (N, C, H, W)."""
        soft = soften(stack, self.blur)
        return self.combined([predict_logits(network, soft) for network in self.networks])

    def combined(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities (N,) of the ensemble from every fold's plain logits (folds, N)."""
        calibrated = [
            calibration(own) for own, calibration in zip(logits, self.calibrations, strict=True)
        ]
        return 1.0 / (1.0 + np.exp(-np.mean(calibrated, axis=0)))

    def with_target_statistics(self, stack: Tensor) -> FoldEnsemble:
        """The same networks with the batch-norm statistics of a uint8 stack (N, C, H, W).

        AdaBN (Li et al. 2016, arXiv:1603.04779): weights, calibration and thresholds stay, no label
        is used. Networks without batch norm are left as they are.
        """
        networks = [_normalise_by(network, soften(stack, self.blur)) for network in self.networks]
        return replace(self, networks=networks)

    def with_matched_thresholds(self, stack: Tensor) -> FoldEnsemble:
        """The same networks, thresholds moved as ``calibration.match_called`` does by a stack."""
        soft = soften(stack, self.blur)
        calibrations = [
            match_called(calibration, predict_logits(network, soft))
            for network, calibration in zip(self.networks, self.calibrations, strict=True)
        ]
        return replace(self, calibrations=calibrations)


@torch.inference_mode()
def _normalise_by(network: nn.Module, stack: Tensor, batch: int = 128) -> nn.Module:
    network = copy.deepcopy(network).eval()
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
        layer.train()
    device = next(network.parameters()).device
    for part in stack.split(batch):
        network(to_unit(part.to(device)))
    return network.eval()
