"""The training loop of the classifier, read from top to bottom, and what every training shares."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torchvision.transforms import v2

from lib.models.checkpoint import Checkpoints
from lib.models.classifier import predict_logits, to_unit
from lib.models.ranks import Ranks, SharedBatchNorm, process_count
from lib.params import InputError, Params
from lib.progress import progress

LARGEST_LOSS = 1e6  # what no training comes back from


class DivergedError(RuntimeError):
    """A loss is no finite number any more, or beyond ``LARGEST_LOSS``."""


def resolve_device(wanted: str) -> torch.device:
    """``auto``: the GPU where there is one, else the CPU.

    Raises
    ------
    InputError
        ``cuda`` is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("device: 'cuda' was asked for and none is here. Use 'auto' or 'cpu'.")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def make_fabric(params: Params) -> Fabric:
    """Fabric on the parameters' device and precision: one process, or those of ``torchrun``."""
    kind = dict(accelerator=params.device, precision=params.precision)
    count = process_count()
    if count == 1:
        return Fabric(devices=1, **kind)
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(devices=here, num_nodes=count // here, strategy="ddp", **kind)
    fabric.launch()
    return fabric


def number_kind(fabric: Fabric, params: Params) -> dict[str, Any]:
    """Device and type of a training's numbers, for ``to``."""
    double = params.precision == "64-true"
    return dict(device=fabric.device, dtype=torch.double if double else torch.float)


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
}


def augmented(stack: Tensor, rows: Tensor, part: slice, augmentation: str) -> Tensor:
    """``part`` of a batch ``stack[rows]``, every image augmented by itself; uint8.

    Random numbers are drawn for the whole batch, with blanks for the images that are for other
    processes, so that every image meets those it would meet in one process.
    """
    augment = AUGMENTATIONS[augmentation]
    own = range(len(rows))[part]
    blank = torch.zeros_like(stack[0])
    images = [
        augment(stack[row] if place in own else blank) for place, row in enumerate(rows.tolist())
    ]
    return torch.stack(images[part])


def train_classifier(
    network: nn.Module, stack: Tensor, labels: np.ndarray, train: np.ndarray, valid: np.ndarray,
    params: Params, seed: int, augmentation: str = "geometry",
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
    fabric = make_fabric(params)
    fabric.seed_everything(seed, verbose=False)
    ranks = Ranks(fabric)
    kind = number_kind(fabric, params)
    # Channels last: a quarter faster on a CPU, and what tensor cores want.
    network = network.to(**kind, memory_format=torch.channels_last)
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
                logits = network(images.contiguous(memory_format=torch.channels_last))[:, 0]
            loss = F.binary_cross_entropy_with_logits(
                logits.to(**kind), targets[rows[part]], pos_weight=balance
            )
            optimiser.zero_grad()
            fabric.backward(loss)
            ranks.mean_gradients(network.parameters())
            optimiser.step()
            rate.step()
            losses.append(ranks.mean(loss.detach()).item())
        if not (np.abs(losses) < LARGEST_LOSS).all():
            raise DivergedError(
                f"classifier loss is {losses[-1]} in epoch {epoch}: lower classifier_rate "
                f"(now {params.classifier_rate}); {checkpoints}."
            )
        auc = roc_auc_score(labels[valid], predict_logits(network, stack[valid]))
        history.append(dict(epoch=epoch + 1, loss=float(np.mean(losses)), valid_auc=float(auc)))
        checkpoints.keep(epoch + 1, parts, history)
    network = network.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)
