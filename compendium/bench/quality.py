"""Minutes until a translator is good: our recipe against the published one."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from compendium.bench.figures import quality_plot
from compendium.bench.reference_step import ReferenceStep, plain_networks
from compendium.bench.steps import BLOCK, Alternating, elsewhere
from compendium.train import finished_split
from engine.checkpoints import Checkpoints
from engine.fabric import resolve_device
from engine.parameters import check_params, load_params
from engine.paths import ROOT, data_root, results_root
from engine.progress import progress
from engine.store import Store
from lib.data.dataset import Dataset
from lib.figures.style import save_figure
from lib.models.classifier import FoldEnsemble
from lib.models.fitting import fit_classifiers
from lib.models.networks import build_network
from lib.models.parameters import PRESETS, TranslationParameters
from lib.models.texture import LOSSES, LastFeatures, TextureLoss
from lib.models.translation import Batches, train_translator, translate

SEEDS = (0, 1, 2, 3, 4)
GAIN = 0.95
PATIENCE = 8.5  # minutes of the published training, in those that ours takes to stay good
LOOKS = 28, 14  # at the AUC, in a training of ours and in a published one
JUDGED = 200  # images of the hold-out, the first
TIMED = 7  # blocks of steps of each recipe
EPOCHS = 10  # over which the published texture weight falls


Look = Callable[[nn.Module], float]


class _Watched(Checkpoints):
    """Looks at our training every ``every`` steps: at the mean of the weights, as it will end."""

    def __init__(self, look: Look, every: int) -> None:
        super().__init__()
        self.look, self.every = look, every
        self.rows: list[dict[str, float]] = []

    def keep(self, step, parts, history) -> None:
        if step % self.every == 0:
            to_source, _ = parts["averaged"]
            self.rows.append(dict(step=step, auc=self.look(to_source)))


@dataclass(frozen=True)
class Scene:
    """Images and classifier of a finished run, for judging translators of its first target."""

    params: TranslationParameters
    dataset: Dataset
    ensemble: FoldEnsemble
    target: Tensor  # training images
    source: Tensor
    stack: Tensor  # of the target's hold-out, untouched
    labels: np.ndarray

    @property
    def note(self) -> str:
        """What kind of images these are."""
        return self.dataset.note(self.params.target_domain)

    def auc(self, images: Tensor) -> float:
        """AUC of the hold-out shown as ``images``."""
        return float(roc_auc_score(self.labels, self.ensemble.scores(images)))

    def look(self, generator: nn.Module) -> float:
        """AUC of the hold-out as translated; the generator is left as it is."""
        return self.auc(translate(copy.deepcopy(generator).eval(), self.stack))


def open_scene(profile: str) -> Scene:
    """Open a run of ``profile``; its classifiers come from the store.

    Raises
    ------
    InputError
        It was not run.
    """
    params = load_params(ROOT / "params" / f"{profile}.yaml")
    store = Store(results_root() / "store")
    dataset = Dataset.open(params, data_root(), store, finished_split(params))
    rows = dataset.rows(params.target_domain, "holdout")[:JUDGED]
    return Scene(
        params, dataset, fit_classifiers(dataset)["grey"].ensemble,
        dataset.stack(dataset.rows(params.target_domain, "train")),
        dataset.stack(dataset.rows(params.source_domain, "train")),
        dataset.stack(rows), rows["label"].to_numpy(),
    )  # fmt: skip


def measure_quality(folder: Path, threads: int, profile: str = "quick") -> pd.DataFrame:
    """Train with both recipes, from ``SEEDS``, on the images of a finished run of ``profile``.

    The published recipe is that of ``preset: seed``, its networks, losses, weights and rates,
    trained step by step as its code does, on the same framed images; only the network of its
    texture loss has random weights, which cost the same and need no download. Good is ``GAIN`` of
    the gain of our finished translator over the untouched images, in AUC of the run's own
    classifier on the first ``JUDGED`` hold-out images of the target. A young GAN may be good for a
    moment and lose it again, so both moments are told: when a training was good for the first
    time, and since when it stayed so until its end. The published one goes on for ``PATIENCE``
    times the minutes after which ours stayed good. Minutes are steps times the median seconds of a
    step, both recipes timed in turn, so that it does not matter what else the machine does
    later. A figure goes to ``folder``.

    Returns
    -------
    Columns recipe, seed, level (AUC that is good), reached and kept (minutes; NaN: never), trained
    (minutes), last and best (AUC), step_seconds, and of the published recipe sooner_reached and
    sooner_kept: its minutes by ours; where it never was good, ``trained`` by them, "at least".
    """
    scene = open_scene(profile)
    params, target, source, look = scene.params, scene.target, scene.source, scene.look
    given = params.model_dump(exclude=set(PRESETS["seed"])) | dict(preset="seed")
    recipe = check_params(given, "preset seed")
    loss = LOSSES[params.texture_loss](scene.ensemble.networks[0], lambda: None)
    with elsewhere(partial(_first_step, recipe, target, source)) as plain_steps:
        timer = Alternating(BLOCK, partial(plain_steps, BLOCK))
        train_translator(target, source, loss, params, BLOCK * (TIMED + 1), 0, timer)
    table, curves = compare(
        lambda seed: _ours(params, target, source, loss, look, seed),
        lambda seed, limit: _Published(recipe, target, source, seed).curve(look, limit),
        scene.auc(scene.stack),
        *(seconds / BLOCK for seconds in timer.medians()),
    )
    levels = table[["seed", "level"]].drop_duplicates()
    sheet = quality_plot(curves, levels, scene.note, len(scene.labels))
    save_figure(*sheet, folder / "bench_quality")
    return table


def compare(
    ours: Callable[[int], pd.DataFrame],
    published: Callable[[int, int], pd.DataFrame],
    untouched: float,
    our_seconds: float,
    their_seconds: float,
    seeds: Sequence[int] = SEEDS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table of ``measure_quality``, and all curves: columns step, auc, minutes, recipe, seed.

    Parameters
    ----------
    ours
        Takes a seed and trains; columns step, auc.
    published
        The same; takes a seed and its steps.
    untouched
        AUC of untouched images.
    our_seconds, their_seconds
        Of a step.
    """
    curves, found = [], []
    for seed in progress(seeds, label="seeds"):
        curve = _timed(ours(seed), our_seconds, "ours", seed)
        level = untouched + GAIN * (curve["auc"].iloc[-1] - untouched)
        mine = _row(curve, level)
        limit = max(1, math.ceil(PATIENCE * 60 * mine["kept"] / their_seconds))
        other = _timed(published(seed, limit), their_seconds, "seed", seed)
        theirs = _row(other, level)
        for name in ("reached", "kept"):
            spent = theirs["trained"] if math.isnan(theirs[name]) else theirs[name]
            theirs[f"sooner_{name}"] = spent / mine[name]
        found += [mine | dict(step_seconds=our_seconds), theirs | dict(step_seconds=their_seconds)]
        curves += [curve, other]
    return pd.DataFrame(found), pd.concat(curves, ignore_index=True)


def _timed(curve: pd.DataFrame, seconds: float, recipe: str, seed: int) -> pd.DataFrame:
    return curve.assign(minutes=curve["step"] * seconds / 60, recipe=recipe, seed=seed)


def _row(curve: pd.DataFrame, level: float) -> dict:
    good = curve["auc"] >= level
    stays = good[::-1].cummin()[::-1]
    return dict(
        recipe=curve["recipe"].iloc[0], seed=int(curve["seed"].iloc[0]), level=level,
        reached=float(curve["minutes"][good].min()), kept=float(curve["minutes"][stays].min()),
        trained=float(curve["minutes"].iloc[-1]), last=float(curve["auc"].iloc[-1]),
        best=float(curve["auc"].max()),
    )  # fmt: skip


def _ours(
    params: TranslationParameters,
    target: Tensor,
    source: Tensor,
    loss: TextureLoss | None,
    look: Look,
    seed: int,
) -> pd.DataFrame:
    watched = _Watched(look, params.translator_steps // LOOKS[0])
    train_translator(target, source, loss, params, params.translator_steps, seed, watched)
    return pd.DataFrame(watched.rows)


def _first_step(
    recipe: TranslationParameters, target: Tensor, source: Tensor
) -> Callable[[], None]:
    return partial(_Published(recipe, target, source, 0).step, 0)


class _Published:
    """The published training, one image at a time."""

    def __init__(
        self, recipe: TranslationParameters, target: Tensor, source: Tensor, seed: int
    ) -> None:
        self.device = resolve_device(recipe.device)
        networks = plain_networks(recipe, seed).to(self.device)
        loss = LastFeatures(build_network(recipe.texture_network, 3, ""), channels=3)
        self.train_step = ReferenceStep(networks, loss.to(self.device), recipe)
        order = torch.Generator().manual_seed(seed)
        self.batches = [
            Batches(images, 1, False, order, slice(0, 1)) for images in (target, source)
        ]
        self.weights = recipe.texture_weight, recipe.texture_final_weight
        self.epochs_end = EPOCHS * len(target)

    def step(self, number: int) -> None:
        """One update; the texture weight falls over ``EPOCHS``."""
        first, final = self.weights
        share = min(1.0, number / self.epochs_end)
        images = (own.draw().to(self.device) for own in self.batches)
        self.train_step(*images, first + share * (final - first))

    def curve(self, look: Look, steps: int) -> pd.DataFrame:
        """Train for ``steps``; columns step, auc."""
        every, rows = max(1, steps // LOOKS[1]), []
        for number in progress(range(1, steps + 1), label="steps as published"):
            self.step(number - 1)
            if number % every == 0 or number == steps:
                rows.append(dict(step=number, auc=look(self.train_step.networks.to_source)))
        return pd.DataFrame(rows)
