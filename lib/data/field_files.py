"""Fields of cells from image files: looked at once, cut, and the bad ones counted."""

from __future__ import annotations

import hashlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.keys import digest, file_digest
from engine.progress import progress
from lib.data.field_cuts import Cut, cut_image, cut_map, cuts_of
from lib.data.fields import COLUMNS, FieldSource
from lib.data.images import to_grey
from lib.data.inspection import file_hashes, inspect_files, tell
from lib.data.interface import NOTHING
from lib.data.label_maps import read_components, read_label_map
from lib.data.reading import check_inside, read_bytes, read_stored
from lib.data.stored import to_8_bit

LEAST = 8  # px, side of the smallest image in which cells can be seen


class FieldFiles(FieldSource):
    """Image files below one folder, each shown as one square or as tiles.

    A field's id is the path of its file, with ``#row,column`` where it is a tile; its width and
    height are those of the square in px of the file. ``sha256`` is that of the file, or of the
    levels of a tile. ``unused`` (id, domain, reason) is what else is in the files, as other focal
    planes; it is complete once `table` has been called.

    Parameters
    ----------
    root : folder that the paths are relative to
    entries : DataFrame with id (path), domain, label, group (empty: the image is its own),
        drawn_by (empty: nobody drew its cells) and maybe bits (depth of the device)
    excluded : DataFrame (id, domain, reason) of what the layout already ruled out
    windows : domain to side of the square in px of the file; 0: the largest that fits
    size : side of the fields in px
    tiled : all squares side by side instead of the one in the centre
    channel : which of several channels, from 1; 0: there must not be several

    Raises
    ------
    InputError
        A domain has no window, or one that is too small.
    """

    def __init__(
        self,
        root: Path,
        entries: pd.DataFrame,
        excluded: pd.DataFrame,
        windows: Mapping[str, int],
        size: int,
        tiled: bool,
        channel: int,
    ) -> None:
        self.root, self.excluded, self.unused = root, excluded, NOTHING
        self._entries = entries.reset_index(drop=True)
        self._windows, self._size = dict(windows), size
        self._tiled, self._channel = tiled, channel
        self._table: pd.DataFrame | None = None
        self._cuts: dict[str, tuple[str, Cut]] = {}
        self._bits: dict[str, int] = {}
        self._lock = threading.Lock()
        for domain, side in self._windows.items():
            if side and side < LEAST:
                raise InputError(
                    f"{root}: a window of {side} px for domain '{domain}'. Set {LEAST} px or more, "
                    "or 0 for the largest square that fits."
                )

    @abstractmethod
    def _draw(self, file: str) -> np.ndarray:
        """Instance map of a whole file, int32 (H, W): 0, 1 to n; raises `InputError`."""

    @abstractmethod
    def _drawing(self) -> Mapping[str, Any]:
        """What the instances are drawn from, JSON types, as part of the fingerprint."""

    def _side(self, file: tuple) -> int:
        """Side of the squares of a file (a row of the entries), px of it; 0: the largest."""
        return self._windows[file.domain]

    def table(self) -> pd.DataFrame:
        with self._lock:
            if self._table is None:
                self._table = self._look()
            return self._table

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        return self._cut_all(ids, self._image, cut_image)

    def instances(self, ids: Sequence[str]) -> list[np.ndarray]:
        undrawn = self.table().set_index("id")["drawn_by"].reindex(ids) == ""
        if undrawn.any():
            raise InputError(
                f"{self.root / undrawn.idxmax()}: nobody has drawn the cells of this image. Leave "
                "out images whose drawn_by is empty, or add a mask."
            )
        return self._cut_all(ids, self._draw, cut_map)

    def fingerprint(self) -> str:
        paths = [self.root / id for id in self._entries["id"]]
        digests = file_hashes(paths, digest_if_there)
        listed = self._entries.assign(sha256=digests).sort_values("id")
        return digest(
            dict(images=listed.to_csv(index=False), drawing=self._drawing(), windows=self._windows,
                 size=self._size, tiled=self._tiled, channel=self._channel)
        )  # fmt: skip

    def _look(self) -> pd.DataFrame:
        known = [name for name in ("id", "domain", "bits") if name in self._entries]
        found = inspect_files(self.root, self._entries[known], self._channel)
        files = self._entries.drop(columns="bits", errors="ignore").merge(
            found.table.drop(columns="domain"), on="id", validate="one_to_one"
        )
        self._bits = dict(zip(files["id"], files["bits"], strict=True))
        rows, left_out = [], found.excluded.to_dict("records")
        with ThreadPoolExecutor() as pool:
            looked = pool.map(self._fields, files.itertuples())
            for file, fields in zip(
                files.itertuples(), progress(looked, len(files), "fields cut"), strict=True
            ):
                if isinstance(fields, str):
                    left_out.append(dict(id=file.id, domain=file.domain, reason=fields))
                else:
                    rows += fields
        self.unused = found.unused
        self.excluded = pd.concat(
            [self.excluded, pd.DataFrame(left_out, columns=NOTHING.columns)], ignore_index=True
        )
        tell(found, [one["reason"] for one in left_out], len(self._entries), self.root)
        table = pd.DataFrame(rows, columns=COLUMNS)
        self._check(table)
        return table

    def _fields(self, file: tuple) -> list[dict[str, object]] | str:
        """Rows of the fields of a file, or why it has none."""
        path, height, width = self.root / file.id, file.height, file.width
        side = self._side(file)
        cuts = cuts_of(height, width, side, self._tiled)
        if min(height, width) < LEAST:
            return f"{path}: {width} x {height} px, cells need {LEAST}. Take a larger image."
        if not cuts:
            return f"{path}: {width} x {height} px, less than a tile. Set a window below {side} px."
        try:
            if file.drawn_by and (drawn := self._draw(file.id)).shape != (height, width):
                return (
                    f"{path}: {width} x {height} px, but its mask has {drawn.shape[1]} x "
                    f"{drawn.shape[0]}. Save the mask in the size of its image."
                )
            whole = self._image(file.id) if self._tiled else None
        except InputError as error:
            return str(error)
        common = {name: getattr(file, name) for name in COLUMNS if hasattr(file, name)}
        rows = []
        for cut in cuts:
            id = file.id + cut.name
            self._cuts[id] = file.id, cut
            own = dict(id=id, group=file.group or file.id, width=cut.side, height=cut.side)
            if whole is not None:
                tile = whole[cut.top : cut.top + cut.side, cut.left : cut.left + cut.side]
                own["sha256"] = hashlib.sha256(tile.tobytes()).hexdigest()
            rows.append(common | own)
        return rows

    def _check(self, table: pd.DataFrame) -> None:
        for domain in self._windows:
            if domain in set(table["domain"]):
                continue
            reasons = self.excluded.loc[self.excluded["domain"] == domain, "reason"]
            why = (
                f"; the first of {len(reasons)} left out: {reasons.iloc[0]}" if len(reasons) else ""
            )
            raise InputError(
                f"{self.root}: no usable image of domain '{domain}'. Add images of it, correct its "
                f"files, or choose another domain{why}"
            )

    def _image(self, file: str) -> np.ndarray:
        """A whole file as `read_many` gives its squares, uint8 (H, W)."""
        return to_grey(self._decoded(file))

    def _decoded(self, file: str) -> np.ndarray:
        path = self.root / file
        stored = read_stored(read_bytes(path), path, self._channel)
        return to_8_bit(stored, None if stored.plain else int(self._bits[file]), path)

    def _cut_all(
        self,
        ids: Sequence[str],
        read: Callable[[str], np.ndarray],
        cut: Callable[[np.ndarray, Cut, int], np.ndarray],
    ) -> list[np.ndarray]:
        """The squares of ``ids`` out of files that are read once each."""
        self.table()
        wanted: dict[str, list[str]] = {}
        for id in ids:
            if id not in self._cuts:
                raise InputError(f"{self.root}: no field '{id}'. Choose ids of the image table.")
            wanted.setdefault(self._cuts[id][0], []).append(id)

        def pieces(file: str) -> dict[str, np.ndarray]:
            whole = read(file)
            return {id: cut(whole, self._cuts[id][1], self._size) for id in wanted[file]}

        found: dict[str, np.ndarray] = {}
        with ThreadPoolExecutor() as pool:
            for some in progress(pool.map(pieces, wanted), len(wanted), "images read"):
                found |= some
        return [found[id] for id in ids]


class MaskedFiles(FieldFiles):
    """Image files with a mask file each, or none.

    Parameters
    ----------
    masks : image to mask, paths below ``root``
    threshold : 0: a mask is a label image, read by `lib.data.label_maps.read_label_map`; else a
        grey class image, whose objects are the connected areas strictly above it
        (`lib.data.label_maps.read_components`)
    further : of `FieldFiles`
    """

    def __init__(self, masks: Mapping[str, str], threshold: int, *further: Any) -> None:
        self._masks, self._threshold = masks, threshold
        super().__init__(*further)

    def _draw(self, file: str) -> np.ndarray:
        check_inside(self.root, self._masks[file])
        path = self.root / self._masks[file]
        return read_components(path, self._threshold) if self._threshold else read_label_map(path)

    def _drawing(self) -> Mapping[str, Any]:
        digests = {file: digest_if_there(self.root / mask) for file, mask in self._masks.items()}
        return dict(masks=digests, threshold=self._threshold)


def digest_if_there(path: Path) -> str:
    """SHA-256 of a file, empty where there is none, which the table counts with its reason."""
    return file_digest(path) if path.is_file() else ""
