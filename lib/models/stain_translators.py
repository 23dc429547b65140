"""Translators of stained tissue to the source's stain, as jobs for the store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.jobs import Job, fitted_networks
from lib.data.random_looks import Looks
from lib.data.simulated_tissue import random_stains
from lib.data.tissue_set import TissueSet
from lib.models.cut import CUT, train_cut
from lib.models.cyclegan import CycleGAN
from lib.models.parameters import chosen_settings
from lib.models.simulation import Simulated, train_simulated
from lib.models.stain_parameters import StainParameters
from lib.models.texture import OfGrey, build_texture_loss
from lib.models.translation import train_translator

CHANNELS = 3
# Each texture loss of 03 that needs no classifier and that this study asks about.
CYCLEGANS = {"cyclegan": "none", "cyclegan_mind": "mind", "cyclegan_structure": "structure"}
SIMULATED = "simulated"
_SHAPE = ["base_", "blocks", "padding", "upsampling", "rate_decay", "precision"]
_NAMES = {
    "cyclegan": [*_SHAPE, "translator_", "texture_", "pool_", "average_", "adversarial_", "cycle_",
                 "identity_"],
    "cut": [*_SHAPE, "translator_batch", "translator_flips", "cut_"],
    SIMULATED: [*_SHAPE, "simulated_", "texture_"],
}  # fmt: skip
_CODE = {
    "cyclegan": "lib.models.translation",
    "cut": "lib.models.cut",
    SIMULATED: "lib.models.simulation",
}


def _texture(name: str, params: StainParameters) -> OfGrey | None:
    loss = build_texture_loss(name, nn.Identity(), params)
    return None if loss is None else OfGrey(loss)


def _train_cyclegan(
    target: Tensor, source: Tensor, params: StainParameters, checkpoints: Checkpoints | None = None
) -> tuple[nn.Module, pd.DataFrame]:
    texture = _texture(params.texture_loss, params)
    return train_translator(
        target, source, texture, params, params.translator_steps, params.seed, checkpoints
    )


def _train_cut(
    target: Tensor, source: Tensor, params: StainParameters, checkpoints: Checkpoints | None = None
) -> tuple[nn.Module, pd.DataFrame]:
    return train_cut(target, source, params, params.cut_steps, params.seed, checkpoints=checkpoints)


def _train_simulated(
    looks: Looks, params: StainParameters, checkpoints: Checkpoints | None = None
) -> tuple[nn.Module, pd.DataFrame]:
    texture = _texture(params.simulated_texture_loss, params)
    return train_simulated(looks, texture, params, params.seed, checkpoints)


def fit_stain_translators(tissue: TissueSet) -> dict[str, tuple[nn.Module, pd.DataFrame]]:
    """Train every translator: name to its networks, in evaluation mode, and its history.

    ``to_source`` is the generator that all of them have; a CycleGAN has ``to_target``, too.
    """
    params = tissue.params
    target = tissue.stack(tissue.rows(params.target_domain, "train", drawn=False))
    source = tissue.stack(tissue.rows(params.source_domain, "train", drawn=False))
    jobs: dict[str, tuple[Job, Callable[[], nn.Module]]] = {}

    def add(name: str, kind: str, own: StainParameters, build, train, **seen: Any) -> None:
        ingredients = dict(seen, seed=own.seed, settings=chosen_settings(own, _NAMES[kind]))
        job = Job(kind, (_CODE[kind],), ingredients, train)
        jobs[name] = job, partial(build, own, CHANNELS)

    both = dict(target=target.numpy(), source=source.numpy())
    for name, loss in CYCLEGANS.items():
        own = tissue.with_params(texture_loss=loss).params
        add(name, "cyclegan", own, CycleGAN, partial(_train_cyclegan, target, source, own), **both)
    add("cut", "cut", params, CUT, partial(_train_cut, target, source, params), **both)
    if params.is_phantom:
        pairs = random_stains(
            params, params.simulated_phantoms, params.simulated_looks, tissue.store
        )
        train = partial(_train_simulated, Looks(pairs.home, pairs.others), params)
        seen = dict(home=pairs.home.numpy(), others=pairs.others.numpy())
        add(SIMULATED, SIMULATED, params, Simulated, train, **seen)
    return fitted_networks(tissue.store, jobs, params)
