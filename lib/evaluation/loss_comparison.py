"""Texture losses beside each other: what each can know, and what each does to a translator.

One factor at a time: every loss at one weight rule, every rule at one loss. All variants have the
same steps and seeds, and the same images but for the transductive twins, which also see the
evaluated ones. The rules differ in their course and not in their strength: constant and linear have
the mean weight that the gradient ratio arrived at, and the bound of the constrained rule is the
loss it left. So the parameters must name a loss and that rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

import pandas as pd
from torch import nn

from engine.errors import InputError
from engine.progress import progress
from lib.data.dataset import Dataset
from lib.evaluation.arms import predict
from lib.evaluation.fidelity import measure, summarise
from lib.evaluation.identification import COUNT, identification, loss_matrix
from lib.models.fitting import TranslatorRecipe, fit_classifiers, fit_translators
from lib.models.parameters import TextureName, TranslationParameters
from lib.models.texture import build_texture_loss
from lib.models.translation import translate

NONE = "none"
LOSSES = tuple(loss for loss in get_args(TextureName) if loss != NONE)
# The published weight falls to a tenth.
_FALL = 0.1


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


def loss_recipes(params: TranslationParameters) -> dict[str, TranslatorRecipe]:
    """No texture loss, each of ``LOSSES`` at the parameters' rule; transductive twins of two.

    Raises
    ------
    InputError
        The parameters name no loss, or another rule than the gradient ratio.
    """
    if params.texture_loss == NONE or params.texture_rule != "gradient_ratio":
        raise InputError(
            f"loss_study holds other rules against gradient_ratio, and texture_rule is "
            f"{params.texture_rule!r}, texture_loss {params.texture_loss!r}. Set both."
        )
    here = [params.target_domain]
    recipes = {NONE: TranslatorRecipe(here, texture=False)}
    for loss in LOSSES:
        recipes[loss] = TranslatorRecipe(here, True, {"texture_loss": loss})
    for name in (NONE, params.texture_loss):
        changes = {**recipes[name].changes, "transductive": True}
        recipes[f"{name}_transductive"] = replace(recipes[name], changes=changes)
    return recipes


def rule_recipes(
    params: TranslationParameters, history: pd.DataFrame
) -> dict[str, TranslatorRecipe]:
    """The other weight rules with the parameters' loss, and the published loss by its own rule.

    ``history`` is that of the same loss under the gradient ratio.
    """
    mean = float(history["texture_weight"].mean())
    left = float(history["texture"].tail(len(history) // 2).mean())
    first = 2 * mean / (1 + _FALL)
    rules = {
        "constant": dict(texture_weight=mean),
        "linear": dict(texture_weight=first, texture_final_weight=_FALL * first),
        "constrained": dict(texture_weight=mean, texture_bound=left),
    }
    here = [params.target_domain]
    recipes = {
        f"{params.texture_loss}_{rule}": TranslatorRecipe(
            here, True, {"texture_rule": rule, **weights}
        )
        for rule, weights in rules.items()
    }
    published = dict(texture_loss="efficientnet", texture_rule="linear", texture_weight=1.0,
                     texture_final_weight=_FALL)  # fmt: skip
    return recipes | {"published": TranslatorRecipe(here, True, published)}


def against(params: TranslationParameters) -> dict[str, str]:
    """Which variant each is held against: none, and the transductive ones their inductive twin."""
    names = [name for name in loss_recipes(params) if name != NONE]
    names += [f"{params.texture_loss}_{rule}" for rule in ("constant", "linear", "constrained")]
    return {name: _twin(name) for name in [*names, "published"]}


def _twin(name: str) -> str:
    stem, _, kind = name.rpartition("_")
    return stem if kind == "transductive" else NONE


def train_study(
    dataset: Dataset, rows: pd.DataFrame, seeds: Iterable[int]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train every variant from every seed and judge it on ``rows``.

    Returns
    -------
    Prediction table (arm is the variant); thresholds (arm, seed, threshold); ``summarise`` of the
    fidelity to the truth, without rows where that is not known.
    """
    params = dataset.params
    grey = dataset.stack(rows)
    predictions, limits, fidelity = [], [], []
    for seed in seeds:
        seeded = dataset.with_params(seed=seed)
        judge = fit_classifiers(seeded)["grey"].ensemble
        fits = fit_translators(seeded, loss_recipes(params), judge.networks[0])
        rules = rule_recipes(params, fits[params.texture_loss][1])
        fits |= fit_translators(seeded, rules, judge.networks[0])
        looks = {arm: translate(networks.to_source, grey) for arm, (networks, _) in fits.items()}
        for variant, stack in looks.items():
            predictions.append(predict(judge, stack, rows, variant, seed))
            limits.append(dict(arm=variant, seed=seed, threshold=judge.threshold))
        if dataset.has_truth(params.target_domain):
            fidelity.append(measure(seeded, rows, looks, seed))
    return (
        pd.concat(predictions, ignore_index=True),
        pd.DataFrame(limits),
        summarise(pd.concat(fidelity)) if fidelity else pd.DataFrame(columns=["arm", "metric"]),
    )


def factors(params: TranslationParameters) -> pd.DataFrame:
    """What each variant is: columns arm, loss, weight rule, translator."""
    own = {loss: (loss, params.texture_rule) for loss in LOSSES}
    own |= {NONE: (NONE, "zero"), "published": ("efficientnet", "linear")}
    rows = []
    for arm in [NONE, *against(params)]:
        stem = arm.removesuffix("_transductive")
        rule = stem.removeprefix(f"{params.texture_loss}_")
        loss, rule = own.get(stem, (params.texture_loss, rule))
        seen = "transductive" if arm != stem or params.transductive else "inductive"
        rows.append({"arm": arm, "loss": loss, "weight rule": rule, "translator": seen})
    return pd.DataFrame(rows)
