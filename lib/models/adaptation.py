"""Classifiers trained on labelled source and unlabelled target images at once.

Domain-adversarial training (DANN, Ganin et al. 2016, arXiv:1505.07818), its conditional form (CDAN
and, weighted by entropy, CDAN+E, Long et al. 2018, arXiv:1705.10667), and MD-nets with source
images (Kanakasabapathy et al. 2021, doi:10.1038/s41551-021-00733-w), which are the last of these
from a trained source classifier on, by gradient descent with momentum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import begin_training, stop_if_diverged
from engine.processes import Ranks, SharedBatchNorm
from engine.progress import progress
from lib.models.adaptation_parameters import AdaptationParameters
from lib.models.adversarial import (
    DomainDiscriminator,
    Multilinear,
    both_classes,
    domain_loss,
    entropy_weights,
    reversal_schedule,
    reverse_gradient,
)
from lib.models.classifier import augmented, predict_logits, to_unit


@dataclass(frozen=True)
class Method:
    """One way to play.

    ``conditioned``: the discriminator sees features times class probabilities. ``weighted``:
    images whose class is sure count more. ``from_source``: it goes on from the source classifier.
    """

    conditioned: bool = False
    weighted: bool = False
    from_source: bool = False


METHODS = {
    "dann": Method(),
    "cdan": Method(conditioned=True),
    "cdan_e": Method(conditioned=True, weighted=True),
    "mdnet": Method(conditioned=True, weighted=True, from_source=True),
}


Reading = tuple[Tensor, Tensor]  # features before the last layer, (N, D), and logits (N,)


def read(network: nn.Module, images: Tensor) -> Reading:
    """What a timm classifier with one logit makes of images (N, C, H, W) in [-1, 1]."""
    features = network.forward_head(network.forward_features(images), pre_logits=True)
    return features, network.get_classifier()(features)[:, 0]


class Opponents(nn.Module):
    """A timm classifier with one logit, and the discriminator that its features play against."""

    def __init__(self, network: nn.Module, method: Method, width: int) -> None:
        super().__init__()
        self.network, self.weighted = network, method.weighted
        features = network.head_hidden_size
        self.joined = Multilinear(features, 2) if method.conditioned else None
        shown = self.joined.width if self.joined else features
        self.discriminator = DomainDiscriminator(shown, width)

    def game(self, source: Reading, target: Reading, coefficient: float) -> Tensor:
        """The discriminator's loss on what ``read`` gave; the features' gradient is reversed.

        The probabilities only say which game is played and with which weight: no gradient goes
        through them.
        """
        scores, weights = [], []
        for features, logits in (source, target):
            probabilities = both_classes(logits).detach()
            weights.append(entropy_weights(probabilities))
            shown = self.joined(features, probabilities) if self.joined else features
            scores.append(self.discriminator(reverse_gradient(shown, coefficient)))
        return domain_loss(*scores, tuple(weights) if self.weighted else None)


def _optimiser(
    opponents: Opponents, method: Method, params: AdaptationParameters, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """As the source classifier's; MD-nets and their falling rate as Long et al. 2018, section 5.1.

    A discriminator that learns as fast as the features can run wins at once and teaches nothing.
    """
    rates = [params.adapted_rate, params.discriminator_rate]
    weights = [opponents.network.parameters(), opponents.discriminator.parameters()]
    if not method.from_source:
        groups = [dict(params=w, lr=rate) for w, rate in zip(weights, rates, strict=True)]
        adam = torch.optim.AdamW(groups)
        return adam, torch.optim.lr_scheduler.OneCycleLR(adam, rates, total_steps=steps)
    descent = torch.optim.SGD(
        opponents.parameters(), params.mdnet_rate, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    falling = torch.optim.lr_scheduler.LambdaLR(
        descent, lambda step: (1.0 + 10.0 * step / steps) ** -0.75
    )
    return descent, falling


def rounds(count: int, wanted: int) -> Tensor:
    """``wanted`` indices below ``count``, each once in a shuffled round."""
    parts = [torch.randperm(count) for _ in range(-(-wanted // count))]
    return torch.cat(parts)[:wanted]


def train_adapted(
    network: nn.Module, stack: Tensor, labels: np.ndarray, train: np.ndarray, valid: np.ndarray,
    target: Tensor, method: Method, params: AdaptationParameters, seed: int,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Train ``network`` on labelled ``stack[train]`` and on ``target``, whose labels nobody sees.

    Both domains pass together: normalised apart, their features would hide the difference from the
    discriminator and show it in use. Both are augmented as ``randomised``, without which the game
    gains next to nothing.

    Parameters
    ----------
    network : timm classifier with one logit; for a method ``from_source``, trained on the source
    stack, target : uint8 (N, C, H, W), (M, C, H, W)
    labels : (N,) of 0 and 1
    train, valid : index arrays into ``stack``; validation is watched, never learnt from
    checkpoints : where the training goes on from, epoch by epoch, and keeps its states

    Returns
    -------
    The network in evaluation mode, and its history: epoch, loss, game (the discriminator's loss,
    ln 2 where it knows nothing), coefficient, valid_auc.

    Raises
    ------
    DivergedError
        A loss is not finite or explodes.
    """
    fabric, kind, layout = begin_training(params, seed)
    ranks = Ranks(fabric)
    opponents = Opponents(network, method, params.discriminator_width)
    opponents = opponents.to(**kind, memory_format=layout)
    fabric.seed_everything(seed, verbose=False)  # the same images whatever the discriminator drew
    targets = torch.tensor(labels).to(**kind)
    together = min(params.classifier_batch * ranks.count, len(train), len(target))
    part = ranks.part(together)
    batches = len(train) // together
    steps = batches * params.adapted_epochs
    optimiser, rate = _optimiser(opponents, method, params, steps)
    checkpoints = checkpoints or Checkpoints()
    parts = dict(opponents=opponents, optimiser=optimiser, rate=rate)
    optimiser = fabric.setup_optimizers(optimiser)
    rate_name = "mdnet_rate" if method.from_source else "adapted_rate"
    positive = float(labels[train].mean())  # both classes weigh the same whatever their counts
    balance = torch.tensor((1.0 - positive) / positive).to(**kind)

    def readings(rows: Tensor, others: Tensor) -> list[Reading]:
        both = [
            augmented(*drawn, part, "randomised") for drawn in ((stack, rows), (target, others))
        ]
        images = to_unit(torch.cat(both)).to(**kind).contiguous(memory_format=layout)
        with fabric.autocast(), SharedBatchNorm(ranks):
            features, logits = read(network, images)
        halves = (values.to(**kind).split(len(both[0])) for values in (features, logits))
        return list(zip(*halves, strict=True))

    done, history = checkpoints.resume(parts)
    ranks.wait()  # until all have read it
    for epoch in progress(range(done, params.adapted_epochs), label="adaptation epochs"):
        opponents.train()
        losses, games = [], []
        ours = torch.tensor(train)[torch.randperm(len(train))[: batches * together]]
        theirs = rounds(len(target), batches * together)
        pairs = zip(ours.split(together), theirs.split(together), strict=True)
        for step, (rows, others) in enumerate(pairs, start=epoch * batches):
            coefficient = params.adapted_weight * reversal_schedule(step / steps)
            source, away = readings(rows, others)
            loss = F.binary_cross_entropy_with_logits(
                source[1], targets[rows[part]], pos_weight=balance
            )
            game = opponents.game(source, away, coefficient)
            optimiser.zero_grad()
            fabric.backward(loss + game)
            ranks.mean_gradients(opponents.parameters())
            optimiser.step()
            rate.step()
            losses.append(ranks.mean(loss.detach()).item())
            games.append(ranks.mean(game.detach()).item())
        stop_if_diverged(
            dict(loss=losses, game=games), f"adaptation, epoch {epoch}",
            f"Lower {rate_name} (now {getattr(params, rate_name)})", checkpoints,
        )  # fmt: skip
        auc = float(roc_auc_score(labels[valid], predict_logits(network, stack[valid])))
        history.append(
            dict(epoch=epoch + 1, loss=float(np.mean(losses)), game=float(np.mean(games)),
                 coefficient=coefficient, valid_auc=auc)
        )  # fmt: skip
        checkpoints.keep(epoch + 1, parts, history)
    network = network.to(memory_format=torch.contiguous_format)
    return network.eval(), pd.DataFrame(history)
