"""What the notebooks train, each kept in the store by everything that made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib.data.dataset import Dataset
from lib.models.calibration import calibrate
from lib.models.classifier import FoldEnsemble, build_network, predict_logits, soften
from lib.models.cyclegan import CycleGAN
from lib.models.texture import texture_loss
from lib.models.training import make_fabric, train_classifier
from lib.models.translation import train_translator
from lib.params import Params
from lib.store import Store

# Classifiers do not grow stale when the translator's code changes.
_CLASSIFIER_CODE = ("lib.models.training", "lib.models.classifier")
_TRANSLATOR_CODE = ("lib.models.translation", "lib.models.classifier")


@dataclass(frozen=True)
class FoldFit:
    """A classifier trained once per fold.

    ``history`` has fold, epoch, loss, valid_auc. ``validation`` is the prediction table of every
    fold's model on its own validation images, which calibrated it and set its threshold.
    """

    ensemble: FoldEnsemble
    history: pd.DataFrame
    validation: pd.DataFrame


def _stored(
    store: Store, stage: str, code: Sequence[str], ingredients: dict[str, Any],
    train: Callable[[], tuple[nn.Module, pd.DataFrame]],
) -> tuple[dict[str, Tensor], pd.DataFrame]:  # fmt: skip
    """Weights and history of one training, which runs only if either is not in the store."""
    done: list[tuple[nn.Module, pd.DataFrame]] = []

    def once() -> tuple[nn.Module, pd.DataFrame]:
        if not done:
            done.append(train())
        return done[0]

    weights = store.weights(stage, ingredients, lambda: once()[0].state_dict(), code)
    return weights, store.table(stage, ingredients, lambda: once()[1], code)


def _chosen(params: Params, prefixes: Sequence[str]) -> dict[str, Any]:
    values = params.model_dump()
    return {key: value for key, value in values.items() if key.startswith(tuple(prefixes))}


def fit_folds(dataset: Dataset, colour: str, name: str = "") -> FoldFit:
    """Train the classifier on the source domain, one model per fold; validation calibrates it.

    Parameters
    ----------
    colour
        ``"grey"`` (all folds) or ``"rgb"`` (the first ``colour_folds``).
    name
        timm network; empty: that of the parameters.
    """
    params = dataset.params
    name = name or params.classifier
    rows = dataset.rows(params.source_domain, "train")
    stack = soften(dataset.stack(rows, colour), params.classifier_blur)
    labels = rows["label"].to_numpy(copy=True)
    device = make_fabric(params).device
    networks, calibrations, histories, tables = [], [], [], []
    for fold in range(params.folds if colour == "grey" else params.colour_folds):
        valid = np.flatnonzero(rows["fold"] == fold)
        train = np.flatnonzero(rows["fold"] != fold)
        seed = params.seed * 1000 + fold
        ingredients = dict(
            name=name, stack=stack.numpy(), labels=labels, train=train, valid=valid, seed=seed,
            settings=_chosen(params, ["classifier_", "precision"]),
        )  # fmt: skip

        def fit(train=train, valid=valid, seed=seed) -> tuple[nn.Module, pd.DataFrame]:
            torch.manual_seed(seed)
            network = build_network(name, stack.shape[1], params.classifier_weights)
            return train_classifier(network, stack, labels, train, valid, params, seed)

        weights, history = _stored(dataset.store, "classifiers", _CLASSIFIER_CODE, ingredients, fit)
        network = build_network(name, stack.shape[1], "")
        network.load_state_dict(weights)
        network.to(device)
        logits = predict_logits(network, stack[torch.as_tensor(valid)])
        calibration = calibrate(logits, labels[valid])
        scores = 1.0 / (1.0 + np.exp(-calibration(logits)))
        part = rows.iloc[valid][["id", "domain", "label", "group"]]
        tables.append(part.assign(arm=colour, seed=params.seed, fold=fold, score=scores))
        histories.append(history.assign(fold=fold))
        networks.append(network)
        calibrations.append(calibration)
    return FoldFit(
        FoldEnsemble(networks, calibrations, params.classifier_blur),
        pd.concat(histories, ignore_index=True),
        pd.concat(tables, ignore_index=True),
    )


def fit_translator(
    dataset: Dataset, targets: Sequence[str], classifier: nn.Module, texture: bool,
    strength: float = 1.0, steps: int = 0, framed: bool = True,
) -> tuple[CycleGAN, pd.DataFrame]:  # fmt: skip
    """Train a translator from the images of ``targets`` to the source domain.

    Parameters
    ----------
    targets
        One domain, or several that one translator shall serve.
    classifier
        The grey source classifier, for texture losses made of its features.
    texture, strength
        Whether the texture loss of the parameters is used, and a factor on its weight.
    steps
        Generator updates; 0: those of the parameters.
    """
    params = dataset.params
    part = "" if params.transductive else "train"
    rows = pd.concat([dataset.rows(domain, part) for domain in targets], ignore_index=True)
    target = dataset.stack(rows, framed=framed)
    source = dataset.stack(dataset.rows(params.source_domain, "train"), framed=framed)
    steps = steps or params.translator_steps
    # The published presets tie the texture loss in; whoever asks for none gets none.
    texture = texture and params.texture_loss != "none"
    settings = params.model_copy(update={"texture_weight": strength * params.texture_weight})
    ingredients = dict(
        target=target.numpy(), source=source.numpy(), steps=steps, texture=texture,
        seed=params.seed,
        settings=_chosen(
            settings,
            ["translator_", "base_", "blocks", "padding", "upsampling", "pool_", "rate_decay",
             "adversarial_", "cycle_", "identity_", "precision"] + ["texture_"] * texture,
        ),
        classifier=weights_of(classifier) if texture else None,
    )  # fmt: skip

    def fit() -> tuple[nn.Module, pd.DataFrame]:
        loss = None
        if texture:
            loss = texture_loss(params.texture_loss, classifier, lambda: published_network(params))
        return train_translator(target, source, loss, settings, steps, params.seed)

    weights, history = _stored(dataset.store, "translators", _TRANSLATOR_CODE, ingredients, fit)
    networks = CycleGAN(params, channels=1)
    networks.load_state_dict(weights)
    return networks.to(make_fabric(params).device).eval(), history


def weights_of(network: nn.Module) -> dict[str, np.ndarray]:
    """Weights by name, as part of a key."""
    return {name: weight.cpu().numpy() for name, weight in network.state_dict().items()}


def published_network(params: Params) -> nn.Module:
    """The network of the published texture loss, with its pretrained weights."""
    return build_network(params.texture_network, 3, params.texture_network_weights)
