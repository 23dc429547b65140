"""Phantom tissue as a source of fields: slides grown, stained and scanned, in tiles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from engine.errors import InputError
from lib.data.fields import COLUMNS
from lib.data.interface import NOTHING
from lib.data.seed_ranges import numbered
from lib.data.tissue import TissueSource
from lib.data.tissue_parameters import TILES, TissueParameters
from lib.phantom.scanners import DEVICES, photograph_tissue
from lib.phantom.tissue import LABELS, Tissue, grow_tissue

_TOGETHER = 48  # tiles grown at once


class PhantomTissue(TissueSource):
    """Slides of twelve tiles; id "ki67/01000004#3" is tile 3 of slide 1000004.

    Every domain has its own range of slides, so that no tissue occurs in two; but each can be
    stained and scanned as any domain (`through`), which is the truth a translation is held to. A
    slide is benign or malignant, as its number is even or odd.
    """

    def __init__(self, params: TissueParameters, device: str = "") -> None:
        domains = (params.source_domain, params.target_domain)
        for domain in domains:
            if domain not in DEVICES:
                raise InputError(
                    f"stain {domain!r} is unknown: choose one of {', '.join(DEVICES)}."
                )
        self.excluded = NOTHING
        self.truth_domains = domains
        self._params, self._device = params, device
        self._maps: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        counts = (params.source_slides, params.target_slides)
        self._slides = numbered(domains, counts, params.seed)

    def table(self) -> pd.DataFrame:
        side, rows = self._params.image_size, []
        for domain, slide in self._slides:
            group = f"{domain}/{slide:08d}"
            for tile in range(TILES):
                id = f"{group}#{tile}"
                made = f"{self._made_from()} {self._device} {id}"
                rows.append((id, domain, label_of(slide), group,
                             hashlib.sha256(made.encode()).hexdigest(), side, side, "RGB", 8,
                             "simulation"))  # fmt: skip
        return pd.DataFrame(rows, columns=COLUMNS)

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        images: list[np.ndarray] = []
        for some in _blocks(ids):
            tissue, slides = self._grown(some)
            domain = self._device or some[0].split("/")[0]
            images += list(photograph_tissue(tissue, slides, domain))
        return images

    def instances(self, ids: Sequence[str]) -> list[np.ndarray]:
        return [instances for instances, _ in self._drawn(ids)]

    def positives(self, ids: Sequence[str]) -> list[np.ndarray]:
        return [positives for _, positives in self._drawn(ids)]

    def fingerprint(self) -> str:
        return hashlib.sha256(self._made_from().encode()).hexdigest()

    def through(self, device: str) -> PhantomTissue:
        if device not in self.truth_domains:
            super().through(device)
        return PhantomTissue(self._params, device)

    def _made_from(self) -> str:
        names = {"seed", "source_domain", "target_domain", "source_slides", "target_slides",
                 "image_size", "um_per_px"}  # fmt: skip
        return json.dumps(self._params.model_dump(include=names), sort_keys=True)

    def _grown(self, ids: Sequence[str]) -> tuple[Tissue, np.ndarray]:
        slides, tiles = np.array(
            [[int(part) for part in id.split("/")[1].split("#")] for id in ids]
        ).T
        tissue = grown_tiles(slides, tiles, self._params)
        drawn = zip(tissue.instances, positive_masks(tissue), strict=True)
        self._maps |= zip(ids, drawn, strict=True)
        return tissue, slides

    def _drawn(self, ids: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Instances and positives of ``ids``; what was photographed is not grown again."""
        for some in _blocks([id for id in dict.fromkeys(ids) if id not in self._maps]):
            self._grown(some)
        return [self._maps[id] for id in ids]


def label_of(slide: int) -> str:
    """What grows on a slide."""
    return LABELS[slide % len(LABELS)]


def grown_tiles(slides: np.ndarray, tiles: np.ndarray, params: TissueParameters) -> Tissue:
    """Tile ``tiles`` of each of ``slides``, two int (N,)."""
    labels = [label_of(slide) for slide in slides.tolist()]
    return grow_tissue(slides * TILES + tiles, params.image_size, params.um_per_px, labels)


def positive_masks(tissue: Tissue) -> np.ndarray:
    """Where nuclei are that DAB stains, bool (N, S, S)."""
    kept = np.zeros((len(tissue.instances), int(tissue.instances.max()) + 1), bool)
    own = tissue.nuclei[tissue.nuclei["positive"]]
    kept[own["image"], own["number"]] = True
    places = np.arange(len(kept))[:, None, None]
    return kept[places, tissue.instances]


def _blocks(ids: Sequence[str]) -> list[Sequence[str]]:
    """``ids`` in their order, in blocks of one domain that fit into memory."""
    blocks: list[list[str]] = []
    for id in ids:
        domain = id.split("/")[0]
        if not blocks or len(blocks[-1]) == _TOGETHER or blocks[-1][0].split("/")[0] != domain:
            blocks.append([])
        blocks[-1].append(id)
    return list(blocks)
