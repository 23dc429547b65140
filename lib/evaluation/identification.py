"""Which texture losses know an object across devices: asked before any training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.evaluation.intervals import mean_interval, share_interval
from lib.models.classifier import to_unit
from lib.models.feature_loss import FeatureLoss
from lib.models.texture import TextureLoss

COUNT = 40  # objects that each is told from


@torch.inference_mode()
def loss_matrix(loss: TextureLoss, looks: Tensor, truth: Tensor) -> np.ndarray:
    """``loss`` between every photograph and every true one, float64 (N, N).

    Parameters
    ----------
    looks, truth : uint8 (N, 1, H, W), the same objects by another device and by the good one

    Returns
    -------
    Row i: photograph i against the true photographs of all objects, its own on the diagonal.
    """
    compare, looks, truth = loss, [to_unit(looks)], [to_unit(truth)]
    if isinstance(loss, FeatureLoss):
        looks, truth = loss.features(*looks), loss.features(*truth)

        def compare(*pair: Tensor) -> Tensor:
            return loss.compare(pair[: len(truth)], pair[len(truth) :])

    def from_all(number: int) -> Tensor:
        own = [part[number][None] for part in looks]
        return torch.func.vmap(lambda *true: compare(*(part[None] for part in true), *own))(*truth)

    return torch.stack([from_all(i) for i in range(len(looks[0]))]).double().cpu().numpy()


def identification(matrices: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """How well each loss finds an object again that another device has photographed.

    A loss that is as large between two photographs of one object as between those of two cannot
    keep an object through a translation: it measures the look alone.

    Parameters
    ----------
    matrices
        Loss to its ``loss_matrix``.

    Returns
    -------
    Columns loss, measure, value, low, high, n. ``first``: share of objects whose own loss is the
    smallest of N (95 % Wilson; by chance 1 / N). ``ratio``: own loss over the mean of that row (95
    % BCa over objects; 1 where the loss cannot tell).
    """
    rows = []
    for name, matrix in matrices.items():
        own, count = matrix.diagonal(), len(matrix)
        hits = int((matrix.argmin(axis=1) == np.arange(count)).sum())
        rows.append(dict(loss=name, measure="first", **share_interval(hits, count)))
        rows.append(dict(loss=name, measure="ratio", **mean_interval(own / matrix.mean(axis=1))))
    return pd.DataFrame(rows)
