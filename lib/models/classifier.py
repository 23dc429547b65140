"""The classifier: how it is trained, read from top to bottom; how it is calibrated and read."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import gaussian_blur

from engine.checkpoints import Checkpoints
from engine.fabric import begin_training, layout_of, stop_if_diverged
from engine.processes import Ranks, SharedBatchNorm
from engine.progress import progress
from lib.models.calibration import Calibration, match_called
from lib.models.parameters import ClassifierParameters
from lib.phantom.randomisation import disturb

# An embryo has no up: every rotation and reflection of it is as likely. Small shifts and scales
# stand for what framing leaves.
_GEOMETRY = [
    v2.RandomHorizontalFlip(),
    v2.RandomVerticalFlip(),
    v2.RandomAffine(
        degrees=180,
        translate=(0.04, 0.04),
        scale=(0.94, 1.06),
        interpolation=v2.InterpolationMode.BILINEAR,
    ),
]
# What optics and sensors do, exaggerated: exposure, contrast, focus and noise.
_OPTICS = [
    v2.ColorJitter(brightness=0.2, contrast=0.3),
    v2.RandomApply([v2.GaussianBlur(5, sigma=(0.3, 1.2))], p=0.5),
    v2.ToDtype(torch.float32, scale=True),
    v2.RandomApply([v2.GaussianNoise(sigma=0.05)], p=0.5),
    v2.ToDtype(torch.uint8, scale=True),
]
AUGMENTATIONS = {
    "geometry": v2.Compose(_GEOMETRY),
    "optics": v2.Compose(_GEOMETRY + _OPTICS),
    "randomised": v2.Compose(_GEOMETRY),  # and what ``disturb`` does to a batch
}


def augmented(stack: Tensor, rows: Tensor, part: slice, augmentation: str) -> Tensor:
    """``part`` of a batch ``stack[rows]``, every image augmented by itself; uint8.

    Random numbers are drawn for the whole batch, with blanks for the images that are for other
    processes, so that every image meets those it would meet in one process. ``randomised`` images
    have one lens in a batch.
    """
    augment = AUGMENTATIONS[augmentation]
    own = range(len(rows))[part]
    blank = torch.zeros_like(stack[0])
    images = [
        augment(stack[row] if place in own else blank) for place, row in enumerate(rows.tolist())
    ]
    if augmentation != "randomised":
        return torch.stack(images[part])
    rng = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    return disturb(torch.stack(images).float(), rng)[part].round().to(torch.uint8)


def train_classifier(
    network: nn.Module, stack: Tensor, labels: np.ndarray, train: np.ndarray, valid: np.ndarray,
    params: ClassifierParameters, seed: int, augmentation: str = "geometry",
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Train ``network`` on ``stack[train]``; validation is watched, never learnt from.

    Parameters
    ----------
    stack : uint8 (N, C, H, W)
    labels : (N,) of 0 and 1
    train, valid : index arrays
    augmentation : key of ``AUGMENTATIONS``
    checkpoints : where the training goes on from, epoch by epoch, and keeps its states

    Returns
    -------
    The network in evaluation mode, and its history: epoch, loss, valid_auc.
    """
    fabric, kind, layout = begin_training(params, seed)
    ranks = Ranks(fabric)
    network = network.to(**kind, memory_format=layout)
    targets = torch.tensor(labels).to(**kind)
    together = min(params.classifier_batch * ranks.count, len(train))
    batches = len(train) // together
    optimiser = torch.optim.AdamW(network.parameters(), lr=params.classifier_rate)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, params.classifier_rate, total_steps=batches * params.classifier_epochs
    )
    checkpoints = checkpoints or Checkpoints()
    parts = dict(network=network, optimiser=optimiser, rate=rate)
    optimiser = fabric.setup_optimizers(optimiser)
    # Both classes weigh the same whatever their counts.
    positive = float(labels[train].mean())
    balance = torch.tensor((1.0 - positive) / positive).to(**kind)

    done, history = checkpoints.resume(parts)
    ranks.wait()  # until all have read it
    for epoch in progress(range(done, params.classifier_epochs), label="classifier epochs"):
        network.train()
        losses = []
        for chosen in torch.randperm(len(train))[: batches * together].split(together):
            rows = torch.tensor(train)[chosen]
            part = ranks.part(together)
            images = to_unit(augmented(stack, rows, part, augmentation)).to(**kind)
            with fabric.autocast(), SharedBatchNorm(ranks):
                logits = network(images.contiguous(memory_format=layout))[:, 0]
            loss = F.binary_cross_entropy_with_logits(
                logits.to(**kind), targets[rows[part]], pos_weight=balance
            )
            optimiser.zero_grad()
            fabric.backward(loss)
            ranks.mean_gradients(network.parameters())
            optimiser.step()
            rate.step()
            losses.append(ranks.mean(loss.detach()).item())
        remedy = f"Lower classifier_rate (now {params.classifier_rate})"
        stop_if_diverged(dict(loss=losses), f"classifier epoch {epoch}", remedy, checkpoints)
        auc = roc_auc_score(labels[valid], predict_logits(network, stack[valid]))
        history.append(dict(epoch=epoch + 1, loss=float(np.mean(losses)), valid_auc=float(auc)))
        checkpoints.keep(epoch + 1, parts, history)
    network = network.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)


def to_unit(stack: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1]."""
    return stack.float() / 127.5 - 1.0


def from_unit(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, the other way round; what lies beyond is black or white."""
    return ((images + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)


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
    weight = next(network.parameters())
    layout = layout_of(weight.device, weight.dtype)
    with torch.inference_mode(False):  # else its weights could serve no texture loss any more
        network.eval().to(memory_format=layout)
    return (
        to_unit(part.to(weight.device)).to(weight).contiguous(memory_format=layout)
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
        networks = [normalised_by(network, soften(stack, self.blur)) for network in self.networks]
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
def normalised_by(network: nn.Module, stack: Tensor, batch: int = 128) -> nn.Module:
    """A copy whose batch norms have means and variances of a uint8 stack (N, C, H, W): AdaBN."""
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
