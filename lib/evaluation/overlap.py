"""How well masks and instances of cells agree with those that were drawn, field by field."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.feature import peak_local_max
from skimage.segmentation import watershed
from torch import Tensor

SMALLEST = 12  # px; what is smaller is no cell
APART = 3  # px between the middles of two cells at least
MATCH = 0.5  # intersection over union from which on a found cell is a true one
SHARES = ("dice", "iou", "average_precision")  # in [0, 1]
METRICS = (*SHARES, "count_error")


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two bool masks; 1 where both are empty.

    Dice 1945; equation 6 of Aarnio et al. 2022, which leaves two empty masks open: nothing found
    where nothing is, is right.
    """
    total = found.sum() + truth.sum()
    return float(2 * (found & truth).sum() / total) if total else 1.0


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    """|A and B| / |A or B| of two bool masks (Jaccard); 1 where both are empty."""
    either = (found | truth).sum()
    return float((found & truth).sum() / either) if either else 1.0


def split_instances(mask: np.ndarray) -> np.ndarray:
    """Instance map (H, W) of a bool mask: cells that touch are cut where they are thinnest.

    Watershed of the distance to the outside, from its peaks ``APART`` or more from each other; what
    is smaller than ``SMALLEST`` is left out.
    """
    distance = ndimage.distance_transform_edt(mask)
    smooth = ndimage.gaussian_filter(distance, 1.0)
    areas = ndimage.label(mask)[0]
    peaks = peak_local_max(smooth, min_distance=APART, exclude_border=False, labels=areas)
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    instances = watershed(-smooth, seeds, mask=mask)
    return whole_cells(instances)


def matched(found: np.ndarray, truth: np.ndarray) -> int:
    """Cells of two instance maps that are the same, ``MATCH`` or more of their union in common.

    Each is matched once, so that as many are as can be (Hungarian method).
    """
    count, wanted = int(found.max()), int(truth.max())
    if not count or not wanted:
        return 0
    both = np.zeros((count + 1, wanted + 1))
    np.add.at(both, (found.ravel(), truth.ravel()), 1)
    either = both.sum(1, keepdims=True) + both.sum(0, keepdims=True) - both
    same = (both / np.maximum(either, 1) >= MATCH)[1:, 1:]
    return int(same[linear_sum_assignment(-same.astype(float))].sum())


def average_precision(found: np.ndarray, truth: np.ndarray) -> float:
    """Matched cells over matched, invented and missed ones (Caicedo et al. 2019, at one threshold).

    Of two instance maps; 1 where neither has a cell.
    """
    hits = matched(found, truth)
    every = int(found.max()) + int(truth.max()) - hits
    return hits / every if every else 1.0


def whole_cells(instances: np.ndarray) -> np.ndarray:
    """An instance map whose numbers run from 1 without gaps, without what is below ``SMALLEST``.

    At the edge of a tile lie slivers of cells that its neighbour shows.
    """
    sizes = np.bincount(instances.ravel())
    kept = np.where(sizes[instances] < SMALLEST, 0, instances)
    numbers = np.unique(kept)
    return (np.searchsorted(numbers[numbers > 0], kept) + 1) * (kept > 0)


def field_scores(found: Tensor, instances: Tensor, rows: pd.DataFrame) -> pd.DataFrame:
    """All of ``METRICS`` of every field.

    Parameters
    ----------
    found : bool (N, 1, H, W)
    instances : int32 (N, 1, H, W), drawn
    rows : of the image table, in that order

    Returns
    -------
    Columns id, domain, label, group, ``METRICS``, cells (drawn), found. ``count_error`` is the
    difference of the numbers of cells, without sign.
    """
    scores = []
    for mask, drawn in zip(found[:, 0].numpy(), instances[:, 0].numpy(), strict=True):
        own, cells, truth = split_instances(mask), whole_cells(drawn), drawn > 0
        count, wanted = int(own.max()), int(cells.max())
        scores.append(
            dict(dice=dice(mask, truth), iou=iou(mask, truth),
                 average_precision=average_precision(own, cells),
                 count_error=float(abs(count - wanted)), cells=wanted, found=count)
        )  # fmt: skip
    keys = rows[["id", "domain", "label", "group"]].reset_index(drop=True)
    return pd.concat([keys, pd.DataFrame(scores)], axis=1)
