"""Judges of translated images that took no part in making them: a classifier and a segmenter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import make_fabric
from engine.jobs import Job, run_jobs
from lib.data.dataset import Dataset
from lib.data.interface import STRUCTURES
from lib.models.calibration import calibrate
from lib.models.classifier import FoldEnsemble, predict_logits, soften
from lib.models.fitting import CLASSIFIER_CODE, train_fold
from lib.models.networks import build_network
from lib.models.parameters import TranslationParameters, chosen_settings
from lib.models.segmentation import Segmenter, segment, train_segmenter

_SEGMENTER_CODE = ("lib.models.segmentation",)
# How much a pixel of a structure weighs against one outside it: the inner cell mass is small and
# faint, and would be given up for the cavity.
_STRUCTURE_WEIGHTS = {"cavity": 1.0, "icm": 4.0}


def _train_segmenter(
    stack: np.ndarray, masks: np.ndarray, seed: int, weights: list[float],
    params: TranslationParameters, checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    images, drawn = torch.from_numpy(stack), torch.from_numpy(masks)
    return train_segmenter(images, drawn, params, seed, weights, checkpoints)


Reader = Callable[[Tensor], Tensor]  # uint8 (N, 1, H, W) to masks, bool (N, K, H, W)


def fit_judges(dataset: Dataset, domain: str) -> tuple[FoldEnsemble, Reader | None]:
    """Judges of translated images that took no part in making them.

    Returns
    -------
    A classifier trained on labelled images of the source and of ``domain``, so that it reads both
    looks (labels of training images; it judges safety and is no arm), calibrated on one fold of
    either; and what segments ``interface.STRUCTURES`` in images of the source, None where they are
    not known.
    """
    params = dataset.params
    names = (params.source_domain, domain)
    rows = pd.concat([dataset.rows(name, "train") for name in names], ignore_index=True)
    stack = soften(dataset.stack(rows), params.classifier_blur)
    seed = params.seed * 1000 + 500  # none of the folds'
    groups = rows["group"].unique()
    chosen = set(groups[np.random.default_rng(seed).random(len(groups)) < 0.2])
    inside = rows["group"].isin(chosen).to_numpy()
    ingredients = dict(
        name=params.classifier, stack=stack.numpy(), labels=rows["label"].to_numpy(copy=True),
        train=np.flatnonzero(~inside), valid=np.flatnonzero(inside), seed=seed,
        augmentation="optics",
    )  # fmt: skip
    settings = chosen_settings(params, ["classifier_", "precision"])
    trainings = [
        Job(
            "judges", CLASSIFIER_CODE, ingredients | dict(settings=settings),
            partial(train_fold, params=params, **ingredients),
        )
    ]  # fmt: skip
    if dataset.source.has_structures:
        home = dataset.rows(params.source_domain, "train")
        drawn = dict(
            stack=dataset.stack(home).numpy(), masks=dataset.structures(home).numpy(), seed=seed,
            weights=[_STRUCTURE_WEIGHTS[name] for name in STRUCTURES],
        )  # fmt: skip
        trainings.append(
            Job(
                "segmenters", _SEGMENTER_CODE, drawn,
                partial(_train_segmenter, params=params, **drawn),
            )
        )  # fmt: skip
    fitted = run_jobs(dataset.store, trainings, params)
    judge = build_network(params.classifier, 1, "")
    judge.load_state_dict(fitted[0][0])
    device = make_fabric(params).device
    judge.to(device)
    logits = predict_logits(judge, stack[torch.as_tensor(ingredients["valid"])])
    calibration = calibrate(logits, rows["label"].to_numpy()[ingredients["valid"]])
    segmenter = None
    if dataset.source.has_structures:
        network = Segmenter(len(STRUCTURES))
        network.load_state_dict(fitted[1][0])
        segmenter = partial(segment, network.to(device).eval())
    return FoldEnsemble([judge], [calibration], params.classifier_blur), segmenter
