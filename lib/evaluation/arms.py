"""The arms: the ways to show target images to a classifier that was trained on the source.

A new method without training is one more function in ``CONTROLS``, one with training one more
translator of the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from torch import Tensor

from lib.data.dataset import Dataset
from lib.evaluation.controls import fourier_adapt, histogram_match
from lib.evaluation.metrics import binary_metrics, confusion
from lib.evaluation.statistics import gap_closed, metric_intervals
from lib.models.calibration import choose_threshold
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import Generator
from lib.models.translation import translate


@dataclass(frozen=True)
class Scene:
    """What an arm may use: the evaluated images, the source's training images, the translators.

    ``translators`` maps an arm to the generator that it sends images through.
    """

    dataset: Dataset
    rows: pd.DataFrame
    translators: Mapping[str, Generator] = field(default_factory=dict)

    def grey(self) -> Tensor:
        """The evaluated images in luma, uint8 (N, 1, H, W)."""
        return self.dataset.stack(self.rows)

    def reference(self) -> Tensor:
        """Training images of the source domain, uint8 (M, 1, H, W)."""
        params = self.dataset.params
        return self.dataset.stack(self.dataset.rows(params.source_domain, "train"))


CONTROLS: dict[str, Callable[[Scene], Tensor]] = {
    "raw": lambda scene: scene.dataset.stack(scene.rows, "rgb"),
    "grey": Scene.grey,
    "histogram": lambda scene: histogram_match(scene.grey(), scene.reference()),
    "fda": lambda scene: fourier_adapt(
        scene.grey(), scene.reference(), scene.dataset.params.fda_beta
    ),
}


def show_arms(scene: Scene) -> dict[str, Tensor]:
    """Stack of every arm: controls, translators, and the oracle where the truth is known."""
    stacks = {arm: make(scene) for arm, make in CONTROLS.items()}
    for arm, generator in scene.translators.items():
        stacks[arm] = translate(generator, scene.grey())
    if scene.dataset.has_truth(scene.rows["domain"].iloc[0]):
        stacks["oracle"] = scene.dataset.truth(scene.rows)
    return stacks


def predict(
    ensemble: FoldEnsemble, stack: Tensor, rows: pd.DataFrame, arm: str, seed: int
) -> pd.DataFrame:
    """Prediction table of one arm: one row per image and fold."""
    keys = rows[["id", "domain", "label", "group"]]
    scores = ensemble.fold_scores(stack)
    parts = [
        keys.assign(arm=arm, seed=seed, fold=fold, score=score) for fold, score in enumerate(scores)
    ]
    return pd.concat(parts, ignore_index=True)


def combine_folds(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per image and arm: the mean of the folds' calibrated logits, as a probability.

    ``fold`` is -1 there. The order of arms and images is kept.
    """
    limited = predictions["score"].clip(1e-12, 1 - 1e-12)
    logits = predictions.assign(score=np.log(limited / (1 - limited)))
    keys = ["arm", "seed", "id", "domain", "label", "group"]
    mean = logits.groupby(keys, sort=False, as_index=False)["score"].mean()
    return mean.assign(fold=-1, score=1 / (1 + np.exp(-mean["score"])))


def fold_metrics(predictions: pd.DataFrame, thresholds: Sequence[float]) -> pd.DataFrame:
    """Metrics of every fold's model at its own frozen threshold; columns fold and the metrics."""
    rows = [
        dict(fold=fold, **binary_metrics(table["label"], table["score"], thresholds[fold]))
        for fold, table in predictions.groupby("fold")
    ]
    return pd.DataFrame(rows)


def compare_arms(
    combined: pd.DataFrame, frozen: Mapping[str, float], resamples: int = 2000
) -> pd.DataFrame:
    """Table 2: every metric of every arm with its interval, under both protocols.

    Parameters
    ----------
    combined
        Output of ``combine_folds``.
    frozen
        Arm to the threshold that source validation chose.

    Returns
    -------
    Columns arm, protocol, threshold, metric, value, low, high, n, groups. ``optimistic`` chooses
    the threshold on the labels it is judged by, as the published evaluation did.
    """
    parts = []
    for arm, table in combined.groupby("arm", sort=False):
        label, score = table["label"].to_numpy(), table["score"].to_numpy()
        thresholds = dict(frozen=frozen[arm], optimistic=choose_threshold(label, score))
        for protocol, threshold in thresholds.items():
            metrics = metric_intervals(table, threshold, resamples)
            parts.append(metrics.assign(arm=arm, protocol=protocol, threshold=threshold))
    order = ["arm", "protocol", "threshold", "metric", "value", "low", "high", "n", "groups"]
    return pd.concat(parts, ignore_index=True)[order]


def as_text(comparison: pd.DataFrame) -> pd.DataFrame:
    """Table 2 as printed: a row per protocol and arm, a column per metric, value [low, high]."""
    numbers = comparison[["value", "low", "high"]].itertuples(index=False)
    text = [f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in numbers]
    return comparison.assign(text=text).pivot_table(
        "text", ["protocol", "arm"], "metric", "first", sort=False
    )


def confusions(combined: pd.DataFrame, frozen: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Confusion matrix (2, 2) of every arm at its frozen threshold."""
    return {
        arm: confusion(table["label"], table["score"], frozen[arm])
        for arm, table in combined.groupby("arm", sort=False)
    }


def gaps_closed(combined: pd.DataFrame, resamples: int = 2000) -> pd.DataFrame:
    """Share of the AUC gap from raw to oracle that each arm between them closes."""
    tables = dict(list(combined.groupby("arm", sort=False)))
    rows = [
        dict(arm=arm, **gap_closed(tables["raw"], table, tables["oracle"], resamples))
        for arm, table in tables.items()
        if arm not in ("raw", "oracle")
    ]
    return pd.DataFrame(rows)
