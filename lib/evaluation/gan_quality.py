"""GANs of tissue: trained, asked for images, and held against real tiles of other slides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engine.store import Store
from lib.evaluation.augmentation import Tiles, gan_recipes
from lib.evaluation.image_quality import unpaired_quality
from lib.models.gan import ImageGenerator
from lib.models.gan_parameters import AugmentationParameters
from lib.models.gan_training import generate
from lib.models.gan_variants import KINDS, VARIANTS, fit_gans

SHOWN = 5  # tiles of each class in a row


def train_gans(
    sets: Mapping[str, Tiles], params: AugmentationParameters, store: Store
) -> dict[str, ImageGenerator]:
    """The generator of every one of ``augmentation.gan_recipes``, trained on ``sets``."""
    fits = fit_gans(gan_recipes(sets), params, store)
    return {name: generator for name, (generator, _) in fits.items()}


def gan_distances(
    generators: Mapping[str, ImageGenerator], judged: Tiles, seed: int
) -> pd.DataFrame:
    """Distances of the images of all ``VARIANTS`` to real ones that nobody learnt from.

    Each GAN makes as many tiles of each class as ``judged`` has, so that the floor is that of the
    same number. Columns as ``image_quality.unpaired_quality``, with the GANs as arms.
    """
    side, groups = judged.stack.shape[-1], judged.rows["group"]
    made = {name: generate(generators[name], judged.labels, side, seed) for name in VARIANTS}
    return unpaired_quality(judged.stack, groups, made, groups)


def looked_at(
    generators: Mapping[str, ImageGenerator], judged: Tiles, seed: int
) -> dict[str, Tensor]:
    """Real tiles and those of all ``KINDS``: half of the first class, half of the second."""
    labels = np.repeat([0, 1], SHOWN)
    first = [np.flatnonzero(judged.labels == label) for label in (0, 1)]
    spread = [own[:: max(1, len(own) // SHOWN)][:SHOWN] for own in first]
    real = judged.stack[torch.from_numpy(np.concatenate(spread))]
    side = judged.stack.shape[-1]
    return {"real": real} | {kind: generate(generators[kind], labels, side, seed) for kind in KINDS}
