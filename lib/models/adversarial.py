"""The adversarial game over domains: who shows features tries to hide where they come from.

Gradient reversal and its schedule (Ganin et al. 2016, arXiv:1505.07818), and what the discriminator
is shown beside the features (Long et al. 2018, arXiv:1705.10667).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Above so many products of features and classes they are projected at random (Long et al., eq. 7).
LARGEST_PRODUCT = 4096


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, coefficient: float) -> Tensor:
        context.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.coefficient * gradient, None


def reverse_gradient(x: Tensor, coefficient: float) -> Tensor:
    """``x`` itself; its gradient comes back times ``-coefficient`` (Ganin et al. 2016, eq. 17)."""
    return _Reversal.apply(x, coefficient)


def reversal_schedule(progress: float, steepness: float = 10.0) -> float:
    """Coefficient from 0 at the start (``progress`` 0) to nearly 1 at the end (Ganin et al. 5.2.2).

    The discriminator is to know something before the features run from it.
    """
    return 2.0 / (1.0 + math.exp(-steepness * progress)) - 1.0


class DomainDiscriminator(nn.Sequential):
    """Features (N, ``inputs``) to a logit (N,) of being from the source."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(
            nn.Linear(inputs, width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, 1), nn.Flatten(0),
        )  # fmt: skip


class Multilinear(nn.Module):
    """Features times class probabilities, so that each class has its own game.

    (N, ``features``) and (N, ``classes``) to (N, ``width``): all products (Long et al. 2018, eq. 6)
    or, above ``LARGEST_PRODUCT`` of them, so many random combinations (eq. 7).
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.width = min(features * classes, LARGEST_PRODUCT)
        self.random = features * classes > LARGEST_PRODUCT
        if self.random:
            self.register_buffer("of_features", torch.randn(features, self.width))
            self.register_buffer("of_classes", torch.randn(classes, self.width))

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        if self.random:
            both = (features @ self.of_features) * (probabilities @ self.of_classes)
            return both / math.sqrt(self.width)
        return (probabilities[:, :, None] * features[:, None, :]).flatten(1)


def both_classes(logits: Tensor) -> Tensor:
    """Probabilities (N, 2) of negative and positive from logits (N,) of positive."""
    positive = torch.sigmoid(logits)
    return torch.stack([1.0 - positive, positive], dim=1)


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy in nats, (N,), of class probabilities (N, K)."""
    return -torch.xlogy(probabilities, probabilities).sum(1)


def entropy_weights(probabilities: Tensor) -> Tensor:
    """1 + exp(-entropy), (N,): images whose class is sure lead the game (Long et al., eq. 9)."""
    return 1.0 + torch.exp(-entropy(probabilities))


def domain_loss(
    of_source: Tensor, of_target: Tensor, weights: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Binary cross-entropy of a discriminator's logits (N,), (M,); both domains count the same.

    ``weights`` of the images, (N,) and (M,), are held against their own domain's sum.
    """
    losses = (
        F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(real)), own)
        for scores, real, own in zip(
            (of_source, of_target),
            (True, False),
            [own / own.mean() for own in weights] if weights else (None, None),
            strict=True,
        )
    )
    return 0.5 * sum(losses)
