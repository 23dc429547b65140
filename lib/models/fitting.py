"""What the notebooks train, each kept in the store by everything that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import make_fabric
from engine.jobs import Fitted, Job, run_jobs
from lib.data.dataset import Dataset
from lib.models.calibration import calibrate
from lib.models.classifier import FoldEnsemble, predict_logits, soften, train_classifier
from lib.models.gate import Gate
from lib.models.networks import build_network
from lib.models.parameters import TranslationParameters, chosen_settings
from lib.models.recipes import (
    SIMULATED,
    CutRecipe,
    Recipe,
    SimulatedRecipe,
    TranslatorRecipe,
    drawn_to_share,
)
from lib.models.texture import build_texture_loss

__all__ = [  # what is asked for and what it is given, in one place
    "CLASSIFIER_CODE",
    "SIMULATED",
    "CutRecipe",
    "FoldFit",
    "SimulatedRecipe",
    "TranslatorRecipe",
    "check_networks",
    "drawn_to_share",
    "fit_classifiers",
    "fit_gate",
    "fit_translators",
    "train_fold",
]
# Classifiers do not grow stale when the translator's code changes.
CLASSIFIER_CODE = ("lib.models.classifier", "lib.models.networks")


@dataclass(frozen=True)
class FoldFit:
    """A classifier trained once per fold.

    ``history`` has fold, epoch, loss, valid_auc. ``validation`` is the prediction table of every
    fold's model on its own validation images, which calibrated it and set its threshold.
    ``seconds`` is the processor time of all folds' trainings, NaN where one of them is not known.
    """

    ensemble: FoldEnsemble
    history: pd.DataFrame
    validation: pd.DataFrame
    seconds: float


@dataclass(frozen=True)
class _Kind:
    """A classifier before it is trained: colour, timm network, augmentation."""

    colour: str
    name: str = ""
    augmentation: str = "geometry"


_KINDS = dict(grey=_Kind("grey"), rgb=_Kind("rgb"), augmented=_Kind("grey", "", "optics"))


def train_fold(
    name: str, stack: np.ndarray, labels: np.ndarray, train: np.ndarray, valid: np.ndarray,
    params: TranslationParameters, seed: int, augmentation: str,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Build and train one classifier on uint8 arrays; see ``train_classifier``."""
    torch.manual_seed(seed)
    network = build_network(name, stack.shape[1], params.classifier_weights)
    images = torch.from_numpy(stack)
    return train_classifier(
        network, images, labels, train, valid, params, seed, augmentation, checkpoints
    )


def _fold_trainings(dataset: Dataset, kind: _Kind, stack: Tensor) -> list[Job]:
    params = dataset.params
    rows = dataset.rows(params.source_domain, "train")
    labels = rows["label"].to_numpy(copy=True)
    trainings = []
    for fold in range(params.folds if kind.colour == "grey" else params.colour_folds):
        ingredients = dict(
            name=kind.name or params.classifier, stack=stack.numpy(), labels=labels,
            train=np.flatnonzero(rows["fold"] != fold), valid=np.flatnonzero(rows["fold"] == fold),
            seed=params.seed * 1000 + fold, augmentation=kind.augmentation,
        )  # fmt: skip
        settings = chosen_settings(params, ["classifier_", "precision"])
        trainings.append(
            Job(
                "classifiers",
                CLASSIFIER_CODE,
                ingredients | dict(settings=settings),
                partial(train_fold, params=params, **ingredients),
            )
        )
    return trainings


def fold_fit(
    dataset: Dataset, arm: str, name: str, stack: Tensor, fitted: Sequence[Fitted]
) -> FoldFit:
    """Trained folds of the timm network ``name``, calibrated on the source's validation images.

    ``stack`` are the source's training images, uint8 (N, C, H, W), as the networks see them.
    """
    params = dataset.params
    rows = dataset.rows(params.source_domain, "train")
    device = make_fabric(params).device
    networks, calibrations, histories, tables = [], [], [], []
    for fold, (weights, history) in enumerate(fitted):
        valid = np.flatnonzero(rows["fold"] == fold)
        network = build_network(name, stack.shape[1], "")
        network.load_state_dict(weights)
        network.to(device)
        logits = predict_logits(network, stack[torch.as_tensor(valid)])
        calibration = calibrate(logits, rows["label"].to_numpy()[valid])
        scores = 1.0 / (1.0 + np.exp(-calibration(logits)))
        part = rows.iloc[valid][["id", "domain", "label", "group"]]
        tables.append(part.assign(arm=arm, seed=params.seed, fold=fold, score=scores))
        histories.append(history.assign(fold=fold))
        networks.append(network)
        calibrations.append(calibration)
    return FoldFit(
        FoldEnsemble(networks, calibrations, params.classifier_blur),
        pd.concat(histories, ignore_index=True),
        pd.concat(tables, ignore_index=True),
        sum(seconds_of(history) for _, history in fitted),
    )


def seconds_of(history: pd.DataFrame) -> float:
    """Processor time of the training whose history this is; NaN where it is not known."""
    seconds = history.attrs.get("seconds")
    return float("nan") if seconds is None else float(seconds)


def fit_classifiers(
    dataset: Dataset, names: Sequence[str] = (), kinds: Sequence[str] = tuple(_KINDS)
) -> dict[str, FoldFit]:
    """Train the source classifiers, one model per fold; validation calibrates them.

    Parameters
    ----------
    names
        Further timm networks, in grey.
    kinds
        ``grey``; ``rgb`` (the first ``colour_folds``); ``augmented``, grey too, trained under
        changes of exposure, contrast, focus and noise.

    Returns
    -------
    One fit for each of ``kinds`` and ``names``.
    """
    wanted = {kind: _KINDS[kind] for kind in kinds}
    wanted |= {name: _Kind("grey", name) for name in names}
    params = dataset.params
    rows = dataset.rows(params.source_domain, "train")
    stacks = {
        colour: soften(dataset.stack(rows, colour), params.classifier_blur)
        for colour in dict.fromkeys(kind.colour for kind in wanted.values())
    }
    trainings = {
        name: _fold_trainings(dataset, kind, stacks[kind.colour]) for name, kind in wanted.items()
    }
    fitted = iter(run_jobs(dataset.store, list(chain(*trainings.values())), params))
    return {
        name: fold_fit(
            dataset,
            kind.colour,
            kind.name or params.classifier,
            stacks[kind.colour],
            list(islice(fitted, len(trainings[name]))),
        )
        for name, kind in wanted.items()
    }


def fit_gate(dataset: Dataset, classifier: FoldEnsemble) -> Gate:
    """The gate of a source classifier, from the images that trained and validated its folds."""
    rows = dataset.rows(dataset.params.source_domain, "train")
    return Gate.fit(classifier, dataset.stack(rows), rows["fold"].to_numpy())


def fit_translators(
    dataset: Dataset,
    recipes: Mapping[str, Recipe],
    classifier: nn.Module,
) -> dict[str, tuple[nn.Module, pd.DataFrame]]:
    """Train translators to the source domain; name to networks and history.

    The generator that a clinic uses is ``to_source`` of the networks; ``has_way_back`` says whether
    they have one to the target, too, ``to_target``. ``classifier`` is the grey source classifier,
    for texture losses made of its features.
    """
    params = dataset.params
    trainings = [recipe.training(dataset, classifier) for recipe in recipes.values()]
    device = make_fabric(params).device
    fits = {}
    trained = run_jobs(dataset.store, trainings, params)
    for (name, recipe), (weights, history) in zip(recipes.items(), trained, strict=True):
        networks = recipe.network_class(dataset.with_params(**recipe.changes).params)
        networks.load_state_dict(weights)
        fits[name] = networks.to(device).eval(), history
    return fits


def check_networks(params: TranslationParameters) -> None:
    """Build every named network once, with its pretrained weights, so that nothing fails later.

    Raises
    ------
    InputError
        As ``networks.build_network``.
    """
    names = [params.classifier, *params.compared_classifiers.split(",")]
    for name in filter(None, names):
        build_network(name, 3, params.classifier_weights)
    for loss in (params.texture_loss, params.simulated_texture_loss):
        build_texture_loss(loss, nn.Identity(), params)
