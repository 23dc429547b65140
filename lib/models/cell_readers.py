"""U-Nets that find cells: on which images each is trained, and how, as jobs for the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.errors import InputError
from engine.jobs import Job, fitted_networks
from lib.data.field_set import FieldSet
from lib.data.simulated_fields import empty_fields, registered_fields
from lib.models.cell_parameters import CellParameters
from lib.models.fitting import seconds_of
from lib.models.parameters import chosen_settings
from lib.models.readers import FittedReader
from lib.models.unet import PLACES, PretrainedUNet, UNet
from lib.models.unet_training import best_threshold, chances, train_unet
from lib.phantom.cell_optics import add_blobs
from lib.phantom.cells import SMALL

_CODE = ("lib.models.unet_training",)
# The lines of the reduced set: the phantom's, and those that the published study chose of LIVECell.
SMALL_LINES = (*SMALL, "bv2", "huh7", "skbr3")
Pair = tuple[Tensor, Tensor]  # images uint8 (N, 1, S, S) and masks bool (N, 1, S, S)


@dataclass(frozen=True)
class Images:
    """Labelled images that a U-Net is trained on: the source's own, changed and added to.

    small : only the lines of small cells
    particles : small round dark items drawn onto them
    empty : as many again, without cells
    simulated : as many again, of phantoms by random machines; ``alone``: these and no others
    labels : groups of the target whose labels are used as well; None: all, and no source image
    """

    small: bool = False
    particles: bool = False
    empty: bool = False
    simulated: bool = False
    alone: bool = False
    labels: int | None = 0

    def drawn(self, fields: FieldSet) -> Pair:
        """The images with their masks."""
        p = fields.params
        if self.labels is None:
            return labelled(fields, fields.rows(p.target_domain, "train"))
        rows = fields.rows(p.source_domain, "train")
        if self.small:
            rows = rows[rows["label"].str.lower().isin(SMALL_LINES)].reset_index(drop=True)
            if rows.empty:
                raise InputError(
                    f"{p.source_domain}: no training image shows a line of small cells "
                    f"({', '.join(SMALL_LINES)}). Add images of one, or choose another seed."
                )
        images, masks = labelled(fields, rows)
        if self.particles:
            images = with_particles(images, p.seed)
        parts = [(images, masks)]
        if self.simulated:
            many = registered_fields(p, p.simulated_phantoms, p.simulated_looks, fields.store)
            # As many as the source's, from all over; alone, all there are.
            looks, own = many.labelled
            chosen = torch.arange(len(rows)) * len(looks) // len(rows)
            parts = [(looks, own)] if self.alone else [*parts, (looks[chosen], own[chosen])]
        if self.empty:
            images = empty_fields(p, len(rows))
            if self.particles:
                images = with_particles(images, p.seed + 1)
            parts.append((images, torch.zeros_like(images, dtype=torch.bool)))
        if self.labels:
            # As many as the source's, again and again the same: either domain is half of what is
            # learnt.
            own = labelled(fields, few_groups(fields, self.labels))
            often = torch.arange(len(rows)) % len(own[0])
            parts.append((own[0][often], own[1][often]))
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    def watched(self, fields: FieldSet) -> Pair:
        """Images of its own kind that it is validated on, and its threshold chosen by.

        The source's where it learns from them, else the simulated ones or the target's.
        """
        p = fields.params
        home = fields.rows(p.source_domain, "valid")
        if self.alone:
            return registered_fields(p, len(home), 1, fields.store, watched=True).labelled
        return labelled(fields, home if self.labels is not None else
                        fields.rows(p.target_domain, "valid"))  # fmt: skip


def labelled(fields: FieldSet, rows: pd.DataFrame) -> Pair:
    """Images and masks of ``rows``."""
    return fields.stack(rows), fields.masks(rows)


def few_groups(fields: FieldSet, count: int) -> pd.DataFrame:
    """Rows of ``count`` groups of the target's training part, drawn by the seed."""
    rows = fields.rows(fields.params.target_domain, "train")
    groups = np.sort(rows["group"].unique())
    chosen = np.random.default_rng([fields.params.seed, 3]).permutation(groups)[:count]
    return rows[rows["group"].isin(chosen)].reset_index(drop=True)


def with_particles(images: Tensor, seed: int) -> Tensor:
    """Images with items like magnetic particles drawn onto them, which are no cells."""
    seeds = np.random.default_rng([seed, 5]).integers(1 << 40, size=len(images))
    return torch.from_numpy(add_blobs(images[:, 0].numpy(), seeds))[:, None]


@dataclass(frozen=True)
class Reader:
    """A U-Net before it is trained; fields as ``unet_training.train_unet`` takes them.

    ``long``: for ``unet_long_steps``, since it has many times the images, or knows labels of the
    target and is what others are held against.
    """

    images: Images
    long: bool = False
    changes: str = "turned"
    pretrained: bool = False
    place: str = ""


SOURCE = Images()
# The rows of the published Table 1; what it calls LIVECell is the source, and Unity the simulated.
PUBLISHED_IMAGES = {
    "source": SOURCE,
    "particles": Images(particles=True),
    "particles_simulated": Images(particles=True, simulated=True),
    "small": Images(small=True),
    "small_particles": Images(small=True, particles=True),
    "small_particles_simulated": Images(small=True, particles=True, simulated=True),
    "empty": Images(empty=True),
    "particles_empty": Images(particles=True, empty=True),
}
FEW = (1, 3, 10)  # labelled groups of the target


def readers_of(fields: FieldSet) -> dict[str, Reader]:
    """Every U-Net that is trained, by name; ``unet`` is the source's own.

    Images that show no cultures are not added to by simulated, empty or small-celled ones; where
    too few target groups have drawn cells, none learns from them.
    """
    params = fields.params
    readers = {
        "unet": Reader(SOURCE),
        "unet_pretrained": Reader(SOURCE, pretrained=True),
        "randomised": Reader(SOURCE, changes="randomised"),
        **{f"reversal_{place}": Reader(SOURCE, place=place) for place in PLACES},
    }
    groups = fields.rows(params.target_domain, "train")["group"].nunique()
    readers |= {
        f"labels_{count}": Reader(Images(labels=count), long=True)
        for count in FEW
        if count <= groups
    }
    if groups:
        readers["target"] = Reader(Images(labels=None), long=True)
    if params.shows_cultures:
        for name, images in PUBLISHED_IMAGES.items():
            if name == "source":
                continue
            if not images.small:
                readers[f"unet_{name}"] = Reader(images)
            if not images.empty:
                readers[f"reversal_{name}"] = Reader(images, place=params.reversal_place)
        readers["unet_particles_empty_noise"] = Reader(
            PUBLISHED_IMAGES["particles_empty"], changes="noisy"
        )
        readers["random_optics"] = Reader(Images(simulated=True, alone=True), long=True)
    return readers


def _train(
    images: Pair, valid: Pair, reader: Reader, target: Tensor | None, params: CellParameters,
    seed: int, checkpoints: Checkpoints | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    return train_unet(
        *images, valid, params, seed, changes=reader.changes, pretrained=reader.pretrained,
        place=reader.place, target=target, checkpoints=checkpoints,
    )  # fmt: skip


def fit_readers(fields: FieldSet, readers: Mapping[str, Reader]) -> dict[str, FittedReader]:
    """Train U-Nets; each one's threshold is the best on ``Images.watched``."""
    params = fields.params
    unlabelled = fields.stack(fields.rows(params.target_domain, "train", drawn=False))
    valid = {name: reader.images.watched(fields) for name, reader in readers.items()}
    jobs = {}
    for name, reader in readers.items():
        images = reader.images.drawn(fields)
        target = unlabelled if reader.place else None
        steps = params.unet_long_steps if reader.long else params.unet_steps
        own = fields.with_params(unet_steps=steps).params
        ingredients = dict(
            images=images[0].numpy(), masks=images[1].numpy(),
            valid=[part.numpy() for part in valid[name]],
            changes=reader.changes, pretrained=reader.pretrained, place=reader.place,
            target=None if target is None else target.numpy(), seed=params.seed,
            settings=chosen_settings(
                own, ["unet_rate", "unet_batch", "unet_filters", "unet_steps", "unet_decay",
                      "reversal_", "precision"],
            ),
        )  # fmt: skip
        train = partial(_train, images, valid[name], reader, target, own, params.seed)
        build = PretrainedUNet if reader.pretrained else partial(UNet, params.unet_filters)
        jobs[name] = Job("unets", _CODE, ingredients, train), build
    fits = {}
    for name, (network, history) in fitted_networks(fields.store, jobs, params).items():
        images, masks = valid[name]
        threshold = best_threshold(chances(network, images), masks)
        fits[name] = FittedReader(network, threshold, history, seconds_of(history))
    return fits
