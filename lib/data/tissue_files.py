"""Stained tissue from image files that a ``labels.csv`` lists: tiles at one scale, in colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from engine.errors import InputError
from lib.data.field_cuts import cut_map
from lib.data.field_files import MaskedFiles
from lib.data.images import decode, to_rgb
from lib.data.label_maps import read_label_map, without_specks
from lib.data.lists import NAME, read_list
from lib.data.reading import check_inside

LABELS = ("label", "organ")  # columns with the class or organ, the first that is there
_ON = 127  # level from which on a colour of a class image is meant


class TissueFiles(MaskedFiles):
    """Images of a list, cut into tiles of one scale.

    The list has columns file and domain, ``mask_column`` with a file or an empty cell, and maybe
    label or organ, group (patient, slide) and um_per_px. A mask is an instance map, or a class
    image in which positive nuclei are red and negative ones blue (`read_classes`).

    Parameters
    ----------
    folder : where ``labels.csv`` lies; its files are relative to it
    domain : what the images are called here
    listed : which domains of the list they are, with ``*`` for any letters and commas
    mask_column : which column names the mask files
    size : side of the tiles in px
    um_per_px : scale of the tiles
    unknown : scale of files that do not say; 0: they are left out

    Raises
    ------
    InputError
        The list or a column is missing, no image is listed so, or as in
        `lib.data.lists.read_list`.
    """

    def __init__(
        self,
        folder: Path,
        domain: str,
        listed: str,
        mask_column: str,
        size: int,
        um_per_px: float,
        unknown: float,
    ) -> None:
        path, root = folder / NAME, folder.resolve()
        needed = ["file", "domain", mask_column]
        rows = read_list(path, [*needed, *LABELS, "group"]).rename(columns={"file": "id"})
        missing = [name for name in needed if name.replace("file", "id") not in rows]
        if missing:
            raise InputError(
                f"{path}: column '{missing[0]}' is missing; there are {', '.join(rows.columns)}. "
                "Add it, or set source_masks or target_masks."
            )
        patterns = [name.strip() for name in listed.split(",")]
        used = rows["domain"].map(lambda name: any(fnmatch(name, one) for one in patterns))
        if not used.any():
            raise InputError(
                f"{path}: no domain is like '{listed}'; there are "
                f"{', '.join(sorted(set(rows['domain'])))}. Set source_listed or target_listed to "
                "some of them."
            )
        scale = rows.get("um_per_px", pd.Series(np.nan, index=rows.index)).astype(float)
        scale = scale.where(scale > 0, unknown or np.nan)
        reasons = pd.Series(
            [f"domain '{name}' is not like {listed}" for name in rows["domain"]], index=rows.index
        ).where(~used, "um_per_px is unknown: add it to the list, or set that of such files")
        kept = used & scale.notna()
        excluded = rows.loc[~kept, ["id", "domain"]].assign(reason=reasons[~kept])
        rows, scale = rows[kept].reset_index(drop=True), scale[kept].reset_index(drop=True)
        if rows.empty:
            raise InputError(
                f"{path}: no file says its um_per_px. Add that column, or set source_um_per_px or "
                "target_um_per_px."
            )
        nothing = pd.Series("", index=rows.index)
        entries = rows[["id"]].assign(
            domain=domain,
            label=next((rows[name] for name in LABELS if name in rows), nothing),
            group=rows.get("group", nothing),
            drawn_by=["expert" if mask else "" for mask in rows[mask_column]],
        )
        self._sides = dict(zip(rows["id"], (size * um_per_px / scale).round(), strict=True))
        self._scale = um_per_px
        masks = dict(zip(rows["id"], rows[mask_column], strict=True))
        masks = {file: mask for file, mask in masks.items() if mask}
        further = (root, entries, excluded.reset_index(drop=True), {domain: 0}, size, True, 0)
        super().__init__(masks, 0, *further)

    def positives(self, ids: Sequence[str]) -> list[np.ndarray]:
        """As `lib.data.tissue.TissueSource.positives`."""
        return [own > 0 for own in self._cut_all(ids, self._draw_positives, cut_map)]

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        return [np.moveaxis(image, -1, 0) for image in super().read_many(ids)]

    def _image(self, file: str) -> np.ndarray:
        return to_rgb(self._decoded(file))

    def _side(self, file: tuple) -> int:
        return int(self._sides[file.id])

    def _draw(self, file: str) -> np.ndarray:
        check_inside(self.root, self._masks[file])
        path = self.root / self._masks[file]
        picture = decode(path)
        if picture.ndim == 3 and np.ptp(picture, axis=2).any():
            return read_classes(picture)[0]
        return read_label_map(path)

    def _draw_positives(self, file: str) -> np.ndarray:
        check_inside(self.root, self._masks[file])
        picture = decode(self.root / self._masks[file])
        if picture.ndim == 2 or not np.ptp(picture, axis=2).any():
            raise InputError(
                f"{self.root / self._masks[file]}: instances without classes: nothing says which "
                "nuclei are positive. Save a class image: positive ones red, negative ones blue."
            )
        instances, positive = read_classes(picture)
        return np.where(positive[instances], instances, 0)

    def _drawing(self) -> Mapping[str, object]:
        return dict(super()._drawing(), um_per_px=self._scale, sides=self._sides)


def read_classes(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nuclei of a class image, uint8 (H, W, 3): positive ones are red, negative ones blue.

    Returns
    -------
    The instance map, int32 (H, W), 0, 1 to n: connected areas of one colour; and bool (n + 1,),
    which of them are positive.
    """
    red, blue = (picture[..., place] > _ON for place in (0, 2))
    instances, count = ndimage.label(red)
    others, more = ndimage.label(blue & ~red)
    whole = np.where(others > 0, others + count, instances).astype(np.int32)
    positive = np.arange(count + more + 1) <= count
    positive[0] = False
    kept = without_specks(whole, count + more)
    numbers = np.zeros(int(kept.max()) + 1, np.int64)
    numbers[kept] = whole
    numbers[0] = 0
    return kept, positive[numbers]
