"""Losses that compare what a frozen network makes of two images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeatureLoss(nn.Module):
    """A loss of two batches (N, 1, H, W) in [-1, 1] by their features; 0 for equal images.

    Features are made of one image at a time, so many pairs of few images need each image's once.
    """

    def features(self, images: Tensor) -> Sequence[Tensor]:
        """Any number of tensors (N, ...)."""
        raise NotImplementedError

    def compare(self, translated: Sequence[Tensor], original: Sequence[Tensor]) -> Tensor:
        """Mean squared error, mean over the features."""
        each = [F.mse_loss(*pair) for pair in zip(translated, original, strict=True)]
        return torch.stack(each).mean()

    def forward(self, translated: Tensor, original: Tensor) -> Tensor:
        both = self.features(torch.cat([translated, original]))
        return self.compare(*zip(*(part.chunk(2) for part in both), strict=True))
