"""The training loop of the classifier, read from top to bottom, and what every training shares."""

from __future__ import annotations

import os

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
from lib.models.ranks import process_count
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


def make_fabric(params: Params, alone: bool = False) -> Fabric:
    """Fabric on the parameters' device and precision: one process, or those of ``torchrun``.

    ``alone``: this process by itself, whoever else is running.
    """
    kind = dict(accelerator=params.device, precision=params.precision)
    count = process_count()
    if count == 1:
        return Fabric(devices=1, **kind)
    if alone:
        place = int(os.environ["LOCAL_RANK"])
        gpu = params.device != "cpu" and torch.cuda.is_available()
        return Fabric(devices=[place] if gpu else 1, **kind)
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(devices=here, num_nodes=count // here, strategy="ddp", **kind)
    fabric.launch()
    return fabric


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
    fabric = make_fabric(params, alone=True)
    fabric.seed_everything(seed, verbose=False)
    augment = AUGMENTATIONS[augmentation]
    # Channels last: a quarter faster on a CPU, and what tensor cores want.
    network = network.to(memory_format=torch.channels_last)
    targets = torch.tensor(labels, dtype=torch.float32)
    batches = max(1, len(train) // params.classifier_batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=params.classifier_rate)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, params.classifier_rate, total_steps=batches * params.classifier_epochs
    )
    checkpoints = checkpoints or Checkpoints()
    parts = dict(network=network, optimiser=optimiser, rate=rate)
    network, optimiser = fabric.setup(network, optimiser)
    # Both classes weigh the same whatever their counts.
    positive = float(labels[train].mean())
    balance = torch.tensor((1.0 - positive) / positive, device=fabric.device)

    done, history = checkpoints.resume(parts)
    for epoch in progress(range(done, params.classifier_epochs), label="classifier epochs"):
        network.train()
        losses = []
        for chosen in torch.randperm(len(train))[: batches * params.classifier_batch].split(
            params.classifier_batch
        ):
            rows = torch.tensor(train)[chosen]
            images = torch.stack([augment(image) for image in stack[rows]]).to(fabric.device)
            images = to_unit(images).contiguous(memory_format=torch.channels_last)
            logits = network(images)[:, 0]
            loss = F.binary_cross_entropy_with_logits(
                logits.float(), targets[rows].to(fabric.device), pos_weight=balance
            )
            optimiser.zero_grad()
            fabric.backward(loss)
            optimiser.step()
            rate.step()
            losses.append(loss.item())
        if not (np.abs(losses) < LARGEST_LOSS).all():
            raise DivergedError(
                f"classifier loss is {losses[-1]} in epoch {epoch}: lower classifier_rate "
                f"(now {params.classifier_rate}); {checkpoints}."
            )
        auc = roc_auc_score(labels[valid], predict_logits(network, stack[valid]))
        history.append(dict(epoch=epoch + 1, loss=float(np.mean(losses)), valid_auc=float(auc)))
        checkpoints.keep(epoch + 1, parts, history)
    network = network.module.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)
