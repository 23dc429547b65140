"""A second target from the source's own images: each photographed again by a simulated device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from engine.errors import InputError
from lib.data.interface import ImageCache, Source, check_table
from lib.data.parameters import ImageParameters
from lib.phantom.optics import rephotograph


class RephotographedSource(Source):
    """Another source, and its source domain once more through ``params.second_target_optics``.

    Semi-synthetic: real objects, simulated device. The copy of "a.png" has the id
    "<second target>/a.png" and the group of the original, so both fall into one split; the
    original is the truth that `through` gives.
    """

    def __init__(self, inner: Source, params: ImageParameters) -> None:
        self.truth_domains = (params.second_target_domain,)
        self._inner = inner
        self._original = params.source_domain
        self._copy = params.second_target_domain
        self._optics = params.second_target_optics
        self._cache = ImageCache(params.memory_mb * 2**20 // 2)

    @property
    def excluded(self) -> pd.DataFrame:
        return self._inner.excluded

    @property
    def unused(self) -> pd.DataFrame:
        return self._inner.unused

    def table(self) -> pd.DataFrame:
        table = self._inner.table()
        if (table["domain"] == self._copy).any():
            raise InputError(
                f"second_target_domain {self._copy} has images of its own. Clear "
                "second_target_optics or give the photographed domain another name."
            )
        copies = table[table["domain"] == self._original].copy()
        copies["id"] = f"{self._copy}/" + copies["id"]
        copies["domain"] = self._copy
        # Stands for the pixels, which follow from these three; drawing them all takes long.
        origins = copies["sha256"] + self._optics + copies["id"]
        copies["sha256"] = [hashlib.sha256(origin.encode()).hexdigest() for origin in origins]
        copies["mode"] = "RGB"
        copies["bits"] = 8
        both = pd.concat([table, copies], ignore_index=True)
        check_table(both, [self._copy], f"{self._copy}, photographed from {self._original}")
        return both

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self._read_one, ids, self.original(ids)))

    def fingerprint(self) -> str:
        parts = (self._inner.fingerprint(), self._original, self._copy, self._optics)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def through(self, device: str) -> Source:
        if device != self._original:
            raise InputError(
                f"No image was also taken by {device}. Ask for {self._original}, which took all."
            )
        return _Originals(self)

    def original(self, ids: Sequence[str]) -> list[np.ndarray]:
        """The untouched images behind photographed ones."""
        return self._inner.read_many([self._original_id(id) for id in ids])

    def _original_id(self, id: str) -> str:
        return id.removeprefix(f"{self._copy}/")

    def _read_one(self, id: str, original: np.ndarray) -> np.ndarray:
        if not id.startswith(f"{self._copy}/"):
            return original
        image = self._cache.get(id)
        if image is None:
            seed = int.from_bytes(hashlib.sha256(id.encode()).digest()[:4]) >> 1
            image = rephotograph(original, self._optics, seed)
            self._cache.put(id, image)
        return image


class _Originals(Source):
    """The second target of a `RephotographedSource` before it was photographed again."""

    def __init__(self, source: RephotographedSource) -> None:
        self.excluded = source.excluded
        self._source = source

    def table(self) -> pd.DataFrame:
        table = self._source.table()
        return table[table["domain"].isin(self._source.truth_domains)].reset_index(drop=True)

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        return self._source.original(ids)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"original {self._source.fingerprint()}".encode()).hexdigest()
