"""The GANs that are trained: every kind, and one change each to the first; as jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from engine.jobs import Job, fitted_networks
from engine.store import Store
from lib.models.gan import ImageGenerator
from lib.models.gan_parameters import GanParameters
from lib.models.gan_training import train_gan
from lib.models.parameters import chosen_settings

_CODE = ("lib.models.gan_training",)
BASE = "dcgan"  # what one factor is changed of


@dataclass(frozen=True)
class Variant:
    """A GAN before it is trained: key of ``gan.KINDS``, and which of the parameters differ."""

    kind: str = BASE
    changes: Callable[[GanParameters], dict[str, Any]] = lambda _: {}


KINDS = {kind: Variant(kind) for kind in ("dcgan", "sngan", "acgan", "wgan_gp")}
FACTORS = {
    "smoothed": Variant(changes=lambda p: dict(gan_real_label=0.9)),
    "spectral": Variant("dcgan_spectral"),
    # As Heusel et al. 2017: only their ratio differs, the generator's falls.
    "two_rates": Variant(changes=lambda p: dict(gan_rate=p.gan_rate / 4, gan_rate_ratio=4.0)),
    "small_batch": Variant(changes=lambda p: dict(gan_batch=p.gan_batch // 2)),
    "large_latent": Variant(changes=lambda p: dict(gan_latent=4 * p.gan_latent)),
    "short": Variant(changes=lambda p: dict(gan_steps=p.gan_steps // 2)),
}
VARIANTS = {**KINDS, **FACTORS}


@dataclass(frozen=True)
class GanRecipe:
    """A GAN with what it learns from: key of ``VARIANTS``, uint8 (N, 3, S, S) and classes (N,)."""

    variant: str
    stack: Tensor
    labels: np.ndarray


def fit_gans(
    recipes: Mapping[str, GanRecipe], params: GanParameters, store: Store
) -> dict[str, tuple[ImageGenerator, pd.DataFrame]]:
    """Train GANs from ``params.seed``: name to the generator and its history."""
    jobs = {}
    for name, recipe in recipes.items():
        variant = VARIANTS[recipe.variant]
        own = params.model_copy(update=variant.changes(params))
        ingredients = dict(
            kind=variant.kind, stack=recipe.stack.numpy(), labels=recipe.labels, seed=params.seed,
            settings=chosen_settings(own, ["gan_", "precision"]),
        )  # fmt: skip
        train = partial(train_gan, recipe.stack, recipe.labels, variant.kind, own, params.seed)
        size = (own.gan_filters, own.gan_latent, int(recipe.labels.max()) + 1)
        jobs[name] = Job("gans", _CODE, ingredients, train), partial(ImageGenerator, *size)
    return fitted_networks(store, jobs, params)
