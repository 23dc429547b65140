"""A small network that reads structures from images of the source domain, as a judge of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import make_fabric, number_kind
from engine.parameters import Parameters
from engine.progress import progress
from lib.models.classifier import to_unit

EPOCHS, BATCH, RATE = 20, 16, 4e-3
# What a translation does to an image that is no fault of its structure, the most of each. Chosen,
# as the length of training, on phantoms of other seeds than any profile's.
LARGEST_BLUR, LARGEST_NOISE = 1.75, 8.0  # SD in px and in grey levels
CONTRAST, BRIGHTNESS = (0.7, 1.3), 20.0  # factor about the image's mean; grey levels either way
SHIFT = 3  # px either way


class Segmenter(nn.Module):
    """U-Net (Ronneberger et al. 2015) on a small residual encoder; (N, 1, H, W) to class logits.

    Four pixels go in as one of four channels, and come out likewise: at half the side a step costs
    a quarter, and no pixel is lost (Shi et al. 2016, arXiv:1609.05158).
    """

    SIDE = 16  # pixels of the input that become one at the bottom

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = smp.Unet(
            "tu-test_resnet", encoder_weights=None, encoder_depth=3, decoder_channels=(32, 16, 16),
            in_channels=4, classes=16,
        )  # fmt: skip
        # Its decoder ends a level below its input; outlines need the pixels themselves.
        self.head = nn.Sequential(
            nn.Conv2d(16 + 4, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 4 * classes, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        beyond = [0, -width % self.SIDE, 0, -height % self.SIDE]
        wide = F.pixel_unshuffle(F.pad(images, beyond, mode="replicate"), 2)
        wide = wide.contiguous(memory_format=torch.channels_last)  # a third faster on a CPU
        logits = self.head(torch.cat([self.body(wide), wide], dim=1))
        return F.pixel_shuffle(logits, 2)[..., :height, :width]


def moved(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """A batch and its masks, mirrored and shifted by the same whole pixels."""
    # Left for right, and no turns: an embryo has no up, but the light has. Its direction tells a
    # hollow from a mound.
    mirrored = torch.rand(()) < 0.5
    down, right = torch.randint(2 * SHIFT + 1, (2,)).tolist()

    def move(part: Tensor) -> Tensor:
        part = part.flip(3) if mirrored else part
        height, width = part.shape[2:]
        wide = F.pad(part.float(), [SHIFT] * 4, mode="replicate")
        return wide[:, :, down : down + height, right : right + width]

    return move(images), move(masks)


def disturbed(images: Tensor) -> Tensor:
    """Images (N, 1, H, W) in grey levels, each blurred, toned and made noisy by its own chance."""
    count = len(images)

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1)

    # One blur for each image in one pass: images as channels, a group for each.
    reach = int(3 * LARGEST_BLUR)
    place = torch.arange(-reach, reach + 1.0)
    line = torch.exp(-(place**2) / (2 * between(0.05, LARGEST_BLUR) ** 2))
    line = line / line.sum(3, keepdim=True)
    wide = F.pad(images.transpose(0, 1), [reach] * 4, mode="replicate")
    soft = F.conv2d(F.conv2d(wide, line, groups=count), line.transpose(2, 3), groups=count)
    images = soft.transpose(0, 1)
    mean = images.mean((2, 3), keepdim=True)
    images = mean + between(*CONTRAST) * (images - mean) + between(-BRIGHTNESS, BRIGHTNESS)
    return images + between(0, LARGEST_NOISE) * torch.randn(images.shape)


def dice_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean of 1 - Dice over the structures that there are, of logits and masks (N, K, H, W).

    Each image counts alike: summed over a batch, the small ones would weigh next to nothing.
    """
    chance = logits.sigmoid()
    both, total = (chance * wanted).sum((2, 3)), (chance + wanted).sum((2, 3))
    there = wanted.sum((2, 3)) > 0
    return 1 - (2 * both[there] / total[there]).sum() / there.sum().clamp_min(1)


def train_segmenter(
    stack: Tensor, masks: Tensor, params: Parameters, seed: int, weights: Sequence[float],
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Train on uint8 images (N, 1, H, W) and bool masks (N, classes, H, W), each on its own.

    Every image is moved with its masks, and disturbed, anew in every epoch: a judge that blur or
    noise misleads would blame a translation for them. Loss: binary cross-entropy, in which a pixel
    of a class weighs its ``weights`` times one outside it, plus Dice. Returns the
    network in evaluation mode, and its history: epoch, loss.
    """
    fabric = make_fabric(params)
    fabric.seed_everything(seed, verbose=False)
    kind = number_kind(fabric, params)
    network = Segmenter(masks.shape[1]).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE)
    batches = max(1, len(stack) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=batches * EPOCHS)
    checkpoints = checkpoints or Checkpoints()
    parts = dict(network=network, optimiser=optimiser, rate=rate)
    network, optimiser = fabric.setup(network, optimiser)
    heavy = torch.tensor(weights, device=fabric.device)[:, None, None]
    done, history = checkpoints.resume(parts)
    for epoch in progress(range(done, EPOCHS), label="segmenter epochs"):
        network.train()
        losses = []
        for rows in torch.randperm(len(stack)).split(BATCH)[:batches]:
            images, wanted = moved(stack[rows], masks[rows])
            images = to_unit(disturbed(images).clamp(0, 255)).to(**kind)
            wanted = wanted.to(fabric.device)
            logits = network(images).float()
            loss = dice_loss(logits, wanted) + F.binary_cross_entropy_with_logits(
                logits, wanted, pos_weight=heavy
            )
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
    parts = [(network(to_unit(part).to(weight)) > 0).cpu() for part in stack.split(batch)]
    return torch.cat(parts)
