"""Do images of a GAN help a classifier that has few real ones? The trainings, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engine.errors import InputError
from engine.fabric import make_fabric
from engine.jobs import Job, run_jobs
from engine.progress import progress
from engine.store import Store
from lib.data.tissue_set import TissueSet
from lib.evaluation.seeds import combine_seeds, seed_difference
from lib.evaluation.statistics import holm
from lib.models.augmentation import (
    REMEDIES,
    WAYS,
    TileClassifier,
    Way,
    tile_scores,
    train_tile_classifier,
)
from lib.models.gan import ImageGenerator
from lib.models.gan_parameters import AugmentationParameters
from lib.models.gan_training import generate
from lib.models.gan_variants import VARIANTS, GanRecipe
from lib.models.parameters import chosen_settings

_CODE = ("lib.models.augmentation",)
AUGMENTOR = "sngan"  # whose images are added, of ``gan_variants.KINDS``
UNBALANCED = "unbalanced"
RARER = 9  # images of the first class for each of the second
METRICS = ("accuracy", "balanced_accuracy", "auc")
CUT = 0.5  # called of the second class from this probability on
# Which way is held against which, of each number of real images, and under imbalance.
PAIRS = (
    ("synthetic", "plain"), ("augmented", "plain"), ("both", "augmented"),
    ("synthetic", "augmented"),
)  # fmt: skip
REMEDY_PAIRS = (
    ("balanced_synthetic", UNBALANCED), ("balanced_weights", UNBALANCED),
    ("balanced_oversampling", UNBALANCED), ("balanced_synthetic", "balanced_weights"),
    ("balanced_synthetic", "balanced_oversampling"),
)  # fmt: skip


@dataclass(frozen=True)
class Tiles:
    """Images of two classes: uint8 (N, 3, S, S), and rows with id, label (0, 1) and group."""

    stack: Tensor
    rows: pd.DataFrame

    @property
    def labels(self) -> np.ndarray:
        """Classes, (N,) of 0 and 1."""
        return self.rows["label"].to_numpy(copy=True)

    def few(self, counts: tuple[int, int], seed: int) -> Tiles:
        """So many images of either class, drawn; of more of them fewer are a part.

        Raises
        ------
        InputError
            There are not as many.
        """
        rng, chosen = np.random.default_rng([seed, 7]), []
        for label, count in enumerate(counts):
            own = rng.permutation(np.flatnonzero(self.labels == label))
            if len(own) < count:
                raise InputError(
                    f"class {label} has {len(own)} images to learn from, {count} wanted. Add "
                    "slides, or lower augment_counts."
                )
            chosen += own[:count].tolist()
        return Tiles(self.stack[chosen], self.rows.iloc[chosen].reset_index(drop=True))


def open_tiles(tissue: TissueSet) -> tuple[Tiles, Tiles]:
    """What is learnt from, and what is judged on: the source domain's slides but for the hold-out,
    and the hold-out.

    The two labels in the order of the alphabet are 0 and 1: benign and malignant.

    Raises
    ------
    InputError
        The labels are not two.
    """
    domain = tissue.params.source_domain
    parts = [tissue.rows(domain, part, drawn=False) for part in ("train", "valid", "holdout")]
    names = sorted(set(pd.concat(parts)["label"]))
    if len(names) != 2:
        raise InputError(f"{domain}: labels {names}, two are wanted. Choose images of two classes.")
    learnt, judged = (
        rows.assign(label=rows["label"].map(names.index))
        for rows in (pd.concat(parts[:2], ignore_index=True), parts[2])
    )
    return Tiles(tissue.stack(learnt), learnt), Tiles(tissue.stack(judged), judged)


def few_images(pool: Tiles, params: AugmentationParameters) -> dict[str, Tiles]:
    """What is learnt from: of each number of images a class, and ``UNBALANCED``."""
    most = params.real_counts[-1]
    sets = {str(n): pool.few((n, n), params.seed) for n in params.real_counts}
    return sets | {UNBALANCED: pool.few((most, max(2, most // RARER)), params.seed)}


def gan_recipes(sets: Mapping[str, Tiles]) -> dict[str, GanRecipe]:
    """Every GAN: all ``VARIANTS`` on the most images, ``AUGMENTOR`` on the others.

    Names as in ``VARIANTS``, and those of ``sets`` with ``images_of_`` before.
    """
    *_, most = (name for name in sets if name != UNBALANCED)
    recipes = {f"images_of_{name}": (AUGMENTOR, tiles) for name, tiles in sets.items()}
    recipes |= {name: (name, sets[most]) for name in VARIANTS}
    return {
        name: GanRecipe(variant, tiles.stack, tiles.labels)
        for name, (variant, tiles) in recipes.items()
    }


def _learnt(
    real: Tiles, way: Way, generator: ImageGenerator, params: AugmentationParameters, seed: int
) -> tuple[Tensor, np.ndarray]:
    """Images and classes that a way learns from: the real ones, with a GAN's where it asks."""
    stack, labels = real.stack, real.labels
    if not way.synthetic:
        return stack, labels
    counts = np.bincount(labels, minlength=2)
    missing = counts.max() - counts
    if not missing.any():
        missing = np.round(params.augment_synthetic * counts).astype(int)
    others = np.repeat(np.arange(2), missing)
    made = generate(generator, others, stack.shape[-1], seed)
    return torch.cat([stack, made]), np.concatenate([labels, others])


def classify(
    sets: Mapping[str, Tiles], test: Tiles, generators: Mapping[str, ImageGenerator],
    params: AugmentationParameters, store: Store,
) -> pd.DataFrame:  # fmt: skip
    """Train every way on every set of real images, from ``augment_seeds`` seeds, and judge each.

    Parameters
    ----------
    generators : of ``gan_recipes``

    Returns
    -------
    Columns images (name of the set), way, seed, id, label, group, score (probability of class 1).
    """
    jobs, keys = [], []
    for images, real in sets.items():
        for name, way in (REMEDIES if images == UNBALANCED else WAYS).items():
            for number in range(params.augment_seeds):
                seed = params.seed * 1000 + number
                learnt = _learnt(real, way, generators[f"images_of_{images}"], params, seed)
                ingredients = dict(
                    stack=learnt[0].numpy(), labels=learnt[1], seed=seed, augmented=way.augmented,
                    weighted=way.weighted, oversampled=way.oversampled,
                    settings=chosen_settings(
                        params, ["augment_steps", "augment_batch", "augment_rate", "precision"]
                    ),
                )  # fmt: skip
                train = partial(train_tile_classifier, *learnt, way, params, seed)
                jobs.append(Job("tile_classifiers", _CODE, ingredients, train))
                keys.append(dict(images=images, way=name, seed=seed))
    network = TileClassifier().to(make_fabric(params).device)
    rows, parts = test.rows[["id", "label", "group"]], []
    fitted = run_jobs(store, jobs, params)
    for key, (weights, _) in progress(list(zip(keys, fitted, strict=True)), label="classifiers"):
        network.load_state_dict(weights)
        parts.append(rows.assign(**key, score=tile_scores(network.eval(), test.stack)))
    return pd.concat(parts, ignore_index=True)


def _cuts(table: pd.DataFrame) -> dict[int, float]:
    return dict.fromkeys(table["seed"].unique(), CUT)


def scores_of_ways(predictions: pd.DataFrame) -> pd.DataFrame:
    """Every metric of every way: columns images, way, metric and those of ``seeds.combine_seeds``.

    Intervals: slides of the hold-out and seeds of training; the real images are the same for all.
    """
    rows = []
    groups = predictions.groupby(["images", "way"], sort=False)
    for (images, way), own in progress(groups, label="intervals of ways"):
        for metric in METRICS:
            found = combine_seeds(own, _cuts(own), metric)
            rows.append(dict(images=images, way=way, metric=metric, **found))
    return pd.DataFrame(rows)


def difference(
    predictions: pd.DataFrame, new: tuple[str, str], old: tuple[str, str], metric: str
) -> dict[str, float]:
    """New minus old of a metric, each (images, way), paired by image and seed: fields of
    ``seeds.seed_difference``."""
    tables = [
        predictions[(predictions["images"] == images) & (predictions["way"] == way)]
        for images, way in (old, new)
    ]
    return seed_difference(*tables, metric, *map(_cuts, tables))


def compare_ways(predictions: pd.DataFrame) -> pd.DataFrame:
    """``PAIRS`` at every number of images and ``REMEDY_PAIRS``, with Holm's correction.

    Columns images, way, against, metric, difference, low, high, p, p_holm (over the rows of the
    metric), n, groups, seeds.
    """
    rows = []
    for images in progress(predictions["images"].unique(), label="differences"):
        for way, against in REMEDY_PAIRS if images == UNBALANCED else PAIRS:
            for metric in METRICS:
                found = difference(predictions, (images, way), (images, against), metric)
                kept = {name: found[name] for name in ("low", "high", "p", "n", "groups", "seeds")}
                rows.append(dict(images=images, way=way, against=against, metric=metric,
                                 difference=found["value"], **kept))  # fmt: skip
    table = pd.DataFrame(rows)
    return table.assign(p_holm=table.groupby("metric")["p"].transform(holm))
