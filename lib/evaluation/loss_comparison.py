"""Texture losses beside each other: what each can know, and what each does to a translator.

A factorial of texture losses and constraints at one dose, with further doses and weight rules where
they matter, read by two readers. All cells have the same images, steps and seeds; each is held
against the same translator without a texture loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import pandas as pd
import torch
from torch import nn

from engine.progress import progress
from lib.data.dataset import Dataset
from lib.evaluation.arms import predict
from lib.evaluation.fidelity import compare, judge_sight, measure, spoken_of
from lib.evaluation.identification import COUNT, identification, loss_matrix
from lib.evaluation.metrics import combine_folds
from lib.evaluation.relevance import with_verdicts
from lib.evaluation.repeats import differences_over_seeds, metrics_by_seed
from lib.models.classifier import FoldEnsemble, to_unit
from lib.models.fitting import TranslatorRecipe, fit_classifiers, fit_translators
from lib.models.judges import STRUCTURES, Reader, fit_judges
from lib.models.parameters import TextureName
from lib.models.simulation import training_looks
from lib.models.texture import build_texture_loss
from lib.models.translation import translate

NONE = "none"
LOSSES = tuple(loss for loss in get_args(TextureName) if loss != NONE)

# What ties a translation to its image beside the texture loss: the weights of the published study
# (and no image pool, as there), those of the parameters, and nothing at all.
CONSTRAINTS = {
    "published": dict(cycle_weight=1.0, identity_weight=1.0, pool_size=0),
    "profile": {},
    "free": dict(cycle_weight=0.0, identity_weight=0.0),
}
# `random` and `energy` are left to the table of what a loss can know: each more costs 15 trainings.
COMPARED = (
    "efficientnet", "imagenet_early", "imagenet_middle", "classifier", "gram", "gradient", "mind",
    "structure",
)  # fmt: skip
DOSE = 0.1  # of the adversarial loss's gradient, by the rule gradient_ratio
DOSES = (0.03, 0.3, 1.0, 3.0)  # and these for the losses that matter most
DOSED = ("efficientnet", "mind", "structure")
BOUNDED = ("efficientnet", "imagenet_early", "mind", "structure")
PAIRS = 400  # photographs of one object, by 50 machines, that a bound is measured on


@dataclass(frozen=True)
class Cell:
    """One way to train a translator: constraint, texture loss and how it is weighed.

    ``rule``: gradient_ratio at ``dose``; linear, as published, from 1 to 0.1; constrained, with
    the bound of ``bounds``; constant at 0 where the loss is none.
    """

    constraint: str
    loss: str
    rule: str = "gradient_ratio"
    dose: float = DOSE

    @property
    def name(self) -> str:
        """As it stands in tables and metrics, the dose in percent."""
        if self.loss == NONE:
            return f"{self.constraint}_{NONE}"
        how = f"{100 * self.dose:.0f}" if self.rule == "gradient_ratio" else self.rule
        return f"{self.constraint}_{self.loss}_{how}"

    @property
    def against(self) -> str:
        """The cell of this constraint without a texture loss."""
        return f"{self.constraint}_{NONE}"

    def recipe(self, target: str, steps: int, bounds: Mapping[str, float]) -> TranslatorRecipe:
        """Its translator of images of ``target``, trained for so many steps."""
        changes = dict(CONSTRAINTS[self.constraint], translator_steps=steps)
        here = [target]
        if self.loss == NONE:
            return TranslatorRecipe(here, False, changes)
        changes |= dict(texture_loss=self.loss, texture_rule=self.rule, texture_weight=self.dose)
        if self.rule == "linear":
            changes |= dict(texture_weight=1.0, texture_final_weight=0.1)
        if self.rule == "constrained":
            # The rule holds the sum over both ways of a translation to its bound.
            changes |= dict(texture_bound=2 * bounds[self.loss])
        return TranslatorRecipe(here, True, changes)


CELLS = (
    *(Cell(constraint, loss) for constraint in CONSTRAINTS for loss in (NONE, *COMPARED)),
    *(Cell("profile", loss, dose=dose) for loss in DOSED for dose in DOSES),
    *(Cell("profile", loss, "constrained") for loss in BOUNDED),
    Cell("published", "efficientnet", "linear"),
)


def identify(dataset: Dataset, rows: pd.DataFrame, classifier: nn.Module) -> pd.DataFrame:
    """``identification`` of every loss on the first ``COUNT`` of ``rows``, whose truth is known.

    ``classifier`` is the grey source classifier, for losses made of its features.
    """
    few = rows.head(COUNT)
    looks, truth = dataset.stack(few), dataset.truth(few)
    matrices = {}
    for loss in progress(LOSSES, label="losses compared"):
        build = build_texture_loss(loss, classifier, dataset.params)
        matrices[loss] = loss_matrix(build, looks, truth)
    return identification(matrices)


def bounds(dataset: Dataset, losses: Iterable[str], classifier: nn.Module) -> dict[str, float]:
    """What each loss says of two photographs of one object: by a random machine and the good one.

    A translation to which it says no more has lost no more than a change of device takes. Measured
    on what the simulated arm learns from, so no truth of a target is used.
    """
    looks = training_looks(dataset)
    count, machines = looks.others.shape[:2]
    rows = range(min(count, PAIRS // machines))
    pairs = [
        (to_unit(look[None, None]), to_unit(looks.home[row][None]))
        for row in rows
        for look in looks.others[row]
    ]
    found = {}
    for name in losses:
        loss = build_texture_loss(name, classifier, dataset.params)
        with torch.inference_mode():
            each = [loss(*pair) for pair in pairs]
        found[name] = float(torch.stack(each).mean())
    return found


def classifiers(dataset: Dataset) -> dict[str, FoldEnsemble]:
    """The grey source classifier as the parameters have it, and one that sees the finest grain."""
    blurs = {"sharp": 0.0}
    if dataset.params.classifier_blur:
        blurs = {"blurred": dataset.params.classifier_blur, **blurs}
    return {
        name: fit_classifiers(dataset.with_params(classifier_blur=blur), kinds=["grey"])[
            "grey"
        ].ensemble
        for name, blur in blurs.items()
    }


def _segmenter(dataset: Dataset, rows: pd.DataFrame) -> tuple[Reader | None, list[str]]:
    """What reads structures in images, and those of them that it can be trusted with."""
    _, segment = fit_judges(dataset, dataset.params.target_domain)
    if segment is None:
        return None, []
    sight = judge_sight(segment, dataset.truth(rows), dataset.structures(rows), STRUCTURES)
    return segment, spoken_of(sight)


def train_study(
    dataset: Dataset, rows: pd.DataFrame, seeds: Iterable[int], steps: int,
    cells: Sequence[Cell] = CELLS,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Train every cell from every seed, judge it on ``rows``, and hold it against its own none.

    What is trained lies in the store: a study that was broken off goes on where it was.

    Parameters
    ----------
    steps
        Of every translator.

    Returns
    -------
    Columns arm (``Cell.name``), against, reader (blurred, sharp; empty for the likeness to the
    truth), metric, difference, low, high, n, seeds, verdict (``relevance.verdict``: not corrected
    for the number of cells); and arm, seed, reader, auc of every training.
    """
    target = dataset.params.target_domain
    grey = dataset.stack(rows)
    segment, structures = _segmenter(dataset, rows)
    predictions, limits, alike = [], [], []
    for seed in progress(list(seeds), label="seeds of the study"):
        seeded = dataset.with_params(seed=seed)
        judges = classifiers(seeded)
        judge = next(iter(judges.values())).networks[0]
        lost = bounds(seeded, {cell.loss for cell in cells if cell.rule == "constrained"}, judge)
        recipes = {cell.name: cell.recipe(target, steps, lost) for cell in cells}
        fits = fit_translators(seeded, recipes, judge)
        looks = {arm: translate(networks.to_source, grey) for arm, (networks, _) in fits.items()}
        for reader, ensemble in judges.items():
            for arm, stack in looks.items():
                table = combine_folds(predict(ensemble, stack, rows, arm, seed))
                predictions.append(table.assign(reader=reader))
                cut = dict(reader=reader, arm=arm, seed=seed, threshold=ensemble.threshold)
                limits.append(cut)
        if dataset.has_truth(target):
            read = {arm: segment(stack) for arm, stack in looks.items()} if structures else {}
            alike.append(measure(seeded, rows, looks, seed, read, structures))
    pairs = {cell.name: cell.against for cell in cells if cell.loss != NONE}
    every, cuts = pd.concat(predictions, ignore_index=True), pd.DataFrame(limits)
    parts, single = [], []
    for reader, own in every.groupby("reader", sort=False):
        cut = cuts[cuts["reader"] == reader]
        found = with_verdicts(differences_over_seeds(own, cut, pairs))
        parts.append(found.assign(reader=reader))
        single.append(metrics_by_seed(own, cut).assign(reader=reader))
    if alike:
        parts.append(compare(pd.concat(alike, ignore_index=True), pairs).assign(reader=""))
    columns = ["arm", "against", "reader", "metric", "difference", "low", "high", "n", "seeds",
               "verdict"]  # fmt: skip
    return (
        pd.concat(parts, ignore_index=True)[columns],
        pd.concat(single, ignore_index=True)[["arm", "seed", "reader", "auc"]],
    )
