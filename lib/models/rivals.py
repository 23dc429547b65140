"""Classifiers that are sturdier, that are adapted to a target domain, or that know labels of it.

The first sees no image of the target, the second its training images without their labels; the last
are bounds: what would labels buy?
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.errors import InputError
from engine.jobs import Job, run_jobs
from lib.data.dataset import Dataset
from lib.models.adaptation import METHODS, train_adapted
from lib.models.adaptation_parameters import AdaptationParameters
from lib.models.calibration import calibrate
from lib.models.classifier import predict_logits, soften, train_classifier
from lib.models.fitting import CLASSIFIER_CODE, FoldFit, fold_fit
from lib.models.networks import build_network, weights_of
from lib.models.parameters import chosen_settings
from lib.models.source_free import train_source_free

# Trained under the changes of polarity, tone, light, lens, noise and dirt that the embryo finder is
# trained under.
RANDOMISED = "randomised"
SOURCE_FREE = "mdnet_nos"
ADAPTED = (*METHODS, SOURCE_FREE)
BOTH = "both_devices"  # knows all labels that there are
_CODE = (*CLASSIFIER_CODE, "lib.models.adaptation", "lib.models.source_free")
_SETTINGS = ["classifier_", "precision", "adapted_", "discriminator_", "mdnet_", "source_free_"]
Weights = dict[str, np.ndarray]


def _started(
    params: AdaptationParameters, channels: int, weights: Weights | None, seed: int
) -> nn.Module:
    """The classifier of the parameters with these weights, or as they begin it."""
    torch.manual_seed(seed)
    network = build_network(
        params.classifier, channels, "" if weights else params.classifier_weights
    )
    if weights:
        network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    return network


def _adapt(
    method: str, start: Weights | None, stack: np.ndarray, labels: np.ndarray, train: np.ndarray,
    valid: np.ndarray, target: np.ndarray, seed: int, params: AdaptationParameters,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    network = _started(params, stack.shape[1], start, seed)
    images, others = torch.from_numpy(stack), torch.from_numpy(target)
    if method == SOURCE_FREE:
        return train_source_free(network, others, params, seed, checkpoints)
    return train_adapted(
        network, images, labels, train, valid, others, METHODS[method], params, seed, checkpoints
    )


def _learn(
    start: Weights | None, stack: np.ndarray, labels: np.ndarray, train: np.ndarray,
    valid: np.ndarray, seed: int, augmentation: str, params: AdaptationParameters,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    network = _started(params, stack.shape[1], start, seed)
    images = torch.from_numpy(stack)
    return train_classifier(
        network, images, labels, train, valid, params, seed, augmentation, checkpoints
    )


def label_counts(params: AdaptationParameters) -> dict[str, int]:
    """Arm to the number of labelled target images that it knows."""
    return {f"labels_{count}": int(count) for count in params.label_counts.split(",")}


def _goes_on(arm: str) -> bool:
    """Whether an arm goes on from the source classifier; all others begin anew."""
    return METHODS[arm].from_source if arm in METHODS else arm not in (RANDOMISED, BOTH)


def labelled_few(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """So many of ``rows``, drawn at random with their balance of labels, two of each at the least.

    A larger draw of the same seed holds the smaller ones, as a clinic goes on labelling.

    Raises
    ------
    InputError
        There are fewer.
    """
    rarer = rows["label"].value_counts().reindex([0, 1], fill_value=0).min()
    positives = int(np.clip(round(rows["label"].mean() * count), 2, count - 2))
    wanted = {1: positives, 0: count - positives}
    if not 4 <= count <= len(rows) or rarer < 2:
        raise InputError(
            f"{rows['domain'].iloc[0]}: {count} labelled images are wanted, two of each class at "
            f"the least, and {len(rows)} may be trained on, {rarer} of the rarer class. Add "
            "images, change label_counts (4 at the least), or run without rivals."
        )
    order = rows.iloc[np.random.default_rng([seed, 300]).permutation(len(rows))]
    drawn = [order[order["label"] == label].head(number) for label, number in wanted.items()]
    return pd.concat(drawn).sort_index()


@dataclass(frozen=True)
class _Images:
    """What all of them learn from: rows and stacks, uint8 (N, 1, H, W), blurred as is asked.

    ``unseen`` is the target without labels, ``own`` its training images, whose labels are known.
    """

    home: pd.DataFrame
    stack: Tensor
    unseen: Tensor
    own: pd.DataFrame
    labelled: Tensor

    @classmethod
    def of(cls, dataset: Dataset, domain: str) -> _Images:
        params = dataset.params
        home, own = (dataset.rows(name, "train") for name in (params.source_domain, domain))
        unseen = dataset.rows(domain) if params.transductive else own
        stacks = (
            soften(dataset.stack(rows), params.classifier_blur) for rows in (home, unseen, own)
        )
        stack, hidden, labelled = stacks
        return cls(home, stack, hidden, own, labelled)

    def rows_of(self, arm: str, params: AdaptationParameters) -> pd.DataFrame:
        """Rows of ``own`` whose labels the arm knows."""
        counts = label_counts(params)
        return labelled_few(self.own, counts[arm], params.seed) if arm in counts else self.own

    def at(self, rows: pd.DataFrame) -> Tensor:
        """Labelled images of some rows of ``own``."""
        return self.labelled[torch.as_tensor(rows.index.to_numpy(copy=True))]


def _job(
    images: _Images, arm: str, fold: int, source: FoldFit, params: AdaptationParameters
) -> Job:
    inside = (images.home["fold"] != fold).to_numpy()
    train = np.flatnonzero(inside)
    start = weights_of(source.ensemble.networks[fold]) if _goes_on(arm) else None
    ingredients: dict[str, Any] = dict(
        start=start, stack=images.stack.numpy(), labels=images.home["label"].to_numpy(copy=True),
        train=train, valid=np.flatnonzero(~inside), seed=params.seed * 1000 + fold,
    )  # fmt: skip
    if arm in ADAPTED:
        ingredients |= dict(method=arm, target=images.unseen.numpy())
    elif arm == RANDOMISED:
        ingredients["augmentation"] = arm
        # The harder task takes longer.
        params = params.model_copy(update=dict(classifier_epochs=params.randomised_epochs))
    else:
        rows = images.rows_of(arm, params)
        others = np.flatnonzero((rows["fold"] != fold).to_numpy())
        if arm != BOTH:  # a handful would drown: it is drawn as often as the source
            others = np.resize(others, len(train))
            half = -(-params.classifier_epochs // 2)  # of twice as many images
            params = params.model_copy(update=dict(classifier_epochs=half))
        ingredients |= dict(
            augmentation="geometry",
            stack=np.concatenate([images.stack.numpy(), images.at(rows).numpy()]),
            labels=np.concatenate([ingredients["labels"], rows["label"].to_numpy()]),
            train=np.concatenate([train, len(images.home) + others]),
        )  # fmt: skip
    settings = chosen_settings(params, _SETTINGS) | dict(name=params.classifier)
    work = partial(_adapt if arm in ADAPTED else _learn, params=params, **ingredients)
    return Job("rivals", _CODE, ingredients | dict(settings=settings), work)


def _calibrated(
    images: _Images, arm: str, fit: FoldFit, source: FoldFit, params: AdaptationParameters
) -> FoldFit:
    """``fit``, whose folds the source's validation images calibrated, by what the arm may know.

    Without source images the source classifier's own calibration stays. With labels of the target
    each fold's labelled images calibrate, that its network did not learn from; all folds alike,
    since one alone may hold two images.
    """
    networks = fit.ensemble.networks
    if arm == SOURCE_FREE:
        calibrations = source.ensemble.calibrations[: len(networks)]
    elif arm in (*label_counts(params), BOTH):
        rows = images.rows_of(arm, params)
        logits = np.empty(len(rows))
        for fold, part in rows.reset_index(drop=False).groupby("fold"):
            own = images.at(part.set_index("index"))
            logits[part.index] = predict_logits(networks[fold], own)
        calibrations = [calibrate(logits, rows["label"].to_numpy())] * len(networks)
    else:
        return fit
    return replace(fit, ensemble=replace(fit.ensemble, calibrations=calibrations))


def fit_rivals(dataset: Dataset, domain: str, source: FoldFit) -> dict[str, FoldFit]:
    """Train these arms for ``domain``, fold by fold.

    ``RANDOMISED``, those of ``ADAPTED``, those of ``label_counts``, and ``BOTH``.

    Parameters
    ----------
    source
        The grey source classifier, which some go on from; ``seconds`` of these hold its own.

    Raises
    ------
    InputError
        Fewer images of ``domain`` than are to be labelled.
    """
    params = dataset.params
    images = _Images.of(dataset, domain)
    arms = (RANDOMISED, *ADAPTED, *label_counts(params), BOTH)
    few = min(params.adapted_folds, params.folds)
    jobs = {
        arm: [
            _job(images, arm, fold, source, params)
            for fold in range(few if arm in (RANDOMISED, *ADAPTED) else params.folds)
        ]
        for arm in arms
    }
    fitted = iter(run_jobs(dataset.store, list(chain(*jobs.values())), params))
    fits = {}
    for arm in arms:
        own = list(islice(fitted, len(jobs[arm])))
        fit = fold_fit(dataset, "grey", params.classifier, images.stack, own)
        fit = _calibrated(images, arm, fit, source, params)
        before = source.seconds if _goes_on(arm) else 0.0
        fits[arm] = replace(fit, seconds=fit.seconds + before)
    return fits
