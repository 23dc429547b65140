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
from lib.evaluation.fidelity import measure, summarise
from lib.evaluation.statistics import metric_intervals
from lib.models.cyclegan import Generator
from lib.models.translation import translate


def ablation_table(
    dataset: Dataset, rows: pd.DataFrame, stacks: Mapping[str, Tensor], combined: pd.DataFrame,
    threshold: float,
) -> pd.DataFrame:  # fmt: skip
    """AUC and balanced accuracy of every stack of ``rows``; its fidelity where the truth is known.

    Parameters
    ----------
    stacks
        Name to uint8 (N, 1, H, W), the predicted images; ``truth`` is what they should be, and has
        no fidelity.
    combined
        Output of ``metrics.combine_folds``; an arm is a name of ``stacks``.
    threshold
        The frozen one.

    Returns
    -------
    Columns arm, metric, value, low, high, n; 95 % BCa intervals, metrics over groups at the frozen
    threshold, those of ``fidelity.likeness`` (a mean) over images.
    """
    parts = []
    for arm in progress(stacks, label="intervals of arms"):
        metrics = metric_intervals(combined[combined["arm"] == arm], threshold)
        metrics = metrics[metrics["metric"].isin(["auc", "balanced_accuracy"])]
        parts.append(metrics.drop(columns="groups").assign(arm=arm))
    if dataset.has_truth(rows["domain"].iloc[0]):
        looks = {arm: stack for arm, stack in stacks.items() if arm != "truth"}
        parts.append(summarise(measure(dataset, rows, looks, dataset.params.seed)))
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
