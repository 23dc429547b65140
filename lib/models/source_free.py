"""A source classifier that adapts to unlabelled target images when no source image is at hand.

MD-nets without source (Kanakasabapathy et al. 2021, doi:10.1038/s41551-021-00733-w): the features
of the classifier as it was and of the one that adapts, of the same target images, play the
adversarial game, and the latter learns pseudo-labels from clusters of its features (Liang et al.
2020, arXiv:2002.08546, section 3.2).
"""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import begin_training, stop_if_diverged
from engine.processes import Ranks, SharedBatchNorm
from engine.progress import progress
from lib.models.adaptation import METHODS, Opponents, read, rounds
from lib.models.adaptation_parameters import AdaptationParameters
from lib.models.adversarial import both_classes, reversal_schedule
from lib.models.classifier import augmented, prediction_batches, to_unit

PSEUDO_WEIGHT = 0.3  # of the pseudo-labels beside the game, as in the authors' code


def cluster_labels(features: Tensor, probabilities: Tensor) -> Tensor:
    """Pseudo-labels of a target set: each image gets the class whose centre is nearest by angle.

    Parameters
    ----------
    features : (N, D); a constant is appended, as the authors do
    probabilities : (N, K), what the classifier says; they weigh the first centres

    Returns
    -------
    (N,) of 0 to K - 1. A class to which no image falls has no centre and is not given again.
    """
    unit = F.normalize(F.pad(features, [0, 1], value=1.0), dim=1)
    shares = probabilities
    for _ in range(2):  # centres from what the classifier says, then from the labels these give
        centres = F.normalize(shares.T @ unit, dim=1)
        likeness = (unit @ centres.T).masked_fill(shares.sum(0) == 0, -torch.inf)
        labels = likeness.argmax(1)
        shares = F.one_hot(labels, probabilities.shape[1]).to(probabilities)
    return labels


@torch.no_grad()
def _pseudo_labels(network: nn.Module, target: Tensor) -> Tensor:
    readings = [read(network, images) for images in prediction_batches(network, target)]
    features, logits = (torch.cat(part) for part in zip(*readings, strict=True))
    return cluster_labels(features.float(), both_classes(logits.float()))


def train_source_free(
    network: nn.Module, target: Tensor, params: AdaptationParameters, seed: int,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Adapt a trained classifier to ``target``, uint8 (M, C, H, W), without a label or the source.

    The last state is taken: the authors stop early by labelled target images, which this has none.

    Returns
    -------
    The network in evaluation mode, and its history: epoch, loss (of the pseudo-labels), game,
    coefficient, positive (share of positive pseudo-labels).

    Raises
    ------
    DivergedError
        A loss is not finite or explodes.
    """
    fabric, kind, layout = begin_training(params, seed)
    ranks = Ranks(fabric)
    opponents = Opponents(network, METHODS["mdnet"], params.discriminator_width)
    opponents = opponents.to(**kind, memory_format=layout)
    before = copy.deepcopy(network).eval().requires_grad_(False)
    together = min(params.classifier_batch * ranks.count, len(target))
    part = ranks.part(together)
    batches = -(-len(target) // together)
    steps = batches * params.adapted_epochs
    descent = torch.optim.SGD(
        opponents.parameters(), params.source_free_rate, momentum=0.9, weight_decay=5e-4,
        nesterov=True,
    )  # fmt: skip
    checkpoints = checkpoints or Checkpoints()
    parts = dict(opponents=opponents, before=before, descent=descent)
    optimiser = fabric.setup_optimizers(descent)
    done, history = checkpoints.resume(parts)
    ranks.wait()  # until all have read it
    for epoch in progress(range(done, params.adapted_epochs), label="adaptation epochs"):
        labels = _pseudo_labels(network, target).to(**kind)
        opponents.train()
        losses, games = [], []
        order = rounds(len(target), batches * together)
        for step, rows in enumerate(order.split(together), start=epoch * batches):
            coefficient = params.adapted_weight * reversal_schedule(step / steps)
            images = to_unit(augmented(target, rows, part, "geometry")).to(**kind)
            images = images.contiguous(memory_format=layout)
            with fabric.autocast(), SharedBatchNorm(ranks):
                moved = [values.to(**kind) for values in read(network, images)]
            with fabric.autocast():
                fixed = [values.to(**kind) for values in read(before, images)]
            game = opponents.game(fixed, moved, coefficient)
            loss = F.binary_cross_entropy_with_logits(moved[1], labels[rows[part]])
            optimiser.zero_grad()
            fabric.backward(PSEUDO_WEIGHT * loss + game)
            ranks.mean_gradients(opponents.parameters())
            optimiser.step()
            losses.append(ranks.mean(loss.detach()).item())
            games.append(ranks.mean(game.detach()).item())
        stop_if_diverged(
            dict(loss=losses, game=games), f"adaptation without source, epoch {epoch}",
            f"Lower source_free_rate (now {params.source_free_rate})", checkpoints,
        )  # fmt: skip
        history.append(
            dict(epoch=epoch + 1, loss=float(np.mean(losses)), game=float(np.mean(games)),
                 coefficient=coefficient, positive=float(labels.mean()))
        )  # fmt: skip
        checkpoints.keep(epoch + 1, parts, history)
    network = network.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)
