"""The images of a run as stacks: split, framed, and through the good device where it is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from engine.errors import InputError
from engine.parameters import check_params
from engine.results import Finished
from engine.store import Store
from lib.data.images import load_stack
from lib.data.interface import MASKS, STRUCTURES
from lib.data.parameters import ImageParameters
from lib.data.sources import Source, open_source
from lib.data.splits import split_table

# What decides the pixels of a stack; training code may change without decoding anew.
_CODE = ("lib.data.images", "lib.data.framing", "lib.data.sources")


@dataclass(frozen=True)
class Dataset:
    """What notebook 01 found, and the images themselves.

    ``split`` is the split table, ``frames`` the frame table (empty where images are used whole).
    """

    params: ImageParameters
    source: Source
    split: pd.DataFrame
    frames: pd.DataFrame
    store: Store

    @classmethod
    def open(
        cls, params: ImageParameters, data_root: Path, store: Store, audit: Finished
    ) -> Dataset:
        """The images that ``audit`` (the outputs of notebook 01) has split and framed."""
        source = open_source(params, data_root)
        return cls(params, source, audit.table("split"), audit.table("frames"), store)

    def with_params(self, **changes: Any) -> Dataset:
        """The same images, split and frames for a training of other parameters, as another seed."""
        values = {**self.params.model_dump(), **changes}
        return replace(self, params=check_params(values, "the changed parameters"))

    def divided(self, seed: int) -> Dataset:
        """The same images, frames and groups under the division that ``seed`` draws.

        The seed of the run draws the run's own. What was joined into one group, copies and near
        ones included, stays together.

        Raises
        ------
        InputError
            As ``lib.data.splits.split_table``.
        """
        p = self.params
        table = self.split.drop(columns=["split", "fold"])
        return replace(self, split=split_table(table, p.folds, p.holdout_shares, seed))

    def rows(self, domain: str, part: str = "") -> pd.DataFrame:
        """Rows of the split table; ``part`` is ``"train"``, ``"holdout"`` or empty for both."""
        chosen = self.split["domain"] == domain
        if part:
            chosen &= self.split["split"] == part
        return self.split[chosen].reset_index(drop=True)

    def stack(self, rows: pd.DataFrame, colour: str = "grey", framed: bool = True) -> Tensor:
        """Images of ``rows``, uint8 (N, C, size, size); ``framed`` False keeps the whole frame."""
        frames = self.frames if framed and len(self.frames) else None
        return self._load(self.source, "own", rows["id"].tolist(), colour, frames)

    def truth(self, rows: pd.DataFrame) -> Tensor:
        """The same objects by the source's device, grey, registered with ``stack(rows)``.

        Raises
        ------
        InputError
            The truth of these images is not known.
        """
        device = self.params.source_domain
        ids = rows["id"].tolist()
        frames = None
        if len(self.frames):
            own = self.frames.set_index("id").loc[ids].reset_index()
            frames = self.source.frames_through(own, device)
        return self._load(self.source.through(device), device, ids, "grey", frames)

    def structures(self, rows: pd.DataFrame) -> Tensor:
        """Truth masks of ``interface.STRUCTURES``, bool (N, K, size, size), registered likewise.

        Raises
        ------
        InputError
            They are not known.
        """
        return self._masks(rows)[:, : len(STRUCTURES)]

    def outline(self, rows: pd.DataFrame) -> Tensor:
        """Where the embryo is, its shell included: bool (N, 1, size, size), registered likewise.

        Raises
        ------
        InputError
            It is not known.
        """
        return self._masks(rows)[:, [MASKS.index("embryo")]]

    def _masks(self, rows: pd.DataFrame) -> Tensor:
        """All of ``interface.MASKS``, bool (N, K, size, size)."""
        frames = self.frames if len(self.frames) else None
        ids = rows["id"].tolist()
        return self._load(self.source.structures(), "structures", ids, "rgb", frames) > 127

    def has_truth(self, domain: str) -> bool:
        """Whether images of ``domain`` can also be had by the source's device."""
        return domain in self.source.truth_domains

    def note(self, domain: str = "") -> str:
        """What kind of images these are, for the title of every figure."""
        if self.params.data_kind == "phantom":
            return "synthetic phantom"
        if self.params.second_target_optics and domain == self.params.second_target_domain:
            return "semi-synthetic: real images, simulated device"
        return "real images"

    def _load(
        self,
        source: Source,
        device: str,
        ids: list[str],
        colour: str,
        frames: pd.DataFrame | None,
    ) -> Tensor:
        p = self.params
        if not ids:
            raise InputError("a stack without images was asked for: check the counts of the split")

        def load() -> Tensor:
            folder = self.store.folder / "mapped"
            return load_stack(
                source, ids, p.image_size, colour, p.fit, frames, p.field_of_view, folder,
                p.memory_mb,
            )  # fmt: skip

        channels = 1 if colour == "grey" else 3
        if len(ids) * channels * p.image_size**2 > p.memory_mb * 2**20:
            return load()  # memory-mapped: a copy in the store would have to be read whole
        own = None if frames is None else frames.set_index("id").loc[ids]
        ingredients = dict(
            data=self.source.fingerprint(), device=device, ids=ids, colour=colour, frames=own,
            size=p.image_size, fit=p.fit, field_of_view=p.field_of_view,
        )  # fmt: skip
        return self.store.arrays("stacks", ingredients, load, _CODE)
