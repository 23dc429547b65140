"""Phantoms as a source: embryos grown and photographed on demand, through any device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd

from engine.errors import InputError
from lib.data.interface import COLUMNS, MASKS, NOTHING, ImageCache, Source, check_table
from lib.data.parameters import ImageParameters
from lib.data.seed_ranges import numbered
from lib.phantom.embryo import Embryos, grow
from lib.phantom.optics import DEVICES, Photographs, photograph

_BATCH = 128  # phantoms drawn at once


class PhantomSource(Source):
    """Synthetic embryos; id "ED1/01000234" is the embryo of seed 1000234 seen by device ED1.

    Every domain has its own range of seeds, so no embryo occurs in two domains; but every embryo
    can be photographed by every device (`through`), which is the truth a translation is held to.
    """

    def __init__(self, params: ImageParameters) -> None:
        domains = (params.source_domain, params.target_domain, params.second_target_domain)
        counts = (params.source_count, params.target_count, params.second_target_count)
        for domain in domains:
            _check_device(domain)
        self.excluded = NOTHING
        self.truth_domains = domains
        self.has_structures = True
        self._params = params
        numbers = numbered(domains, counts, params.seed)
        self._ids = [f"{domain}/{number:08d}" for domain, number in numbers]
        self._known = set(self._ids)
        self._cache = ImageCache(params.memory_mb * 2**20 // 2)
        self._places: dict[tuple[str, str], tuple[float, float, float]] = {}

    def table(self) -> pd.DataFrame:
        return self._table_of({domain: domain for domain in self.truth_domains})

    def _table_of(self, devices: Mapping[str, str]) -> pd.DataFrame:
        """Image table without a single image drawn; ``devices`` maps a domain to its device."""
        table = pd.DataFrame({"id": self._ids})
        table["domain"] = table["id"].str.split("/").str[0]
        # The label does not depend on the size of the maps, so the smallest will do.
        seeds = table["id"].str.split("/").str[1].astype(np.int64)
        table["label"] = self._grow(seeds.to_numpy(), 8).label
        table["group"] = table["id"]
        # Stands for the pixels, which follow from these.
        origin = f"{' '.join(str(value) for value in self._drawn().values())} "
        made = origin + table["domain"].map(devices) + " " + table["id"]
        table["sha256"] = [hashlib.sha256(text.encode()).hexdigest() for text in made]
        width = self._params.phantom_width
        aspects = {domain: DEVICES[device].aspect for domain, device in devices.items()}
        table["width"] = width
        table["height"] = (width * table["domain"].map(aspects)).round().astype(int)
        table["mode"] = "RGB"
        table["bits"] = 8
        check_table(table, self.truth_domains, "phantoms")
        return table[COLUMNS]

    def read_many(self, ids: Sequence[str], device: str | None = None) -> list[np.ndarray]:
        """Photographs uint8 (H, W, 3); by ``device``, or by that of each image's own domain."""
        images = {id: self._cache.get((id, device or id.split("/")[0])) for id in ids}
        missing = [id for id, image in images.items() if image is None]
        parts = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
        with ThreadPoolExecutor(self._params.threads) as pool:
            for part in pool.map(partial(self._photograph, device=device), parts):
                images |= part
        return [images[id] for id in ids]

    def truth(self, ids: Sequence[str], device: str | None = None) -> pd.DataFrame:
        """True place of each embryo: DataFrame with id, x, y, radius (pixels; centres integer)."""
        keys = [(id, device or id.split("/")[0]) for id in ids]
        unseen = [id for (id, name) in keys if (id, name) not in self._places]
        self.read_many(unseen, device)
        rows = [(key[0], *self._places[key]) for key in keys]
        return pd.DataFrame(rows, columns=["id", "x", "y", "radius"])

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([self._drawn(), self._ids]).encode()).hexdigest()

    def through(self, device: str) -> Source:
        _check_device(device)
        return _OtherDevice(self, device)

    def structures(self) -> Source:
        return _Structures(self)

    def frames_through(self, frames: pd.DataFrame, device: str) -> pd.DataFrame:
        """Frame table of the same crops in the photographs by ``device``.

        The embryo sits elsewhere there. What a frame missed in the one photograph it misses by in
        the other, so that both crops show the same pixels of the embryo.
        """
        here = self.truth(frames["id"])
        there = self.truth(frames["id"], device)
        scale = there["radius"] / here["radius"]
        # An unsure find keeps the whole frame, of which the other device shows another part: the
        # true embryo is the only pair to be had.
        sure = frames["found"].to_numpy()
        x = there["x"] + scale * (frames["x"] - here["x"]).where(sure, 0.0)
        y = there["y"] + scale * (frames["y"] - here["y"]).where(sure, 0.0)
        radius = scale * frames["radius"].where(sure, here["radius"])
        return frames.assign(x=x, y=y, radius=radius, found=True)

    def take(self, ids: Sequence[str], device: str) -> Photographs:
        """Photographs of phantoms by one device, with all that is known of them."""
        seeds = np.array([int(id.split("/")[1]) for id in ids])
        width = self._params.phantom_width
        return photograph(self._grow(seeds, width), seeds, device, width)

    def _grow(self, seeds: np.ndarray, size: int) -> Embryos:
        return grow(seeds, size, self._params.positive_share, self._params.phantom_label)

    def _drawn(self) -> dict[str, float | int | str]:
        """The parameters that decide the pixels beside an id."""
        drawn = self._params.model_dump(include={"positive_share", "phantom_width"})
        # Left out where it is the default: what was kept before there was a choice stays valid.
        kind = self._params.phantom_label
        return drawn if kind == "cavity" else drawn | {"phantom_label": kind}

    def _photograph(self, ids: Sequence[str], device: str | None) -> dict[str, np.ndarray]:
        images = {}
        by_device: dict[str, list[str]] = {}
        for id in ids:
            if id not in self._known:
                raise InputError(f"{id}: no such phantom. Take ids from the image table.")
            by_device.setdefault(device or id.split("/")[0], []).append(id)
        for name, group in by_device.items():
            taken = self.take(group, name)
            for row, id in enumerate(group):
                images[id] = taken.images[row].copy()
                self._cache.put((id, name), images[id])
                place = (float(taken.x[row]), float(taken.y[row]), float(taken.radius[row]))
                self._places[id, name] = place
        return images


def _check_device(name: str) -> None:
    if name not in DEVICES:
        raise InputError(f"{name}: no device photographs phantoms so. Choose {', '.join(DEVICES)}.")


class _OtherDevice(Source):
    """The embryos of a `PhantomSource`, all photographed by one device."""

    def __init__(self, phantoms: PhantomSource, device: str) -> None:
        self.excluded = phantoms.excluded
        self._phantoms = phantoms
        self._device = device

    def table(self) -> pd.DataFrame:
        domains = self._phantoms.truth_domains
        return self._phantoms._table_of(dict.fromkeys(domains, self._device))

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        return self._phantoms.read_many(ids, self._device)

    def truth(self, ids: Sequence[str]) -> pd.DataFrame:
        """True place of each embryo in this device's photographs; see `PhantomSource.truth`."""
        return self._phantoms.truth(ids, self._device)

    def fingerprint(self) -> str:
        both = self._phantoms.fingerprint() + self._device
        return hashlib.sha256(both.encode()).hexdigest()


class _Structures(Source):
    """Truth masks of a `PhantomSource`, as its own devices would see them."""

    def __init__(self, phantoms: PhantomSource) -> None:
        self.excluded = phantoms.excluded
        self._phantoms = phantoms

    def table(self) -> pd.DataFrame:
        return self._phantoms.table()

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        by_device: dict[str, list[str]] = {}
        for id in ids:
            by_device.setdefault(id.split("/")[0], []).append(id)
        found = {}
        for device, group in by_device.items():
            for start in range(0, len(group), _BATCH):
                part = group[start : start + _BATCH]
                masks = self._phantoms.take(part, device).masks
                for row, id in enumerate(part):
                    image = np.stack([masks[name][row] for name in MASKS], axis=-1)
                    found[id] = image.astype(np.uint8) * 255
        return [found[id] for id in ids]

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self._phantoms.fingerprint()} structures".encode()).hexdigest()
