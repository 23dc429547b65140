"""Images in files: read, hashed and checked once, the bad ones set aside."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.keys import file_digest
from engine.progress import progress
from lib.data.images import decode, inspect
from lib.data.interface import COLUMNS, ImageCache, Source, check_table
from lib.data.parameters import ImageParameters


class FileSource(Source):
    """Image files below one folder.

    Parameters
    ----------
    root : resolved folder that the ids are relative to
    entries : DataFrame with id, domain, label, group and further columns to keep
    excluded : DataFrame (id, domain, reason) of what the layout already ruled out
    """

    def __init__(
        self,
        root: Path,
        entries: pd.DataFrame,
        excluded: pd.DataFrame,
        params: ImageParameters,
    ) -> None:
        self.root = root
        self.excluded = excluded
        self._entries = entries
        self._table: pd.DataFrame | None = None
        self._cache = ImageCache(params.memory_mb * 2**20 // 2)
        check_table(entries, entries["domain"].unique(), str(root))
        for id in entries["id"]:
            path = root / id
            if not path.resolve().is_relative_to(root):
                raise InputError(
                    f"{path}: leads outside of {root}. Copy the image into the folder."
                )
            if not path.is_file():
                raise InputError(f"{path}: no such file. Restore it or remove it from the list.")

    def table(self) -> pd.DataFrame:
        if self._table is not None:
            return self._table
        with ThreadPoolExecutor() as pool:
            ids = self._entries["id"]
            inspected = progress(pool.map(self._inspect, ids), len(ids), "images checked")
            found = pd.DataFrame(list(inspected))
        table = pd.concat([self._entries.reset_index(drop=True), found], axis=1)
        bad = table["reason"].notna()
        self.excluded = pd.concat(
            [self.excluded, table.loc[bad, ["id", "domain", "reason"]]], ignore_index=True
        )
        if bad.any():
            warnings.warn(
                f"{bad.sum()} of {len(table)} images in {self.root} cannot be used and are left "
                f"out; first: {table.loc[bad, 'reason'].iloc[0]}",
                stacklevel=2,
            )
        domains = table["domain"].unique()
        table = table[~bad].drop(columns="reason").reset_index(drop=True)
        check_table(table, domains, str(self.root))
        further = [name for name in table.columns if name not in COLUMNS]
        self._table = table[COLUMNS + further].astype({"width": int, "height": int})
        return self._table

    def read(self, id: str) -> np.ndarray:
        image = self._cache.get(id)
        if image is None:
            image = decode(self.root / id)
            self._cache.put(id, image)
        return image

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self.read, ids))

    def fingerprint(self) -> str:
        paths = [self.root / id for id in self._entries["id"]]
        with ThreadPoolExecutor() as pool:
            digests = list(progress(pool.map(file_digest, paths), len(paths), "files hashed"))
        listed = self._entries.assign(sha256=digests).sort_values("id")
        return hashlib.sha256(listed.to_csv(index=False).encode()).hexdigest()

    def _inspect(self, id: str) -> dict[str, object]:
        try:
            image, facts = inspect(self.root / id)
        except InputError as error:
            return {"reason": str(error)}
        self._cache.put(id, image)
        return {**facts, "reason": None}
