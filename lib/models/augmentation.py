"""A classifier of tiles that learns from few images, and the ways to give it more of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import begin_training, stop_if_diverged
from engine.progress import progress
from lib.models.classifier import to_unit
from lib.models.gan_parameters import AugmentationParameters
from lib.models.gan_training import ClassRounds, turned_each
from lib.models.hovernet_training import stained
from lib.models.imagenet import imagenet_network
from lib.models.rounds import Rounds

STAGES = 3  # of EfficientNet-Lite0's seven that are used: at 64 px the third ends with maps of 8 px
FROZEN = 1  # of them that stay as ImageNet left them
BODY = 0.1  # rate of the other stages over that of the new last layer


@dataclass(frozen=True)
class Way:
    """How a classifier is trained on few images.

    augmented : every image is turned, mirrored and stained at random, each time anew
    synthetic : a GAN's images beside the real ones; of unequal classes only those that are missing
    weighted : images of a class weigh as much as there are fewer of them
    oversampled : as many of each class in a batch, those of the rarer one more often
    """

    augmented: bool = False
    synthetic: bool = False
    weighted: bool = False
    oversampled: bool = False


# As many real images of each class.
WAYS = {
    "plain": Way(),
    "augmented": Way(augmented=True),
    "synthetic": Way(synthetic=True),
    "both": Way(augmented=True, synthetic=True),
}
# One malignant image to nine benign ones.
REMEDIES = {
    "unbalanced": Way(),
    "balanced_synthetic": Way(synthetic=True),
    "balanced_weights": Way(weighted=True),
    "balanced_oversampling": Way(augmented=True, oversampled=True),
}


class TileClassifier(nn.Module):
    """Images (N, 3, S, S) in [-1, 1] to logits (N,) of being of the second class.

    The first ``STAGES`` of EfficientNet-Lite0 with ImageNet weights and statistics, mean over the
    image, one layer. All seven would leave maps of 2 px of a tile of 64.
    """

    def __init__(self) -> None:
        super().__init__()
        whole = imagenet_network(channels=3)
        stem = nn.Sequential(whole.conv_stem, whole.bn1)
        self.frozen = nn.Sequential(stem, *whole.blocks[:FROZEN]).requires_grad_(False)
        self.body = whole.blocks[FROZEN:STAGES]
        features = whole.feature_info[STAGES - 1]["num_chs"]
        self.last = nn.Sequential(nn.BatchNorm1d(features), nn.Linear(features, 1))
        nn.init.zeros_(self.last[1].weight)

    def train(self, mode: bool = True) -> TileClassifier:
        """Statistics of ImageNet stay: those of a few images are worth less."""
        super().train(mode)
        for part in (self.frozen, self.body):
            part.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.body(self.frozen(images)).mean((2, 3)))[:, 0]


def train_tile_classifier(
    stack: Tensor, labels: np.ndarray, way: Way, params: AugmentationParameters, seed: int,
    checkpoints: Checkpoints | None = None,
) -> tuple[TileClassifier, pd.DataFrame]:  # fmt: skip
    """Train on uint8 images (N, 3, S, S), real and synthetic alike, of classes ``labels``, 0 or 1.

    AdamW, rate falling to 0; as many steps whatever the number of images.

    Returns
    -------
    The classifier in evaluation mode, and its history: one row a step with its loss.

    Raises
    ------
    DivergedError
        The loss is not finite or explodes.
    """
    fabric, number, layout = begin_training(params, seed)
    network = TileClassifier().to(**number, memory_format=layout).train()
    fabric.seed_everything(seed, verbose=False)
    groups = [
        dict(params=network.body.parameters(), lr=BODY * params.augment_rate),
        dict(params=network.last.parameters(), lr=params.augment_rate),
    ]
    optimiser = torch.optim.AdamW(groups, fused=True)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, params.augment_steps)
    order = torch.Generator().manual_seed(seed)
    batch = min(params.augment_batch, len(stack))
    kind = (
        ClassRounds(labels, batch, order) if way.oversampled else Rounds(len(stack), batch, order)
    )
    shares = np.bincount(labels, minlength=2) / len(labels)
    weights = torch.from_numpy(0.5 / shares if way.weighted else np.ones(2)).to(**number)
    wanted = torch.from_numpy(labels).to(fabric.device)
    checkpoints = checkpoints or Checkpoints()
    parts = dict(network=network, optimiser=optimiser, rate=rate, order=order, rounds=kind)

    done, history = checkpoints.resume(parts)
    for step in progress(range(done, params.augment_steps), label="classifier steps"):
        rows = kind.take()
        images = stack[rows]
        if way.augmented:
            images = stained(turned_each(images, order))
        own = wanted[rows]
        with fabric.autocast():
            images = to_unit(images).to(**number).contiguous(memory_format=layout)
            logits = network(images).to(**number)
        loss = F.binary_cross_entropy_with_logits(logits, own.to(logits), weight=weights[own])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
        found = dict(loss=loss.item())
        remedy = f"Lower augment_rate (now {params.augment_rate})"
        stop_if_diverged(found, f"classifier step {step}", remedy, checkpoints)
        history.append(dict(step=step, **found))
        checkpoints.keep(step + 1, parts, history)
    network = network.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)


@torch.inference_mode()
def tile_scores(network: TileClassifier, stack: Tensor, batch: int = 64) -> np.ndarray:
    """Probabilities (N,) of the second class of uint8 images (N, 3, S, S)."""
    weight = next(network.parameters())
    logits = [network(to_unit(part).to(weight)) for part in stack.split(batch)]
    return torch.cat(logits).double().sigmoid().cpu().numpy()
