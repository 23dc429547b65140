"""Translators of fields of cells to the source's look, as jobs for the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.jobs import Job, fitted_networks
from lib.data.field_set import FieldSet
from lib.data.random_looks import Looks
from lib.data.simulated_fields import registered_fields
from lib.models.cell_parameters import CellParameters
from lib.models.cell_readers import PUBLISHED_IMAGES, Images
from lib.models.cyclegan import CycleGAN
from lib.models.parameters import chosen_settings
from lib.models.simulation import Simulated, train_simulated
from lib.models.texture import build_texture_loss
from lib.models.translation import train_translator
from lib.models.unet_training import noisy

SIMULATED = "simulated"
# As published (Aarnio et al. 2022, section 3.7): three residual blocks, pixel shuffle.
PUBLISHED_GENERATOR = dict(blocks=3, upsampling="shuffle", padding="reflect", texture_loss="none")
_NAMES = ["translator_", "texture_", "base_", "blocks", "padding", "upsampling", "pool_",
          "rate_decay", "average_", "adversarial_", "cycle_", "identity_", "precision"]  # fmt: skip
_SIMULATED_NAMES = ["simulated_", "texture_", "base_", "blocks", "padding", "upsampling",
                    "rate_decay", "precision"]  # fmt: skip


@dataclass(frozen=True)
class Translator:
    """A translator before it is trained: the source images it learns to paint like, and parameters
    that differ from those of the run.

    ``reader``: the U-Net that reads what it made; ``noise``: the source images are blurred and
    toned at random before.
    """

    images: Images = PUBLISHED_IMAGES["source"]
    changes: Mapping[str, Any] = field(default_factory=dict)
    reader: str = "unet"
    noise: bool = False


def translators_of(params: CellParameters) -> dict[str, Translator]:
    """Every CycleGAN that is trained, by name: the published ones, and ours.

    Images that show no cultures are not added to by simulated or empty ones.
    """
    published = {"source": "unet"}
    if params.shows_cultures:
        kept = ("empty", "particles", "particles_empty", "particles_simulated")
        published |= {name: f"unet_{name}" for name in kept}
    found = {
        f"cyclegan_{name}": Translator(PUBLISHED_IMAGES[name], PUBLISHED_GENERATOR, reader)
        for name, reader in published.items()
    }
    if params.shows_cultures:
        found["cyclegan_particles_empty_noise"] = Translator(
            PUBLISHED_IMAGES["particles_empty"], PUBLISHED_GENERATOR,
            "unet_particles_empty_noise", noise=True,
        )  # fmt: skip
    for loss in ("none", "mind", "structure"):
        name = "cyclegan" if loss == "none" else f"cyclegan_{loss}"
        found[name] = Translator(changes=dict(texture_loss=loss))
    return found


def _train(
    target: Tensor, source: Tensor, params: CellParameters, checkpoints: Checkpoints | None = None
) -> tuple[nn.Module, pd.DataFrame]:
    texture = build_texture_loss(params.texture_loss, nn.Identity(), params)
    return train_translator(
        target, source, texture, params, params.translator_steps, params.seed, checkpoints
    )


def _train_simulated(
    looks: Looks, params: CellParameters, checkpoints: Checkpoints | None = None
) -> tuple[nn.Module, pd.DataFrame]:
    texture = build_texture_loss(params.simulated_texture_loss, nn.Identity(), params)
    return train_simulated(looks, texture, params, params.seed, checkpoints)


def fit_translators(
    fields: FieldSet, translators: Mapping[str, Translator]
) -> dict[str, tuple[nn.Module, pd.DataFrame]]:
    """Train translators to the source domain: name to the generator and its history.

    Where images are phantoms, ``SIMULATED`` is one more: trained on true pairs of cultures that no
    run meets, from random machines to the source's device.
    """
    params = fields.params
    target = fields.stack(fields.rows(params.target_domain, "train", drawn=False))
    jobs = {}
    for name, translator in translators.items():
        own = fields.with_params(**translator.changes).params
        source = translator.images.drawn(fields)[0]
        if translator.noise:
            torch.manual_seed(params.seed)
            source = noisy(source)
        ingredients = dict(
            target=target.numpy(), source=source.numpy(), seed=params.seed,
            settings=chosen_settings(own, _NAMES),
        )  # fmt: skip
        train = partial(_train, target, source, own)
        job = Job("translators", ("lib.models.translation",), ingredients, train)
        jobs[name] = job, partial(CycleGAN, own)
    if params.shows_cultures:
        pairs = registered_fields(
            params, params.simulated_phantoms, params.simulated_looks, fields.store
        )
        ingredients = dict(
            home=pairs.home.numpy(), others=pairs.looks.numpy(), seed=params.seed,
            settings=chosen_settings(params, _SIMULATED_NAMES),
        )  # fmt: skip
        train = partial(_train_simulated, Looks(pairs.home, pairs.looks), params)
        job = Job("simulated", ("lib.models.simulation",), ingredients, train)
        jobs[SIMULATED] = job, partial(Simulated, params)
    return {
        name: (networks.to_source, history)
        for name, (networks, history) in fitted_networks(fields.store, jobs, params).items()
    }
