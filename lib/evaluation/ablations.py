"""What one change to the recipe does: to the classification, and to the image where it is known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engine.progress import progress
from lib.data.dataset import Dataset
from lib.data.framing import crop
from lib.evaluation.intervals import mean_interval
from lib.evaluation.quality import paired_image_quality
from lib.evaluation.statistics import metric_intervals
from lib.models.cyclegan import Generator
from lib.models.translation import translate


def ablation_table(
    combined: pd.DataFrame, threshold: float, stacks: Mapping[str, Tensor]
) -> pd.DataFrame:
    """AUC and balanced accuracy of every stack, SSIM and PSNR where ``stacks`` holds the truth.

    Parameters
    ----------
    combined
        Output of ``metrics.combine_folds``; an arm is a name of ``stacks``.
    threshold
        The frozen one.
    stacks
        Name to uint8 (N, 1, H, W), the predicted images; ``truth`` is what they should be.

    Returns
    -------
    Columns arm, metric, value, low, high, n; 95 % BCa intervals, metrics over groups at the frozen
    threshold, image quality (a mean) over images.
    """
    parts = []
    for arm, stack in progress(stacks.items(), label="intervals of arms"):
        metrics = metric_intervals(combined[combined["arm"] == arm], threshold)
        metrics = metrics[metrics["metric"].isin(["auc", "balanced_accuracy"])]
        parts.append(metrics.drop(columns="groups").assign(arm=arm))
        if "truth" in stacks and arm != "truth":
            quality = paired_image_quality(stacks["truth"], stack)
            means = [
                dict(arm=arm, metric=name, **mean_interval(quality[name].to_numpy()))
                for name in quality
            ]
            parts.append(pd.DataFrame(means))
    order = ["arm", "metric", "value", "low", "high", "n"]
    return pd.concat(parts, ignore_index=True)[order]


def translate_unframed(generator: Generator, dataset: Dataset, rows: pd.DataFrame) -> Tensor:
    """Translate whole frames, then crop the embryo as framing would; uint8 (N, 1, size, size)."""
    p = dataset.params
    whole = translate(generator, dataset.stack(rows, framed=False))
    frames = dataset.frames.set_index("id").loc[rows["id"]]
    cropped = []
    for image, row, frame in zip(whole, rows.itertuples(), frames.itertuples(), strict=True):
        # From pixels of the photograph to pixels of the padded or cropped square.
        longer, shorter = max(row.width, row.height), min(row.width, row.height)
        scale = p.image_size / (longer if p.fit == "pad" else shorter)
        x, y = (
            (place - (length - 1) / 2) * scale + (p.image_size - 1) / 2
            for place, length in ((frame.x, row.width), (frame.y, row.height))
        )
        picture = image[0].numpy()
        if frame.found:
            picture = crop(picture, x, y, frame.radius * scale, p.field_of_view, p.image_size)
        cropped.append(torch.from_numpy(np.array(picture)))
    return torch.stack(cropped)[:, None]
