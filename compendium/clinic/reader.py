"""A device's images read at the depth that its translator was trained on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from compendium.clinic.listing import devices
from engine.errors import InputError
from lib.data.images import to_grey
from lib.data.inspection import blank, inspect_files, structure
from lib.data.reading import read_bytes, read_stored
from lib.data.stored import UNIT, depth_name, is_light, to_8_bit
from lib.models.bundle import Bundle


@dataclass(frozen=True)
class Reading:
    """Luma of a file, uint8 (H, W), the depth it was read at, and what else the file holds."""

    file: str
    grey: np.ndarray
    bits: int
    unused: str


class Reader:
    """Reads the files below ``folder`` as the images of one device.

    A file's depth is what the column bits of the folder's ``labels.csv`` says, else what the file
    declares, else that of the translator's training images. Where those were all of 8 bits, so that
    nothing is known of deeper ones, all files of its device (column domain; without a list, of the
    folder) decide.
    """

    def __init__(self, bundle: Bundle, folder: Path, files: Sequence[str], channel: int) -> None:
        self._folder = folder.resolve()
        self._named = folder
        if channel < 0:
            raise InputError(
                f"channel {channel}: give 1 for the first, or 0 for that of the training."
            )
        self._devices = devices(folder, files)
        self._said = self._devices.set_index("id")["bits"].dropna().astype(int)
        self.channel = channel or bundle.params.channel
        self._trained = [int(bits) for bits in bundle.facts.get("bits", ())]
        self._estimated: pd.Series | None = None
        self._odd: pd.Series | None = None
        self._warnings: list[str] = []
        self._lock = threading.Lock()

    def read(self, file: str) -> Reading:
        """One file.

        Raises
        ------
        InputError
            It cannot be read, is blank, or does not fit the depth.
        """
        path = self._named / file
        stored = read_stored(read_bytes(path), path, self.channel)
        bits = 8 if stored.plain else self._said.get(file, stored.bits)
        if bits is None:
            light = is_light(stored.pixels.dtype, stored.pixels.max())
            deep = [bits for bits in self._trained if bits != 8 and (bits == UNIT) == light]
            known = len(deep) == 1 and not stored.inverted  # that scale is not the camera's
            bits = deep[0] if known else self._estimate(file)
        grey = to_grey(to_8_bit(stored, bits, path))
        words = blank(structure(grey), 1.0)
        if words:
            raise InputError(f"{path}: {words}")
        return Reading(file, grey, bits, "; ".join(stored.unused))

    def at_same_depth(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of an earlier run whose files would be read at the same depth now.

        Where all files of the folder decide, another one changes the depth of those before it.
        """
        same = [self._depth(row.file) == row.bits for row in table.itertuples()]
        return table[np.array(same, dtype=bool)]

    def _depth(self, file: str) -> int | None:
        try:
            return self.read(file).bits
        except InputError:  # beyond what the other files make of the device
            return None

    def levels(self, row: tuple) -> np.ndarray:
        """The picture of a row of the table, uint8, at the depth it was read at."""
        path = self._named / row.file
        return to_8_bit(read_stored(read_bytes(path), path, self.channel), int(row.bits), path)

    def words(self, table: pd.DataFrame) -> list[str]:
        """What is to be said of the depths of a table, a sentence each."""
        found = sorted(int(bits) for bits in table["bits"].unique())
        sentences = [f"Read as {', '.join(depth_name(bits) for bits in found)}."]
        trained = ", ".join(depth_name(bits) for bits in self._trained)
        strange = [bits for bits in found if self._trained and bits not in self._trained]
        if strange:
            names = ", ".join(depth_name(bits) for bits in strange)
            sentences.append(
                f"The translator was trained on images of {trained}; none was of {names}. Compare "
                "the brightness of the pictures below."
            )
        if self._estimated is not None:
            sentences.append(
                "Files that do not say their depth: estimated from all of them. If you know it, "
                "write it into the column bits of a labels.csv in their folder."
            )
        return [*sentences, *self._warnings]

    def _estimate(self, file: str) -> int:
        """Depth of a file by all of the folder; refuses one that does not fit the others."""
        with self._lock:
            if self._estimated is None:
                found = inspect_files(self._folder, self._devices, self.channel)
                self._warnings = found.warnings
                self._estimated = found.table.set_index("id")["bits"]
                self._odd = found.excluded.set_index("id")["reason"]
        if file in self._odd.index:
            raise InputError(self._odd[file])
        return int(self._estimated[file])
