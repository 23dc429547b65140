"""Detectors of nuclei: on which images each is trained, and how, as jobs for the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import make_fabric
from engine.jobs import Job, fitted_networks
from lib.data.simulated_tissue import random_stains
from lib.data.tissue_set import TissueSet
from lib.models.fitting import seconds_of
from lib.models.hovernet import HoVerNet
from lib.models.hovernet_published import load_published
from lib.models.hovernet_training import best_threshold, train_hovernet
from lib.models.parameters import chosen_settings
from lib.models.readers import FittedReader
from lib.models.stain_parameters import StainParameters

PUBLISHED = "published"  # the detector of the weights that HoVer-Net's authors give away
_CODE = ("lib.models.hovernet_training",)
Pair = tuple[Tensor, Tensor]  # images uint8 (N, 3, S, S) and nuclei int32 (N, 1, S, S)


@dataclass(frozen=True)
class Detector:
    """A detector before it is trained.

    domain : "source" or "target", whose nuclei it learns from, or "random": phantoms that no run
        meets, by random laboratories
    changes : key of ``hovernet_training.CHANGES``
    """

    domain: str = "source"
    changes: str = "turned"

    def images(self, tissue: TissueSet, part: str) -> Pair:
        """Labelled images of the part ``train`` or ``valid``."""
        p = tissue.params
        if self.domain == "random":
            watched = part == "valid"
            count = p.simulated_phantoms // 4 if watched else p.simulated_phantoms
            looks = 1 if watched else p.simulated_looks
            return random_stains(p, count, looks, tissue.store, watched).labelled
        domain = p.source_domain if self.domain == "source" else p.target_domain
        rows = tissue.rows(domain, part)
        return tissue.stack(rows), tissue.instances(rows)


def detectors_of(tissue: TissueSet) -> dict[str, Detector]:
    """Every detector that is trained, by name; ``hovernet`` is the source's own.

    Where the target has too few annotated groups, none learns from them.
    """
    detectors = {"hovernet": Detector(), "stained": Detector(changes="stained")}
    if tissue.params.is_phantom:
        detectors["random_stains"] = Detector("random")
    if len(tissue.rows(tissue.params.target_domain, "train")):
        detectors["target"] = Detector("target")
    return detectors


def _train(
    images: Pair, valid: Pair, detector: Detector, params: StainParameters, seed: int,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    return train_hovernet(
        *images, valid, params, seed, changes=detector.changes, checkpoints=checkpoints
    )


def fit_detectors(tissue: TissueSet, detectors: Mapping[str, Detector]) -> dict[str, FittedReader]:
    """Train detectors; each one's threshold is the best on validation images of its own kind."""
    params = tissue.params
    valid = {name: one.images(tissue, "valid") for name, one in detectors.items()}
    jobs = {}
    for name, detector in detectors.items():
        images = detector.images(tissue, "train")
        ingredients = dict(
            images=images[0].numpy(), nuclei=images[1].numpy(),
            valid=[part.numpy() for part in valid[name]], changes=detector.changes,
            seed=params.seed,
            settings=chosen_settings(params, ["hovernet_", "um_per_px", "precision"]),
        )  # fmt: skip
        train = partial(_train, images, valid[name], detector, params, params.seed)
        build = partial(HoVerNet, params.hovernet_filters)
        jobs[name] = Job("detectors", _CODE, ingredients, train), build
    fits = {}
    for name, (network, history) in fitted_networks(tissue.store, jobs, params).items():
        threshold = best_threshold(network, *valid[name], params.um_per_px)
        fits[name] = FittedReader(network, threshold, history, seconds_of(history))
    if params.published_weights:
        path = Path(params.published_weights).expanduser()
        network = load_published(path, params.um_per_px).to(make_fabric(params).device)
        # As its authors cut it; it has learnt from real H&E, and there is nothing to choose by.
        fits[PUBLISHED] = FittedReader(network, 0.5, pd.DataFrame(), float("nan"))
    return fits
