"""Phantom cultures as a source of fields: frames grown and photographed, cut into tiles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from engine.errors import InputError
from lib.data.culture_parameters import COLUMNS as ACROSS
from lib.data.culture_parameters import ROWS as DOWN
from lib.data.culture_parameters import CultureParameters
from lib.data.fields import COLUMNS, FieldSource
from lib.data.interface import NOTHING
from lib.data.seed_ranges import numbered
from lib.phantom.cell_optics import DEVICES, photograph_cultures
from lib.phantom.cells import LINES, Cultures, grow_cultures

# What grows in the dish of a device: the gel holds one line and magnetic particles.
GEL = "gel"
IN_GEL = ("spindle",)
_TOGETHER = 8  # frames grown at once


class PhantomFields(FieldSource):
    """Frames of three by four tiles; id "gel/01000004#1,2" is row 1, column 2 of frame 1000004.

    Every domain has its own range of seeds, so that no culture occurs in two; but each can be
    photographed by every device (`through`), which is the truth a translation is held to.
    """

    def __init__(self, params: CultureParameters, device: str = "") -> None:
        domains = (params.source_domain, params.target_domain)
        for domain in domains:
            if domain not in DEVICES:
                raise InputError(
                    f"device {domain!r} is unknown: choose one of {', '.join(DEVICES)}."
                )
        self.excluded = NOTHING
        self.truth_domains = domains
        self._params, self._device = params, device
        self._drawn: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        counts = (params.source_frames, params.target_frames)
        self._frames = numbered(domains, counts, params.seed)

    def table(self) -> pd.DataFrame:
        side = self._params.image_size
        rows = []
        for domain, seed in self._frames:
            frame = f"{domain}/{seed:08d}"
            for row in range(DOWN):
                for column in range(ACROSS):
                    id = f"{frame}#{row},{column}"
                    made = f"{self._made_from()} {self._device} {id}"
                    rows.append((id, domain, line_of(domain, seed), frame,
                                 hashlib.sha256(made.encode()).hexdigest(), side, side, "L", 8,
                                 "simulation"))  # fmt: skip
        return pd.DataFrame(rows, columns=COLUMNS)

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        return [tile[0] for tile in self._tiles(ids)]

    def instances(self, ids: Sequence[str]) -> list[np.ndarray]:
        return [tile[1] for tile in self._tiles(ids)]

    def fingerprint(self) -> str:
        return hashlib.sha256(self._made_from().encode()).hexdigest()

    def through(self, device: str) -> PhantomFields:
        if device not in self.truth_domains:
            return super().through(device)
        return PhantomFields(self._params, device)

    def _made_from(self) -> str:
        names = {"seed", "source_domain", "target_domain", "source_frames", "target_frames",
                 "image_size"}  # fmt: skip
        return json.dumps(self._params.model_dump(include=names), sort_keys=True)

    def _tiles(self, ids: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        wanted = [id.split("#") for id in ids]
        frames = dict.fromkeys(frame for frame, _ in wanted)
        missing = [frame for frame in frames if frame not in self._drawn]
        for domain in dict.fromkeys(frame.split("/")[0] for frame in missing):
            own = [int(frame.split("/")[1]) for frame in missing if frame.startswith(f"{domain}/")]
            for start in range(0, len(own), _TOGETHER):
                self._draw(domain, own[start : start + _TOGETHER])
        side, tiles = self._params.image_size, []
        for frame, place in wanted:
            row, column = (int(number) * side for number in place.split(","))
            tiles.append(
                tuple(part[row : row + side, column : column + side] for part in self._drawn[frame])
            )
        return tiles

    def _draw(self, domain: str, seeds: Sequence[int]) -> None:
        cultures = grown(domain, seeds, self._params.image_size)
        images = photograph_cultures(cultures, np.asarray(seeds), self._device or domain)
        for seed, image, instances in zip(seeds, images, cultures.instances, strict=True):
            self._drawn[f"{domain}/{seed:08d}"] = image, instances


def line_of(domain: str, seed: int) -> str:
    """Cell line of a frame."""
    lines = IN_GEL if domain == GEL else tuple(LINES)
    return lines[seed % len(lines)]


def grown(domain: str, seeds: Sequence[int], side: int, **changes: bool) -> Cultures:
    """Frames of a domain, of three by four tiles of ``side`` px; ``changes`` as ``grow_cultures``
    takes them."""
    lines = [line_of(domain, seed) for seed in seeds]
    gel = domain == GEL
    return grow_cultures(
        np.asarray(seeds), (DOWN * side, ACROSS * side), lines, "gel" if gel else "flat",
        particles=gel, **changes,
    )  # fmt: skip


def tiles_of(frames: np.ndarray, side: int) -> np.ndarray:
    """Frames (N, 3 side, 4 side) as tiles (12 N, 1, side, side), row by row."""
    count = len(frames)
    cut = frames.reshape(count, DOWN, side, ACROSS, side).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(cut.reshape(-1, 1, side, side))
