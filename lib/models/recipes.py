"""Translators before they are trained: what each is trained on and how, as a job for the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
import torch
from torch import nn

from engine.checkpoints import Checkpoints
from engine.jobs import Job
from lib.data.dataset import Dataset
from lib.models.cut import CUT, train_cut
from lib.models.cut_parameters import CutParameters
from lib.models.cyclegan import CycleGAN
from lib.models.networks import weights_of
from lib.models.parameters import TranslationParameters, chosen_settings
from lib.models.simulation import Simulated, simulated_training
from lib.models.texture import build_texture_loss
from lib.models.translation import train_translator

_TRANSLATOR_CODE = ("lib.models.translation", "lib.models.networks")
_CUT_CODE = ("lib.models.cut",)
SIMULATED = "simulated"  # the arm of it
CONTRASTIVE = ("cut", "fastcut")  # the arms of CUT and FastCUT


class Recipe(Protocol):
    """A translator before it is trained; all are kept and found again alike.

    ``changes`` are parameters that differ from those of the run, by name; ``network_class`` builds
    what its training gives, of parameters, with the generator ``to_source``.
    """

    changes: Mapping[str, Any]
    network_class: ClassVar[type[nn.Module]]

    def training(self, dataset: Dataset, classifier: nn.Module) -> Job:
        """The training as a job; ``classifier`` is the grey source classifier."""


@dataclass(frozen=True)
class TranslatorRecipe:
    """A CycleGAN.

    Parameters
    ----------
    targets
        The domain whose images it translates to the source, or several that it shall serve.
    texture
        Whether the texture loss of the parameters is used.
    changes
        Parameters of the training that differ from those of the run, by name.
    framed
        Whether images are cropped to the embryo.
    positive_share
        Share of positives among the target's training images, drawn to it; None: as they are.
    """

    targets: Sequence[str]
    texture: bool
    changes: Mapping[str, Any] = field(default_factory=dict)
    framed: bool = True
    positive_share: float | None = None
    network_class: ClassVar[type[nn.Module]] = CycleGAN

    def training(self, dataset: Dataset, classifier: nn.Module) -> Job:
        """As ``Recipe``; the classifier is for texture losses made of its features."""
        dataset = dataset.with_params(**self.changes)
        params = dataset.params
        rows = _target_rows(dataset, self.targets)
        if self.positive_share is not None:
            rows = drawn_to_share(rows, self.positive_share, params.seed)
        target, source = _stacks(dataset, rows, self.framed)
        # The published presets tie the texture loss in; whoever asks for none gets none.
        watched = params.texture_loss != "none"
        texture = self.texture and watched
        names = ["translator_", "base_", "blocks", "padding", "upsampling", "pool_", "rate_decay",
                 "average_", "adversarial_", "cycle_", "identity_", "precision"]  # fmt: skip
        names += ["texture_"] if texture else ["texture_loss", "texture_network"]
        ingredients = dict(
            target=target, source=source, texture=texture, seed=params.seed,
            settings=chosen_settings(params, names),
            # A loss only watched decides no weight, but stands in the history that is kept.
            classifier=weights_of(classifier) if watched else None,
        )  # fmt: skip
        train = partial(_train_translator, target, source, classifier, texture, params)
        return Job("translators", _TRANSLATOR_CODE, ingredients, train)


@dataclass(frozen=True)
class SimulatedRecipe:
    """A translator that learns in simulation: it sees no target image and serves every device."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    network_class: ClassVar[type[nn.Module]] = Simulated

    def training(self, dataset: Dataset, classifier: nn.Module) -> Job:
        """As ``Recipe``; the classifier is for texture losses made of its features."""
        return simulated_training(dataset.with_params(**self.changes), classifier)


@dataclass(frozen=True)
class CutRecipe:
    """CUT, or FastCUT: from the same images as a CycleGAN, without a way back.

    Parameters
    ----------
    targets
        As of a ``TranslatorRecipe``.
    fast
        FastCUT.
    changes
        Parameters of the training that differ from those of the run, by name.
    """

    targets: Sequence[str]
    fast: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)
    network_class: ClassVar[type[nn.Module]] = CUT

    def training(self, dataset: Dataset, classifier: nn.Module) -> Job:
        """As ``Recipe``; it asks no classifier."""
        dataset = dataset.with_params(**self.changes)
        params = dataset.params
        target, source = _stacks(dataset, _target_rows(dataset, self.targets))
        names = ["cut_steps", "cut_rate", "cut_fast_weight" if self.fast else "cut_weight",
                 "translator_batch", "translator_flips", "base_", "blocks", "padding", "upsampling",
                 "rate_decay", "precision"]  # fmt: skip
        ingredients = dict(
            target=target, source=source, fast=self.fast, seed=params.seed,
            settings=chosen_settings(params, names),
        )  # fmt: skip
        return Job(
            "cut", _CUT_CODE, ingredients, partial(_train_cut, target, source, params, self.fast)
        )


def drawn_to_share(rows: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """As many of ``rows`` as any share of positives allows, with this one.

    The number of rows does not depend on ``share``: it is that of the rarer class.
    """
    count = int(rows["label"].value_counts().reindex([0, 1], fill_value=0).min())
    wanted = {1: round(share * count)}
    wanted[0] = count - wanted[1]
    rng = np.random.default_rng(seed)
    places = [
        rng.choice(np.flatnonzero(rows["label"] == label), number, replace=False)
        for label, number in wanted.items()
    ]
    return rows.iloc[np.sort(np.concatenate(places))].reset_index(drop=True)


def _target_rows(dataset: Dataset, targets: Sequence[str]) -> pd.DataFrame:
    """Rows of the images of ``targets`` that a translator may learn from."""
    part = "" if dataset.params.transductive else "train"
    return pd.concat([dataset.rows(domain, part) for domain in targets], ignore_index=True)


def _stacks(
    dataset: Dataset, rows: pd.DataFrame, framed: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Images of ``rows`` and the training images of the source, uint8 (N, 1, size, size)."""
    home = dataset.rows(dataset.params.source_domain, "train")
    target, source = (dataset.stack(each, framed=framed).numpy() for each in (rows, home))
    return target, source


def _train_translator(
    target: np.ndarray,
    source: np.ndarray,
    classifier: nn.Module,
    texture: bool,
    params: TranslationParameters,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:
    loss = build_texture_loss(params.texture_loss, classifier, params)
    if not texture:  # watched all the same
        params = params.model_copy(update=dict(texture_rule="constant", texture_weight=0.0))
    images = torch.from_numpy(target), torch.from_numpy(source)
    steps = params.translator_steps
    return train_translator(*images, loss, params, steps, params.seed, checkpoints)


def _train_cut(
    target: np.ndarray, source: np.ndarray, params: CutParameters, fast: bool,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    images = torch.from_numpy(target), torch.from_numpy(source)
    return train_cut(*images, params, params.cut_steps, params.seed, fast, checkpoints)
