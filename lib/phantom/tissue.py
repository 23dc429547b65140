"""Phantom breast tissue from a seed: what stains take to, and the truth about its nuclei.

Not real tissue: a drawing of what a pathologist goes by (glands with a row of cells round a lumen,
stroma, lymphocytes; crowded, large, unequal nuclei in irregular nests), with known instance maps.
The same tissue can be stained and photographed in many ways (`lib.phantom.scanners`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from engine.errors import InputError
from lib.phantom.maps import Draws
from lib.phantom.nuclei_placing import place_nuclei
from lib.phantom.nuclei_shapes import Nucleus, draw_nucleus
from lib.phantom.tissue_architecture import build_architecture
from lib.phantom.tissue_matter import surround

LABELS = ("benign", "malignant")
MATTER = (
    "chromatin", "nucleoli", "cytoplasm", "fibres", "red_cells", "nuclear_antigen",
    "membrane_antigen", "ground",
)  # fmt: skip
LEAST = 5.0  # um2 of a nucleus in the field: less is not annotated
SEEN = 0.5  # share of a nucleus that must lie clear of those above it
UNDER = 0.25  # share of its matter that a nucleus keeps under another one
ASIDE = 0.8  # share of what surrounds a nucleus that it pushes aside
HER2 = {"benign": (1, 0, 0, 0), "malignant": (0.3, 0.25, 0.2, 0.25)}  # chances of scores 0 to 3
EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Tissue:
    """Fields of view of tissue sections.

    seeds : int64 (N,)
    um_per_px : of the maps
    instances : int32 (N, S, S), 0 background, 1..n nuclei, each in one piece of ``LEAST`` um2 or
        more; where nuclei overlap, of the upper one
    nuclei : one row a nucleus: image (index in the batch), number (in ``instances``), row, column
        (centroid in px of what ``instances`` shows), kind (in ``nuclei_shapes.KINDS``), positive
        (of Ki67)
    chromatin, nucleoli, cytoplasm, fibres, red_cells, nuclear_antigen, membrane_antigen : float32
        (N, S, S), amounts of what stains take to, 0 to about 1
    ground : float32 (N, S, S) in [0, 1], how much of a pixel is tissue and not lumen, fat or gap
    her2 : int64 (N,), score of the membrane antigen, 0 to 3
    labels : (N,) in ``LABELS``
    """

    seeds: np.ndarray
    um_per_px: float
    instances: np.ndarray
    nuclei: pd.DataFrame
    chromatin: np.ndarray
    nucleoli: np.ndarray
    cytoplasm: np.ndarray
    fibres: np.ndarray
    red_cells: np.ndarray
    nuclear_antigen: np.ndarray
    membrane_antigen: np.ndarray
    ground: np.ndarray
    her2: np.ndarray
    labels: tuple[str, ...]


def grow_tissue(seeds: np.ndarray, side: int, um_per_px: float, labels: Sequence[str]) -> Tissue:
    """Grow one field of view per seed.

    Each depends on its own seed and label alone, whatever the batch. Fields of as many um show the
    same tissue at any pixel size.

    Parameters
    ----------
    seeds : int64 (N,), not negative
    side : of the fields, px
    um_per_px : 0.25 (40x) to 1 (10x)
    labels : (N,) in ``LABELS``

    Raises
    ------
    InputError
        Unknown label, or not as many labels as seeds.
    """
    seeds, labels = np.asarray(seeds), tuple(labels)
    if len(labels) != len(seeds):
        raise InputError(f"{len(seeds)} seeds, {len(labels)} labels: give every seed its label.")
    for label in labels:
        if label not in LABELS:
            raise InputError(f"label {label!r} is unknown: choose one of {', '.join(LABELS)}.")
    draws = Draws(seeds, stream=81)
    fields = [
        _Field(label, side, um_per_px, rng)
        for label, rng in zip(labels, draws.generators, strict=True)
    ]
    tables = [f.table().assign(image=i) for i, f in enumerate(fields)]
    nuclei = pd.concat(tables, ignore_index=True)
    names = ["image", "number", "row", "column", "kind", "positive"]
    return Tissue(
        seeds=seeds,
        um_per_px=um_per_px,
        instances=np.stack([f.instances for f in fields]),
        nuclei=nuclei[names],
        **{name: np.stack([f.matter[name] for f in fields]) for name in MATTER},
        her2=np.array([f.her2 for f in fields]),
        labels=labels,
    )


class _Field:
    """One field of view while it grows."""

    def __init__(self, label: str, side: int, um: float, rng: np.random.Generator):
        self.um, self.side = um, side
        plan = build_architecture(label, side * um, rng)
        nuclei = place_nuclei(plan, rng)
        self.her2 = int(rng.choice(4, p=HER2[label]))
        self.instances = np.zeros((side, side), np.int32)
        self.matter = {name: np.zeros((side, side), np.float32) for name in MATTER}
        self.matter |= surround(plan, nuclei, self.her2, side, um, rng)
        self.shown: list[Nucleus] = []
        self.cover = np.zeros((side, side), np.float32)
        for nucleus, seed in zip(nuclei, rng.integers(2**63, size=len(nuclei)), strict=True):
            self._put(nucleus, seed)
        for name in ("cytoplasm", "fibres", "red_cells", "membrane_antigen"):
            self.matter[name] *= 1 - ASIDE * self.cover
        np.maximum(self.matter["ground"], self.cover, out=self.matter["ground"])

    def _put(self, nucleus: Nucleus, seed: int) -> None:
        """Put a nucleus under those that are there, unless they hide it."""
        box = nucleus.box(self.side, self.um)
        if box is None:
            return
        window = draw_nucleus(nucleus, box, self.um, np.random.default_rng(seed))
        clear = 1 - (1 - UNDER) * self.cover[box]
        if nucleus.cap:
            self.matter["chromatin"][box] += clear * self.matter["ground"][box] * window.chromatin
            return
        whole = window.cover >= 0.5
        own = whole & (self.instances[box] == 0)
        pieces, count = ndimage.label(own, EIGHT)
        if count > 1:
            own = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
        size = np.count_nonzero(own)
        if size < SEEN * np.count_nonzero(whole):
            return
        if size * self.um**2 >= LEAST:
            self.shown.append(nucleus)
            self.instances[box][own] = len(self.shown)
        self.matter["chromatin"][box] += clear * window.chromatin
        self.matter["nucleoli"][box] += clear * window.nucleoli
        self.matter["nuclear_antigen"][box] += clear * window.antigen
        np.maximum(self.cover[box], window.cover, out=self.cover[box])

    def table(self) -> pd.DataFrame:
        number = np.arange(1, len(self.shown) + 1)
        places = ndimage.center_of_mass(self.instances > 0, self.instances, number)
        places = np.reshape(places, (-1, 2))
        return pd.DataFrame(
            {
                "number": number,
                "row": places[:, 0],
                "column": places[:, 1],
                "kind": [n.kind for n in self.shown],
                "positive": np.array([n.antigen > 0 for n in self.shown], bool),
            }
        )
