"""What every source of fields of cells offers: the image table, the images and who is where."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import pandas as pd

from engine.errors import InputError
from lib.data.interface import NOTHING

COLUMNS = [
    "id", "domain", "label", "group", "sha256", "width", "height", "mode", "bits", "drawn_by",
]  # fmt: skip


class FieldSource(ABC):
    """Images of cells with instance maps.

    ``excluded`` (id, domain, reason) counts what was found but cannot be used; it is complete once
    `table` has been called. ``truth_domains`` are the domains whose fields can also be had through
    the device of another (see `through`).
    """

    excluded: pd.DataFrame = NOTHING
    truth_domains: tuple[str, ...] = ()

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Image table of all usable fields, columns `COLUMNS`.

        ``label`` is the cell line or class, ``group`` what must stay together in a division (a
        frame, a video, a slide), ``drawn_by`` who drew the instances: ``"simulation"``,
        ``"expert"``, ``"model"``, or empty where nobody did.
        ``width`` and ``height`` are those of what a field shows, in px of the photograph that it is
        cut from: by them and the size of the fields, scales can be compared.

        Raises
        ------
        InputError
            Duplicate ids, or a domain without usable images.
        """

    @abstractmethod
    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        """Images, uint8 (H, W), grey, in the order of ``ids``."""

    @abstractmethod
    def instances(self, ids: Sequence[str]) -> list[np.ndarray]:
        """Instance maps, int32 (H, W): 0 background, 1 to n the objects, as ``read_many``.

        Raises
        ------
        InputError
            Nobody has drawn those of an image.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of what the data are, hexadecimal: other pixels, masks or groups give another."""

    def through(self, device: str) -> FieldSource:
        """View of this source in which every field is taken by the device of domain ``device``.

        Raises
        ------
        InputError
            Nobody took these fields twice.
        """
        raise InputError(f"No field of this source was also taken by {device}; skip the oracle.")
