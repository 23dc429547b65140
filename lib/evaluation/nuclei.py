"""How well found nuclei agree with drawn ones, field by field and over all fields.

A field without nuclei has no F1: were it 1, empty fields would lift a mean that says nothing of
nuclei. Each field therefore has the sums that its scores are ratios of, and ``pooled`` adds those
up, so that every nucleus counts alike.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor

from lib.models.nuclei_maps import matched_centroids, whole_nuclei

RATIOS = ("f1", "precision", "recall", "pq", "aji", "dice")  # in [0, 1]
METRICS = (*RATIOS, "count_error")
SAME = 0.5  # intersection over union beyond which a found nucleus is the drawn one


def nuclei_scores(
    found: Tensor, truth: Tensor, rows: pd.DataFrame, um_per_px: float
) -> pd.DataFrame:
    """All of ``METRICS`` of every field, and the sums they come from.

    Slivers at the edge are no nuclei, found or drawn (``nuclei_maps.SMALLEST``).

    Parameters
    ----------
    found, truth : int32 (N, 1, H, W), 0 background, else nuclei
    rows : of the image table, in that order
    um_per_px : of the maps

    Returns
    -------
    Columns id, domain, label, group; ``METRICS``, NaN where a field has no such ratio; nuclei
    (drawn), found, matched (by centroids, within ``nuclei_maps.RADIUS``); overlap (sum of the
    intersections over unions beyond ``SAME``); shared, joined (px, of AJI); common, marked (px, of
    Dice). ``count_error`` is the difference of the numbers of nuclei, without sign.
    """
    scores = pd.DataFrame(
        [
            _sums(*(whole_nuclei(own, um_per_px) for own in pair), um_per_px)
            for pair in zip(found[:, 0].numpy(), truth[:, 0].numpy(), strict=True)
        ]
    )
    for metric in RATIOS:
        top, bottom = ratio(scores, metric)
        scores[metric] = top / bottom.where(bottom > 0)
    scores["count_error"] = (scores["found"] - scores["nuclei"]).abs().astype(float)
    keys = rows[["id", "domain", "label", "group"]].reset_index(drop=True)
    sums = [name for name in scores if name not in METRICS]
    return pd.concat([keys, scores[[*METRICS, *sums]]], axis=1)


def ratio(scores: pd.DataFrame, metric: str) -> tuple[pd.Series, pd.Series]:
    """What one of ``RATIOS`` is the ratio of, in every row of a table of ``nuclei_scores``.

    F1 is 2 TP / (2 TP + FP + FN), by centroids. PQ: Kirillov et al. 2019, arXiv:1801.00868,
    equation 1. AJI: Kumar et al. 2017, doi:10.1109/TMI.2017.2677499, algorithm 1. Dice is of
    nuclear pixels.
    """
    s = scores
    every = s["found"] + s["nuclei"]
    return {
        "f1": (2 * s["matched"], every),
        "precision": (s["matched"], s["found"]),
        "recall": (s["matched"], s["nuclei"]),
        "pq": (2 * s["overlap"], every),
        "aji": (s["shared"], s["joined"]),
        "dice": (2 * s["common"], s["marked"]),
    }[metric]


def pooled(scores: pd.DataFrame, metric: str = "f1") -> float:
    """One of ``RATIOS`` over the nuclei of all fields together; NaN where there are none."""
    top, bottom = (part.sum() for part in ratio(scores, metric))
    return float(top / bottom) if bottom else float("nan")


def _sums(found: np.ndarray, truth: np.ndarray, um_per_px: float) -> dict[str, float]:
    """The columns of ``nuclei_scores`` that are no ratios, of two maps numbered without gaps."""
    count, wanted = int(found.max()), int(truth.max())
    both = np.zeros((count + 1, wanted + 1), int)
    np.add.at(both, (found.ravel(), truth.ravel()), 1)
    sizes, drawn = both.sum(1), both.sum(0)
    # Number 0 is the background; emptied, it is the partner of what overlaps nothing.
    both[0], both[:, 0], sizes[0], drawn[0] = 0, 0, 0, 0
    either = sizes[:, None] + drawn - both
    same = both / np.maximum(either, 1)
    partners, nuclei = same.argmax(0)[1:], np.arange(1, wanted + 1)
    left_over = np.delete(sizes, partners).sum()
    return dict(
        nuclei=wanted,
        found=count,
        matched=matched_centroids(found, truth, um_per_px),
        overlap=float(same[same > SAME].sum()),
        shared=int(both[partners, nuclei].sum()),
        joined=int(either[partners, nuclei].sum() + left_over),
        common=int(both.sum()),
        marked=int(sizes.sum() + drawn.sum()),
    )
