"""A small network that reads structures from images of the source domain, as a judge of others."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import autocast_number, layout_of, make_fabric
from engine.parameters import Parameters
from engine.progress import progress
from lib.models.classifier import to_unit

EPOCHS, BATCH, RATE = 8, 32, 3e-3


def build_segmenter(classes: int) -> nn.Module:
    """U-Net (Ronneberger et al. 2015) on a small residual encoder; (N, 1, H, W) to class logits.

    H and W are multiples of 8.
    """
    return smp.Unet(
        "tu-test_resnet", encoder_weights=None, encoder_depth=3, decoder_channels=(32, 16, 8),
        in_channels=1, classes=classes,
    )  # fmt: skip


def train_segmenter(
    stack: Tensor, masks: Tensor, params: Parameters, seed: int,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Train on uint8 images (N, 1, H, W) and bool masks (N, classes, H, W), each on its own.

    Loss: binary cross-entropy plus Dice. Returns the network in evaluation mode, and its history:
    epoch, loss.
    """
    fabric = make_fabric(params)
    fabric.seed_everything(seed, verbose=False)
    layout = layout_of(fabric.device, autocast_number(fabric, params))
    network = build_segmenter(masks.shape[1]).to(memory_format=layout)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE)
    batches = max(1, len(stack) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=batches * EPOCHS)
    checkpoints = checkpoints or Checkpoints()
    parts = dict(network=network, optimiser=optimiser, rate=rate)
    network, optimiser = fabric.setup(network, optimiser)
    dice = smp.losses.DiceLoss("multilabel")
    done, history = checkpoints.resume(parts)
    for epoch in progress(range(done, EPOCHS), label="segmenter epochs"):
        network.train()
        losses = []
        for rows in torch.randperm(len(stack)).split(BATCH)[:batches]:
            # An embryo has no up: one of the eight turns and reflections, the same for a batch.
            turns, mirrored = torch.randint(4, ()).item(), torch.rand(()) < 0.5
            images, drawn = (
                torch.rot90(part.flip(3) if mirrored else part, turns, (2, 3)).to(fabric.device)
                for part in (stack[rows], masks[rows])
            )
            images = to_unit(images).contiguous(memory_format=layout)
            logits, wanted = network(images).float(), drawn.float()
            loss = F.binary_cross_entropy_with_logits(logits, wanted) + dice(logits, wanted)
            optimiser.zero_grad()
            fabric.backward(loss)
            optimiser.step()
            rate.step()
            losses.append(loss.item())
        history.append(dict(epoch=epoch + 1, loss=float(np.mean(losses))))
        checkpoints.keep(epoch + 1, parts, history)
    network = network.module.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)


@torch.inference_mode()
def segment(network: nn.Module, stack: Tensor, batch: int = 64) -> Tensor:
    """Masks bool (N, classes, H, W) of uint8 images (N, 1, H, W)."""
    weight = next(network.parameters())
    device, layout = weight.device, layout_of(weight.device, weight.dtype)
    network = copy.deepcopy(network).eval().to(memory_format=layout)
    parts = []
    for part in stack.split(batch):
        images = to_unit(part.to(device)).to(weight).contiguous(memory_format=layout)
        parts.append((network(images) > 0).cpu())
    return torch.cat(parts)
