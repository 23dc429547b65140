"""Images in files: read, hashed and checked once, the bad ones set aside."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from lib.data.inspection import file_hashes, inspect_files, tell
from lib.data.interface import COLUMNS, ImageCache, Source, check_table
from lib.data.parameters import ImageParameters
from lib.data.reading import check_inside, check_there, read_bytes, read_stored
from lib.data.stored import to_8_bit


class FileSource(Source):
    """Image files below one folder.

    Parameters
    ----------
    root : resolved folder that the ids are relative to
    entries : DataFrame with id, domain, label, group and further columns to keep; ``bits``, where
        it is given, is the depth of the image's device
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
        self._files = set(entries["id"])
        self._channel, self._planes = params.channel, params.focal_planes
        self._table: pd.DataFrame | None = None
        self._depths: dict[str, int] = {}
        self._lock = threading.Lock()
        self._cache = ImageCache(params.memory_mb * 2**20 // 2)
        check_table(entries, entries["domain"].unique(), str(root))
        for id in entries["id"]:
            check_inside(root, id)
            check_there(root / id)

    def table(self) -> pd.DataFrame:
        with self._lock:
            if self._table is None:
                self._table = self._inspect()
                self._depths = dict(zip(self._table["id"], self._table["bits"], strict=True))
            return self._table

    def read(self, id: str) -> np.ndarray:
        image = self._cache.get(id)
        if image is None:
            file, plane = self._place(id)
            path = self.root / file
            stored = read_stored(read_bytes(path), path, self._channel, plane)
            image = to_8_bit(stored, None if stored.plain else self._bits(id), path)
            self._cache.put(id, image)
        return image

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self.read, ids))

    def fingerprint(self) -> str:
        paths = [self.root / id for id in self._entries["id"]]
        digests = file_hashes(paths)
        listed = self._entries.assign(sha256=digests).sort_values("id")
        return hashlib.sha256(listed.to_csv(index=False).encode()).hexdigest()

    def _inspect(self) -> pd.DataFrame:
        found = inspect_files(
            self.root, self._entries, self._channel, self._planes, self._cache.put
        )
        self.excluded = pd.concat([self.excluded, found.excluded], ignore_index=True)
        self.unused = found.unused
        tell(found, found.excluded["reason"].tolist(), len(self._entries), self.root)
        check_table(found.table, self._entries["domain"].unique(), str(self.root))
        further = [name for name in found.table.columns if name not in COLUMNS]
        return found.table[COLUMNS + further]

    def _place(self, id: str) -> tuple[str, int | None]:
        """File of an image, and which of its focal planes it is."""
        if id in self._files:
            return id, None
        file, _, plane = id.rpartition("#")
        return file, int(plane)

    def _bits(self, id: str) -> int:
        """Depth of the image's device, known once all its images have been looked at."""
        self.table()
        return int(self._depths[id])
