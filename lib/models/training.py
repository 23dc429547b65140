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


def _augmentation() -> v2.Transform:
    return v2.Compose(
        [
            # An embryo has no up: every rotation and reflection of it is as likely. Small shifts
            # and scales stand for what framing leaves.
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomAffine(
                degrees=180,
                translate=(0.04, 0.04),
                scale=(0.94, 1.06),
                interpolation=v2.InterpolationMode.BILINEAR,
            ),
            # Exposure, focus and noise differ from one image to the next on any device.
            v2.ColorJitter(brightness=0.2, contrast=0.3),
            v2.RandomApply([v2.GaussianBlur(5, sigma=(0.3, 1.2))], p=0.5),
            v2.ToDtype(torch.float32, scale=True),
            v2.RandomApply([v2.GaussianNoise(sigma=0.05)], p=0.5),
            v2.ToDtype(torch.uint8, scale=True),
        ]
    )


def train_classifier(
    network: nn.Module, stack: Tensor, labels: np.ndarray, train: np.ndarray, valid: np.ndarray,
    params: Params, seed: int,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Train ``network`` on ``stack[train]``; validation is watched, never learnt from.

    Parameters
    ----------
    stack : uint8 (N, C, H, W)
    labels : (N,) of 0 and 1
    train, valid : index arrays

    Returns
    -------
    The network in evaluation mode, and its history: epoch, loss, valid_auc.
    """
    fabric = make_fabric(params)
    fabric.seed_everything(seed, verbose=False)
    augment = _augmentation()
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
            images = torch.stack([augment(image) for image in stack[rows]])
            logits = network(to_unit(images.to(fabric.device)))[:, 0]
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
    return network.module.eval(), pd.DataFrame(history)
