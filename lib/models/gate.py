"""Leave or translate: how far an image lies from all that the source classifier knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lib.models.classifier import FoldEnsemble, prediction_batches, soften

NEIGHBOURS = 5
SHARE = 0.95  # of the validation images that pass


@dataclass(frozen=True)
class Gate:
    """Says which translated images lie outside what the classifier learnt from.

    The score is the mean distance to the ``NEIGHBOURS`` nearest training images in the features of
    a fold's classifier (Sun et al. 2022, arXiv:2204.06507), mean over folds. A fold's threshold is
    the score that ``SHARE`` of its own validation images stay below, that of the gate the mean over
    folds, as with the classifier's. No label sets it, no target image and no hold-out.

    Attributes
    ----------
    known : features (M, K) of each fold's training images, unit length
    """

    classifier: FoldEnsemble
    known: Sequence[Tensor]
    threshold: float

    @classmethod
    def fit(cls, classifier: FoldEnsemble, stack: Tensor, folds: np.ndarray) -> Gate:
        """Learn from the source's training images, uint8 (N, 1, H, W), and their folds (N,)."""
        soft = soften(stack, classifier.blur)
        known, limits = [], []
        for fold, network in enumerate(classifier.networks):
            features, _ = _read(network, soft)
            inside = torch.as_tensor(folds == fold)
            known.append(features[~inside])
            distances = _distances(features[inside], known[-1]).numpy()
            limits.append(np.quantile(distances, SHARE))
        return cls(classifier, known, float(np.mean(limits)))

    def score(self, stack: Tensor) -> np.ndarray:
        """Scores (N,) of uint8 images (N, 1, H, W): 0 as the known ones, 2 the opposite."""
        return self.read(stack)[0]

    def read(self, stack: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """As ``score``, and the classifier's probabilities (N,), from one pass of its networks."""
        soft = soften(stack, self.classifier.blur)
        distances, logits = [], []
        for network, known in zip(self.classifier.networks, self.known, strict=True):
            features, own = _read(network, soft)
            distances.append(_distances(features, known))
            logits.append(own.double().numpy())
        return torch.stack(distances).mean(0).double().numpy(), self.classifier.combined(logits)

    def passes(self, scores: np.ndarray) -> np.ndarray:
        """Whether each score lies within the threshold."""
        return scores <= self.threshold


def _distances(features: Tensor, known: Tensor) -> Tensor:
    return torch.cdist(features, known).topk(NEIGHBOURS, largest=False)[0].mean(1)


def _read(network: nn.Module, stack: Tensor) -> tuple[Tensor, Tensor]:
    """Pooled features (N, K) of a timm network, unit length, and its logits (N,), on the CPU."""
    features, logits = [], []
    batches = prediction_batches(network, stack)
    with torch.inference_mode():
        for images in batches:
            maps = network.forward_features(images)
            features.append(network.forward_head(maps, pre_logits=True).flatten(1).float().cpu())
            logits.append(network.forward_head(maps)[:, 0].float().cpu())
    return nn.functional.normalize(torch.cat(features)), torch.cat(logits)
