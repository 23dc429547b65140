"""The training loop of the classifier, read from top to bottom, and what every training shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torchvision.transforms import v2

from lib.models.classifier import predict_logits, to_unit
from lib.params import Params
from lib.progress import progress


class DivergedError(RuntimeError):
    """A loss is no longer a finite number."""


def make_fabric(params: Params) -> Fabric:
    """Fabric on the parameters' device and precision, one process."""
    return Fabric(accelerator=params.device, devices=1, precision=params.precision)


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
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Train ``network`` on ``stack[train]``; validation is watched, never learnt from.

    Parameters
    ----------
    stack : uint8 (N, C, H, W)
    labels : (N,) of 0 and 1
    train, valid : index arrays
    augmentation : key of ``AUGMENTATIONS``

    Returns
    -------
    The network in evaluation mode, and its history: epoch, loss, valid_auc.
    """
    fabric = make_fabric(params)
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
    network, optimiser = fabric.setup(network, optimiser)
    # Both classes weigh the same whatever their counts.
    positive = float(labels[train].mean())
    balance = torch.tensor((1.0 - positive) / positive, device=fabric.device)

    history = []
    for epoch in progress(range(params.classifier_epochs), label="classifier epochs"):
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
        if not np.isfinite(losses).all():
            raise DivergedError(
                f"classifier loss is {losses[-1]} in epoch {epoch}: lower classifier_rate "
                f"(now {params.classifier_rate})."
            )
        auc = roc_auc_score(labels[valid], predict_logits(network, stack[valid]))
        history.append(dict(epoch=epoch + 1, loss=np.mean(losses), valid_auc=auc))
    network = network.module.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)
