"""Which source of fields the parameters name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.keys import digest, safe_key
from lib.data.culture_parameters import CultureParameters
from lib.data.field_coco import CocoFields
from lib.data.field_files import FieldFiles
from lib.data.field_phantoms import PhantomFields
from lib.data.field_tables import TableFields
from lib.data.field_videos import VideoFrames
from lib.data.fields import FieldSource
from lib.data.interface import NOTHING


class JoinedFields(FieldSource):
    """One source of files for each domain, as one; ids begin with the domain's key and a slash.

    ``excluded`` and ``unused`` are those of all; they are complete once `table` has been called.

    Parameters
    ----------
    sources : domain to the source of its fields, and of no other domain's; no two domains have
        one `engine.keys.safe_key`
    """

    def __init__(self, sources: Mapping[str, FieldFiles]) -> None:
        self._sources = {f"{safe_key(domain)}/": source for domain, source in sources.items()}
        self.unused = NOTHING

    def table(self) -> pd.DataFrame:
        table = self._joined(lambda source: source.table())
        self.excluded = self._joined(lambda source: source.excluded)
        self.unused = self._joined(lambda source: source.unused)
        return table

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        return self._each(ids, lambda source, own: source.read_many(own))

    def instances(self, ids: Sequence[str]) -> list[np.ndarray]:
        return self._each(ids, lambda source, own: source.instances(own))

    def fingerprint(self) -> str:
        return digest({start: source.fingerprint() for start, source in self._sources.items()})

    def _joined(self, part: Callable[[FieldFiles], pd.DataFrame]) -> pd.DataFrame:
        tables = []
        for start, source in self._sources.items():
            table = part(source)
            tables.append(table.assign(id=[start + id for id in table["id"]]))
        return pd.concat(tables, ignore_index=True)

    def _each(
        self,
        ids: Sequence[str],
        read: Callable[[FieldFiles, Sequence[str]], list[np.ndarray]],
    ) -> list[np.ndarray]:
        """What ``read`` gives of every id, each asked of the source of its domain."""
        found: dict[str, np.ndarray] = {}
        for start, source in self._sources.items():
            if own := [id for id in ids if id.startswith(start)]:
                read_ones = read(source, [id.removeprefix(start) for id in own])
                found |= zip(own, read_ones, strict=True)
        unknown = [id for id in ids if id not in found]
        if unknown:
            raise InputError(f"no field '{unknown[0]}'. Choose ids of the image table.")
        return [found[id] for id in ids]


def open_fields(params: CultureParameters, data_root: Path) -> FieldSource:
    """The source that ``data_kind`` names, below ``data_root`` where files are read.

    Raises
    ------
    InputError
        Folder or list is missing or cannot be used.
    """
    if params.data_kind == "phantom":
        return PhantomFields(params)
    if params.data_kind == "livecell":
        return JoinedFields(_livecell(params, data_root))
    return TableFields(
        data_root / params.data_dir,
        (params.source_domain, params.target_domain),
        params.mask_column,
        params.mask_threshold,
        params.channel,
        params.windows,
        params.image_size,
        drawn_by=params.drawn_by,
    )


def _livecell(params: CultureParameters, data_root: Path) -> dict[str, FieldFiles]:
    """LIVECell as source, frames of videos as target, in tiles (Aarnio et al. 2022, 3.1 f.)."""
    size = params.image_size
    return {
        params.source_domain: CocoFields(
            data_root / params.data_dir,
            _names(params.annotations),
            params.source_domain,
            _names(params.lines),
            params.source_window,
            size,
            "expert",
            tiled=True,
        ),
        params.target_domain: VideoFrames(
            data_root / params.target_dir,
            params.target_domain,
            params.frame_step,
            params.mask_threshold,
            params.channel,
            params.target_window,
            size,
            params.drawn_by,
            tiled=True,
        ),
    }


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]
