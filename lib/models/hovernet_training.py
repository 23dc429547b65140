"""Training of a HoVer-Net on nuclei, and its use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from skimage.color import rgb_from_hed
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import begin_training, stop_if_diverged
from engine.progress import progress
from lib.models.classifier import to_unit
from lib.models.hovernet import HoVerNet
from lib.models.hovernet_parameters import HoVerNetParameters
from lib.models.nuclei_maps import hover_maps, matched_centroids, nuclei_from_maps, whole_nuclei
from lib.models.rounds import Rounds
from lib.models.segmentation import dice_loss
from lib.models.translation import linear_decay
from lib.models.unet_training import mean_dice, middle_of_best, turned

WATCHED = 10  # times that a training is held against validation
THRESHOLDS = np.round(np.arange(0.2, 0.81, 0.1), 2)  # that validation chooses from
STEEP = 2.0  # weight of the offsets' gradients (Graham et al. 2019, section 3.1)
REACH = 2  # px to either side that a gradient is taken over
JITTER = 0.2  # of the amount of a dye, as a share of it and in units of optical density


def stained(images: Tensor) -> Tensor:
    """The amount of each dye in uint8 images (N, 3, H, W) changed at random, each by itself.

    Into haematoxylin, eosin and DAB (Ruifrok & Johnston 2001), each times a factor plus a bit, and
    back to colours: Tellez et al. 2018, doi:10.1109/TMI.2018.2820199.
    """
    dyes = F.normalize(torch.tensor(rgb_from_hed, dtype=torch.float), dim=1)
    density = -torch.log10((images.float() + 1) / 256)
    amounts = torch.einsum("nchw,cd->ndhw", density, dyes.inverse())
    factor, bit = JITTER * (2 * torch.rand(2, len(images), len(dyes), 1, 1) - 1)
    density = torch.einsum("ndhw,dc->nchw", amounts * (1 + factor) + bit, dyes)
    return (256 * 10**-density - 1).round().clamp(0, 255).to(torch.uint8)


# What an image meets beside being turned and mirrored.
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "turned": lambda images: images,
    "stained": stained,
}


def slopes(offsets: Tensor) -> Tensor:
    """How fast the horizontal offset rises to the right and the vertical one downwards, per pixel.

    (N, 2, H, W) to the same; 5x5 kernels that weigh a neighbour by the inverse of its squared
    distance, as in the authors' code. Beyond the image there is 0.
    """
    line = torch.arange(-REACH, REACH + 1.0).to(offsets)
    down, right = torch.meshgrid(line, line, indexing="ij")
    far = (down**2 + right**2).clamp_min(1)
    kernels = torch.stack([right / far, down / far]) / (right**2 / far).sum()
    return F.conv2d(offsets, kernels[:, None], padding=REACH, groups=2)


def offsets_loss(offsets: Tensor, wanted: Tensor, nuclear: Tensor) -> Tensor:
    """Mean squared error of offsets (N, 2, H, W), plus ``STEEP`` times that of their slopes inside
    nuclei (N, 1, H, W): Graham et al. 2019, section 3.1."""
    apart = (slopes(offsets) - slopes(wanted)) ** 2 * nuclear
    steep = apart.sum() / (2 * nuclear.sum()).clamp_min(1)
    return F.mse_loss(offsets, wanted) + STEEP * steep


def train_hovernet(
    images: Tensor, instances: Tensor, valid: tuple[Tensor, Tensor], params: HoVerNetParameters,
    seed: int, *, changes: str = "turned", checkpoints: Checkpoints | None = None,
) -> tuple[HoVerNet, pd.DataFrame]:  # fmt: skip
    """Train on uint8 images (N, 3, S, S) and instance maps int32 (N, 1, S, S), 0 background.

    Losses as published (Graham et al. 2019, section 3.1): binary cross-entropy plus Dice of each
    image for nuclear pixels, ``offsets_loss`` for where they lie. Adam.

    Parameters
    ----------
    valid : images and instance maps likewise; watched, never learnt from
    changes : key of ``CHANGES``

    Returns
    -------
    The network in evaluation mode, and its history, a row each tenth of the steps: step, pixels and
    offsets (the losses of the two branches), valid_dice (of nuclear pixels, at a half).

    Raises
    ------
    DivergedError
        A loss is not finite or explodes.
    """
    fabric, kind, layout = begin_training(params, seed)
    network = HoVerNet(params.hovernet_filters).to(**kind, memory_format=layout)
    optimiser = torch.optim.Adam(network.parameters(), params.hovernet_rate, fused=True)
    steps, start = params.hovernet_steps, params.hovernet_decay_start
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: linear_decay(step, steps, start)
    )
    checkpoints = checkpoints or Checkpoints()
    order = torch.Generator().manual_seed(seed)
    ours = Rounds(len(images), min(params.hovernet_batch, len(images)), order)
    parts: dict[str, Any] = dict(
        network=network, optimiser=optimiser, rate=rate, order=order, ours=ours
    )
    change, watch = CHANGES[changes], max(1, steps // WATCHED)
    done, history = checkpoints.resume(parts)
    losses: dict[str, list[float]] = dict(pixels=[], offsets=[])
    for step in progress(range(done, steps), label="HoVer-Net steps"):
        network.train()
        rows = ours.take()
        shown, nuclei = turned(images[rows], instances[rows])
        # Maps are made of turned nuclei: turned maps would point the wrong way.
        wanted = torch.from_numpy(hover_maps(nuclei[:, 0].numpy())).to(**kind)
        nuclear = (nuclei > 0).to(**kind)
        with fabric.autocast():
            found = network(to_unit(change(shown)).to(**kind).contiguous(memory_format=layout))
        logits, offsets = (part.to(**kind) for part in found)
        pixels = F.binary_cross_entropy_with_logits(logits, nuclear) + dice_loss(logits, nuclear)
        where = offsets_loss(offsets, wanted, nuclear)
        optimiser.zero_grad()
        (pixels + where).backward()
        optimiser.step()
        rate.step()
        losses["pixels"].append(pixels.item())
        losses["offsets"].append(where.item())
        if (step + 1) % watch == 0 or step + 1 == steps:
            remedy = f"Lower hovernet_rate (now {params.hovernet_rate})"
            stop_if_diverged(losses, f"HoVer-Net, step {step}", remedy, checkpoints)
            means = {name: float(np.mean(values)) for name, values in losses.items()}
            chance, _ = network_maps(network, valid[0])
            dice = mean_dice(chance >= 0.5, valid[1] > 0)
            history.append(dict(step=step + 1, **means, valid_dice=dice))
            losses = dict(pixels=[], offsets=[])
            checkpoints.keep(step + 1, parts, history)
    network = network.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)


@torch.inference_mode()
def network_maps(network: nn.Module, stack: Tensor, batch: int = 64) -> tuple[Tensor, Tensor]:
    """Chance of being nucleus (N, 1, H, W) and offsets (N, 2, H, W), float32, of uint8 images
    (N, 3, H, W)."""
    network.eval()
    weight = next(network.parameters())
    parts = [network(to_unit(part).to(weight)) for part in stack.split(batch)]
    logits, offsets = (torch.cat(part).float().cpu() for part in zip(*parts, strict=True))
    return logits.sigmoid(), offsets


def find_nuclei(
    network: nn.Module, stack: Tensor, um_per_px: float, threshold: float = 0.5
) -> Tensor:
    """Nuclei of uint8 images (N, 3, H, W), int32 (N, 1, H, W): 0 background, 1 to n.

    ``threshold`` is the chance from which on a pixel is nuclear; see
    ``nuclei_maps.nuclei_from_maps``.
    """
    chance, offsets = network_maps(network, stack)
    found = nuclei_from_maps(chance[:, 0].numpy(), offsets.numpy(), um_per_px, threshold)
    return torch.from_numpy(found)[:, None]


def best_threshold(network: nn.Module, stack: Tensor, instances: Tensor, um_per_px: float) -> float:
    """The one of ``THRESHOLDS`` at which most nuclei are right: the highest F1 of centroids over
    all images (``nuclei_maps.matched_centroids``); the middle one of equals."""
    chance, offsets = (part.numpy() for part in network_maps(network, stack))
    truth = [whole_nuclei(own, um_per_px) for own in instances[:, 0].numpy()]
    scores = []
    for threshold in THRESHOLDS.tolist():
        found = nuclei_from_maps(chance[:, 0], offsets, um_per_px, threshold)
        pairs = list(zip(found, truth, strict=True))
        both = sum(matched_centroids(*pair, um_per_px) for pair in pairs)
        scores.append(2 * both / max(1, sum(int(f.max() + t.max()) for f, t in pairs)))
    return middle_of_best(THRESHOLDS, scores)
