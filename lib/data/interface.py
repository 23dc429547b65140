"""What every source of images offers: the image table and the images, and nothing else."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import pandas as pd
from cachetools import LRUCache

from engine.errors import InputError

STRUCTURES = ("cavity", "icm")  # what carries the diagnosis of a blastocyst
MASKS = (*STRUCTURES, "embryo")  # and what of the image is embryo at all, its shell included
COLUMNS = ["id", "domain", "label", "group", "sha256", "width", "height", "mode", "bits"]
NOTHING = pd.DataFrame(columns=["id", "domain", "reason"])


class Source(ABC):
    """Images with what is known of them.

    ``excluded`` (id, domain, reason) counts what was found but cannot be used, ``unused`` (the same
    columns) what else is in the files that are used, as other focal planes; both are complete once
    `table` has been called. ``truth_domains`` are the domains whose images can also be had through
    the device of the source domain (see `through`): the oracle. ``has_structures``: whether truth
    masks can be had (see `structures`).
    """

    excluded: pd.DataFrame
    unused: pd.DataFrame = NOTHING
    truth_domains: tuple[str, ...] = ()
    has_structures: bool = False

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Image table of all usable images, columns `COLUMNS` and those the source adds.

        Raises
        ------
        InputError
            Duplicate ids, a domain without usable images or with one class only.
        """

    @abstractmethod
    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        """Images as uint8 (H, W) or (H, W, 3), in the order of ``ids``; faster than one by one."""

    def read(self, id: str) -> np.ndarray:
        """One image, uint8 (H, W) or (H, W, 3)."""
        return self.read_many([id])[0]

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of what the data are, hexadecimal: other pixels, labels or groups give another."""

    def read_through(self, id: str, device: str) -> np.ndarray:
        """The same object as ``id``, photographed by the device of another domain."""
        return self.through(device).read(id)

    def through(self, device: str) -> Source:
        """View of this source in which every image is taken by the device of domain ``device``.

        Raises
        ------
        InputError
            The truth is not known: nobody photographed these objects twice.
        """
        raise InputError(f"No image of this source was also taken by {device}; skip the oracle.")

    def structures(self) -> Source:
        """View of this source in which every image is the truth masks, `MASKS`.

        uint8 (H, W, 3), 255 inside.

        Raises
        ------
        InputError
            Nobody has drawn these structures.
        """
        raise InputError("The structures of these images are not known; skip what needs them.")

    def frames_through(self, frames: pd.DataFrame, device: str) -> pd.DataFrame:
        """Frame table of the same crops in the photographs by ``device``; the same, unless said."""
        return frames


class ImageCache:
    """The images used last, up to a budget in bytes. Safe to share between threads."""

    def __init__(self, budget: int) -> None:
        self._images = LRUCache(budget, getsizeof=attrgetter("nbytes"))
        self._lock = threading.Lock()

    def get(self, key: object) -> np.ndarray | None:
        """The image kept under ``key``, None if it has been dropped."""
        with self._lock:
            return self._images.get(key)

    def put(self, key: object, image: np.ndarray) -> None:
        """Keep ``image``, from now on read-only; the ones not used for longest make room.

        One beyond the whole budget is not kept.
        """
        image.flags.writeable = False
        with self._lock, contextlib.suppress(ValueError):  # of one that is too large
            self._images.setdefault(key, image)  # the first, where two threads read it at once


def check_table(table: pd.DataFrame, domains: Sequence[str], origin: str) -> None:
    """Refuse an image table nothing can be learnt from.

    Raises
    ------
    InputError
        Duplicate ids, one of ``domains`` without rows or with one class; ``origin`` is named.
    """
    repeated = table.loc[table["id"].duplicated(), "id"]
    if len(repeated):
        raise InputError(
            f"{origin}: {len(repeated)} duplicate ids, first '{repeated.iloc[0]}'. "
            "Name every image once."
        )
    for domain in domains:
        labels = table.loc[table["domain"] == domain, "label"]
        if labels.empty:
            raise InputError(f"{origin}: no usable image of domain {domain}. See the audit.")
        if labels.nunique() == 1:
            raise InputError(
                f"{origin}: all {len(labels)} images of {domain} have label {labels.iloc[0]}, two "
                "classes are needed. Check the folders or labels.csv, and label_rule."
            )
