"""Training of a U-Net on cells, alone or against a discriminator of domains, and its use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2

from engine.checkpoints import Checkpoints
from engine.fabric import begin_training, stop_if_diverged
from engine.progress import progress
from lib.models.adversarial import reversal_schedule
from lib.models.classifier import to_unit
from lib.models.rounds import Rounds
from lib.models.segmentation import dice_loss
from lib.models.translation import linear_decay
from lib.models.unet import Opponents, PretrainedUNet, UNet
from lib.models.unet_parameters import UNetParameters
from lib.phantom.randomisation import disturb

WATCHED = 10  # times that a training is held against validation
THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)  # that source validation chooses from


def noisy(images: Tensor) -> Tensor:
    """Blur, brightness and contrast of uint8 images (N, 1, H, W) changed at random, each by itself.

    As the published study disturbs its source images (Aarnio et al. 2022, section 4.3); saturation
    and hue, which it changes too, grey images do not have.
    """
    change = v2.Compose([
        v2.ColorJitter(brightness=0.4, contrast=0.4),
        v2.GaussianBlur(5, sigma=(0.1, 2.0)),
    ])  # fmt: skip
    return torch.stack([change(image) for image in images])


def _randomised(images: Tensor) -> Tensor:
    """Polarity, tone, light, focus, dirt and noise of uint8 images (N, 1, H, W) at random."""
    rng = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    return disturb(images.float(), rng).round().to(torch.uint8)


# What an image meets beside being turned and mirrored.
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "turned": lambda images: images,
    "noisy": noisy,
    "randomised": _randomised,
}


def turned(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """A batch of squares and its masks, mirrored and turned by quarters, all alike: cells have no
    up."""
    quarters, mirrored = torch.randint(4, ()).item(), torch.rand(()) < 0.5
    parts = (part.flip(3) if mirrored else part for part in (images, masks))
    images, masks = (torch.rot90(part, quarters, (2, 3)) for part in parts)
    return images, masks


def train_unet(
    stack: Tensor, masks: Tensor, valid: tuple[Tensor, Tensor], params: UNetParameters, seed: int,
    *, changes: str = "turned", pretrained: bool = False, place: str = "",
    target: Tensor | None = None, checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Train on uint8 images (N, 1, S, S) and bool masks (N, 1, S, S).

    Binary cross-entropy plus Dice of each image, Adam.

    Parameters
    ----------
    valid : images and masks likewise; watched, never learnt from
    changes : key of ``CHANGES``
    pretrained : a way down with ImageNet weights
    place : of ``unet.PLACES``, where a discriminator plays against the features; "" for none
    target : uint8 (M, 1, S, S) of the other domain, which only the discriminator is shown

    Returns
    -------
    The network in evaluation mode, and its history, a row each tenth of the steps: step, loss, game
    (the discriminator's loss, ln 2 where it knows nothing; 0 without one), valid_dice (at a half).

    Raises
    ------
    DivergedError
        A loss is not finite or explodes.
    """
    fabric, kind, layout = begin_training(params, seed)
    network: nn.Module = PretrainedUNet() if pretrained else UNet(params.unet_filters)
    trained = network
    if place:
        trained = Opponents(network, place, params.reversal_hidden, stack.shape[-1])
    trained = trained.to(**kind, memory_format=layout)
    fabric.seed_everything(seed, verbose=False)  # the same images whatever else was drawn
    optimiser = torch.optim.Adam(trained.parameters(), params.unet_rate, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: linear_decay(step, params.unet_steps, params.unet_decay_start)
    )
    checkpoints = checkpoints or Checkpoints()
    parts: dict[str, Any] = dict(trained=trained, optimiser=optimiser, rate=rate)
    watch = max(1, params.unet_steps // WATCHED)
    batch = min(params.unet_batch, len(stack))
    change = CHANGES[changes]
    order = torch.Generator().manual_seed(seed)
    ours, theirs = (
        Rounds(len(images), batch, order) for images in (stack, stack if target is None else target)
    )
    parts |= dict(order=order, ours=ours, theirs=theirs)

    def shown(images: Tensor) -> Tensor:
        return to_unit(change(images)).to(**kind).contiguous(memory_format=layout)

    done, history = checkpoints.resume(parts)
    losses: dict[str, list[float]] = dict(loss=[], game=[])
    for step in progress(range(done, params.unet_steps), label="U-Net steps"):
        trained.train()
        rows = ours.take()
        images, wanted = turned(stack[rows], masks[rows])
        wanted = wanted.to(**kind)
        with fabric.autocast():
            if place:
                # Both domains pass together: normalised apart, features would hide the difference
                # from the discriminator and show it in use.
                others = target[theirs.take()]
                both = torch.cat([images, turned(others, others)[0]])
                weight = params.reversal_weight * reversal_schedule(step / params.unet_steps)
                logits, game = trained(shown(both), len(images), weight)
            else:
                logits, game = network(shown(images)), torch.zeros(())
        logits = logits.to(**kind)
        own = dice_loss(logits, wanted) + F.binary_cross_entropy_with_logits(logits, wanted)
        optimiser.zero_grad()
        (own + game.to(own)).backward()
        optimiser.step()
        rate.step()
        losses["loss"].append(own.item())
        losses["game"].append(game.item())
        if (step + 1) % watch == 0 or step + 1 == params.unet_steps:
            remedy = f"Lower unet_rate (now {params.unet_rate})"
            stop_if_diverged(losses, f"U-Net, step {step}", remedy, checkpoints)
            found = {name: float(np.mean(values)) for name, values in losses.items()}
            dice = mean_dice(chances(network, valid[0]) >= 0.5, valid[1])
            history.append(dict(step=step + 1, **found, valid_dice=dice))
            losses = dict(loss=[], game=[])
            checkpoints.keep(step + 1, parts, history)
    network = network.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)


@torch.inference_mode()
def chances(network: nn.Module, stack: Tensor, batch: int = 64) -> Tensor:
    """Chance of being cell, float32 (N, 1, H, W), of uint8 images (N, 1, H, W)."""
    network.eval()
    weight = next(network.parameters())
    parts = [
        network(to_unit(part).to(weight)).float().sigmoid().cpu() for part in stack.split(batch)
    ]
    return torch.cat(parts)


def mean_dice(found: Tensor, masks: Tensor) -> float:
    """Mean over images of the Dice of bool masks (N, 1, H, W); 1 where both are empty."""
    both, total = (part.flatten(1).sum(1) for part in (found & masks, found.int() + masks.int()))
    return float(torch.where(total > 0, 2 * both / total.clamp_min(1), 1.0).mean())


def best_threshold(chance: Tensor, masks: Tensor) -> float:
    """The one of ``THRESHOLDS`` with the highest ``mean_dice``; the middle one of equals."""
    dice = [mean_dice(chance >= threshold, masks) for threshold in THRESHOLDS.tolist()]
    return middle_of_best(THRESHOLDS, dice)


def middle_of_best(thresholds: np.ndarray, scores: Sequence[float]) -> float:
    """The threshold with the highest score; the middle one of equals."""
    best = np.flatnonzero(np.isclose(scores, max(scores), atol=1e-9))
    return float(thresholds[best[len(best) // 2]])
