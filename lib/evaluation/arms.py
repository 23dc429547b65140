"""The arms: the ways to read target images with what was learnt on the source.

A new method without training is one more function in ``CONTROLS``, a translator or a classifier
that is trained one more of the scene.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engine.progress import progress
from lib.data.dataset import Dataset
from lib.evaluation.controls import fourier_adapt, histogram_match
from lib.evaluation.groups import group_of, has_own_reader, place_of
from lib.evaluation.metrics import binary_metrics, combine_folds, confusion
from lib.evaluation.statistics import gap_closed, metric_intervals
from lib.models.calibration import choose_threshold
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import Generator
from lib.models.fitting import FoldFit, fit_classifiers, seconds_of
from lib.models.rivals import fit_rivals
from lib.models.translation import translate


@dataclass(frozen=True)
class Scene:
    """What an arm may use: the evaluated images, all training images, classifiers, translators.

    ``classifiers`` are those of ``fit_readers``: all but the first three are arms that see the
    grey images; ``translators`` maps an arm to the generator that it sends images through.
    """

    dataset: Dataset
    rows: pd.DataFrame
    classifiers: Mapping[str, FoldEnsemble]
    translators: Mapping[str, Generator] = field(default_factory=dict)

    def grey(self) -> Tensor:
        """The evaluated images in luma, uint8 (N, 1, H, W)."""
        return self.dataset.stack(self.rows)

    def reference(self) -> Tensor:
        """Training images of the source domain, uint8 (M, 1, H, W)."""
        params = self.dataset.params
        return self.dataset.stack(self.dataset.rows(params.source_domain, "train"))

    def unlabelled(self) -> Tensor:
        """Images of the evaluated domain that an arm may adapt to, without their labels.

        Those that a translator sees: its training part, or all of it in a transductive run.
        """
        part = "" if self.dataset.params.transductive else "train"
        return self.dataset.stack(self.dataset.rows(self.rows["domain"].iloc[0], part))


TIMED = 64  # images that the use of an arm is timed on, the first

# What an arm shows, and the classifier it shows it to.
Arm = tuple[Tensor, FoldEnsemble]

CONTROLS: dict[str, Callable[[Scene], Arm]] = {
    "raw": lambda scene: (scene.dataset.stack(scene.rows, "rgb"), scene.classifiers["rgb"]),
    "grey": lambda scene: (scene.grey(), scene.classifiers["grey"]),
    "recalibrated": lambda scene: (
        scene.grey(),
        scene.classifiers["grey"].with_matched_thresholds(scene.unlabelled()),
    ),
    "adabn": lambda scene: (
        scene.grey(),
        scene.classifiers["grey"].with_target_statistics(scene.unlabelled()),
    ),
    "augmented": lambda scene: (scene.grey(), scene.classifiers["augmented"]),
    "histogram": lambda scene: (
        histogram_match(scene.grey(), scene.reference()),
        scene.classifiers["grey"],
    ),
    "fda": lambda scene: (
        fourier_adapt(scene.grey(), scene.reference(), scene.dataset.params.fda_beta),
        scene.classifiers["grey"],
    ),
}


def fit_readers(dataset: Dataset, domain: str) -> dict[str, FoldFit]:
    """The source classifiers and, with ``rivals``, all that are adapted to ``domain``."""
    fits = fit_classifiers(dataset)
    return fits | fit_rivals(dataset, domain, fits["grey"]) if dataset.params.rivals else fits


def home_predictions(holdout: pd.DataFrame, arms: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Arm to the predictions of its classifier on the source hold-out.

    ``holdout`` is that prediction table of notebook 02, where an arm is a classifier. Arms whose
    classifier it did not train are left out.
    """
    tables = dict(list(combine_folds(holdout).groupby("arm")))
    names = {"raw": "rgb", "augmented": "augmented"}
    return {arm: tables[names.get(arm, "grey")] for arm in arms if not has_own_reader(arm)}


def show_arms(scene: Scene, controls: Iterable[str] = tuple(CONTROLS)) -> dict[str, Arm]:
    """Every arm by its group: controls, classifiers of their own, translators, the oracle.

    The oracle only where the truth is known.
    """
    shown = {arm: CONTROLS[arm](scene) for arm in controls}
    judge = scene.classifiers["grey"]
    own = {arm: reader for arm, reader in scene.classifiers.items() if has_own_reader(arm)}
    shown |= {arm: (scene.grey(), reader) for arm, reader in own.items()}
    for arm, generator in progress(scene.translators.items(), label="translations"):
        shown[arm] = translate(generator, scene.grey()), judge
    if scene.dataset.has_truth(scene.rows["domain"].iloc[0]):
        shown["oracle"] = scene.dataset.truth(scene.rows), judge
    return {arm: shown[arm] for arm in sorted(shown, key=place_of)}


def unchanged(stacks: Mapping[str, Tensor]) -> list[str]:
    """The arms that show the grey image as it is, to another classifier or threshold."""
    grey = stacks["grey"]
    return [arm for arm, stack in stacks.items() if arm != "grey" and torch.equal(stack, grey)]


def predict_arms(
    shown: Mapping[str, Arm], rows: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Prediction table of all arms, and the frozen threshold of each arm's classifier."""
    judged = progress(shown.items(), label="arms judged")
    tables = [predict(judge, stack, rows, arm, seed) for arm, (stack, judge) in judged]
    frozen = {arm: judge.threshold for arm, (_, judge) in shown.items()}
    return pd.concat(tables, ignore_index=True), frozen


def arm_costs(
    scene: Scene, readers: Mapping[str, FoldFit], histories: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Cost of every arm of ``scene`` that a clinic could use.

    Parameters
    ----------
    scene
        As ``arms.show_arms`` takes it.
    readers
        Output of ``arms.fit_readers``.
    histories
        Translator to the history of its training.

    Returns
    -------
    Columns arm, group, minutes (processor time of all trainings that it needs, its classifier's
    included; NaN where one was broken off and went on) and images_per_second (of reading framed
    images, with what an arm does to the images before; of this machine and what else it did).
    """
    few = Scene(scene.dataset, scene.rows.head(TIMED), scene.classifiers, scene.translators)
    rows = []
    arms = [*CONTROLS, *(arm for arm in readers if arm not in ("rgb", "grey")), *scene.translators]
    for arm in progress(dict.fromkeys(arms), label="arms timed"):
        reader = {"raw": "rgb"}.get(arm, arm if arm in readers else "grey")
        seconds = readers[reader].seconds
        if arm in histories:
            seconds += seconds_of(histories[arm])
        start = time.perf_counter()
        if arm in CONTROLS:
            stack, judge = CONTROLS[arm](few)
        elif arm in scene.translators:
            stack, judge = translate(scene.translators[arm], few.grey()), scene.classifiers["grey"]
        else:
            stack, judge = few.grey(), scene.classifiers[arm]
        predict(judge, stack, few.rows, arm, 0)
        rate = len(few.rows) / (time.perf_counter() - start)
        rows.append(
            dict(arm=arm, group=group_of(arm), minutes=seconds / 60, images_per_second=rate)
        )
    return pd.DataFrame(rows)


def threshold_table(domain: str, frozen: Mapping[str, float], seed: int) -> pd.DataFrame:
    """The frozen thresholds as a table that is kept beside the predictions of ``domain``.

    Columns domain, arm, seed, threshold.
    """
    rows = [
        dict(domain=domain, arm=arm, seed=seed, threshold=threshold)
        for arm, threshold in frozen.items()
    ]
    return pd.DataFrame(rows)


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
        Output of ``metrics.combine_folds``.
    frozen
        Arm to the threshold that source validation chose.

    Returns
    -------
    Columns arm, protocol, threshold, metric, value, low, high, n, groups. ``optimistic`` chooses
    the threshold on the labels it is judged by, as the published evaluation did.
    """
    parts = []
    for arm, table in progress(combined.groupby("arm", sort=False), label="intervals of arms"):
        label, score = table["label"].to_numpy(), table["score"].to_numpy()
        thresholds = dict(frozen=frozen[arm], optimistic=choose_threshold(label, score))
        for protocol, threshold in thresholds.items():
            metrics = metric_intervals(table, threshold, resamples)
            parts.append(metrics.assign(arm=arm, protocol=protocol, threshold=threshold))
    order = ["arm", "protocol", "threshold", "metric", "value", "low", "high", "n", "groups"]
    return pd.concat(parts, ignore_index=True)[order]


def as_text(comparison: pd.DataFrame, part: str = "protocol") -> pd.DataFrame:
    """Table 2 as printed: a row per ``part`` and arm, a column per metric, value [low, high]."""
    text = [
        f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
        if np.isfinite(row.value)
        else "undefined"
        for row in comparison.itertuples()
    ]
    return comparison.assign(text=text).pivot_table(
        "text", [part, "arm"], "metric", "first", sort=False
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
        for arm, table in progress(tables.items(), label="intervals of arms")
        if arm not in ("raw", "oracle")
    ]
    return pd.DataFrame(rows)
