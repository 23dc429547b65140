"""Fields of cells of a run: divided by groups, as stacks of images and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engine.errors import InputError
from engine.parameters import check_params
from engine.store import Store
from lib.data.field_parameters import FieldParameters
from lib.data.field_sources import open_fields
from lib.data.fields import FieldSource

PARTS = ("train", "valid", "holdout")


def divide(
    table: pd.DataFrame, source: str, holdout: float, valid: float, seed: int
) -> pd.DataFrame:
    """The rows with a column ``split``, one of ``PARTS``; groups of a domain stay together.

    ``holdout`` is the share of a domain's groups, ``valid`` that of the groups that are left; each
    part has one at least. Groups are drawn, so that another seed is another division. Only groups
    in which somebody drew cells are counted and divided: the others, which can judge nothing,
    train. Where a domain has one or two with drawn cells, they are held out, all: enough to judge
    by, and too few to learn from.

    Raises
    ------
    InputError
        ``source`` has fewer than three groups with drawn cells, or another domain none, or nothing
        to learn from.
    """
    split = pd.Series("train", index=table.index)
    for place, (domain, own) in enumerate(table.groupby("domain", sort=True)):
        groups = np.sort(own.loc[own["drawn_by"] != "", "group"].unique())
        least = len(PARTS) if domain == source else 1
        if len(groups) < least:
            raise InputError(
                f"{domain}: {len(groups)} group(s) of images with drawn cells, {least} needed. Add "
                "images or masks, or give each image a group of its own."
            )
        if len(groups) < len(PARTS):
            if own["group"].nunique() == len(groups):
                raise InputError(
                    f"{domain}: all {len(groups)} group(s) of images are held out to judge by, and "
                    "none is left to adapt to. Add images, which need no drawn cells."
                )
            split[own.index[own["group"].isin(groups)]] = "holdout"
            continue
        order = np.random.default_rng([seed, place]).permutation(groups)
        held = int(np.clip(round(holdout * len(groups)), 1, len(groups) - 2))
        watched = int(np.clip(round(valid * (len(groups) - held)), 1, len(groups) - held - 1))
        split[own.index[own["group"].isin(order[:held])]] = "holdout"
        split[own.index[own["group"].isin(order[held : held + watched])]] = "valid"
    return table.assign(split=split)


@dataclass(frozen=True)
class FieldSet:
    """Fields of cells, divided; ``split`` is the image table with its column of that name."""

    params: FieldParameters
    source: FieldSource
    split: pd.DataFrame
    store: Store

    opened = staticmethod(open_fields)  # what opens the source that parameters name
    code = ("lib.data.field_sources",)  # and where that is written

    @classmethod
    def open(cls, params: FieldParameters, data_root: Path, store: Store) -> FieldSet:
        """The fields that the parameters name, divided by their seed."""
        p, source = params, cls.opened(params, data_root)
        split = divide(source.table(), p.source_domain, p.holdout_share, p.valid_share, p.seed)
        return cls(params, source, split, store)

    def with_params(self, **changes: Any) -> FieldSet:
        """The same images and split for a training of other parameters, as another seed."""
        values = {**self.params.model_dump(), **changes}
        return replace(self, params=check_params(values, "the changed parameters"))

    def rows(self, domain: str, part: str, drawn: bool = True) -> pd.DataFrame:
        """Rows of one of ``PARTS``; with ``drawn`` only those whose cells somebody drew."""
        chosen = (self.split["domain"] == domain) & (self.split["split"] == part)
        if drawn:
            chosen &= self.split["drawn_by"] != ""
        return self.split[chosen].reset_index(drop=True)

    def stack(self, rows: pd.DataFrame, device: str = "") -> Tensor:
        """Images, uint8 (N, 1, S, S), of colour (N, 3, S, S); by another device if one is named."""
        source = self.source.through(device) if device else self.source
        return self._stored(source, f"images {device}", rows["id"].tolist())

    def instances(self, rows: pd.DataFrame) -> Tensor:
        """Instance maps, int32 (N, 1, S, S), 0 background."""
        return self._stored(self.source, "instances", rows["id"].tolist())

    def masks(self, rows: pd.DataFrame) -> Tensor:
        """Where cells are, bool (N, 1, S, S)."""
        return self.instances(rows) > 0

    def has_truth(self) -> bool:
        """Whether target fields can also be had through the source's device."""
        return self.params.target_domain in self.source.truth_domains

    @property
    def note(self) -> str:
        """What kind of images these are, for the title of every figure."""
        return "synthetic phantom" if self.params.data_kind == "phantom" else "real images"

    def _stored(self, source: FieldSource, kind: str, ids: Sequence[str]) -> Tensor:
        if not ids:
            raise InputError("no field is left in this part: check domains and masks of the data")

        def load() -> Tensor:
            read = source.read_many if kind.startswith("images") else getattr(source, kind)
            found = torch.from_numpy(np.stack(read(ids)))
            return found if found.ndim == 4 else found[:, None]

        ingredients = dict(data=self.source.fingerprint(), kind=kind, ids=list(ids))
        return self.store.arrays("fields", ingredients, load, self.code)
