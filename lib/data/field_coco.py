"""Fields of cells with annotations in COCO's format, as LIVECell's."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.keys import file_digest
from lib.data.coco_masks import object_pixels
from lib.data.field_files import FieldFiles
from lib.data.interface import NOTHING
from lib.data.reading import find_images

_WELL = 2  # place of the well in the name of a file: BV2_Phase_C4_1_00d00h00m_2.tif


class CocoFields(FieldFiles):
    """LIVECell (Edlund et al. 2021, https://sartorius-research.github.io/LIVECell).

    The cell line is the name of a file up to the first underscore, the well its third part; line
    and well are the group. Where objects overlap, a pixel belongs to the smaller one, whatever
    their order: what lies on a larger cell stays visible. Objects that keep no pixel (drawn twice,
    or between the centres of pixels) are counted in a warning of `table`. Images that the
    annotations name but of which they hold no object have none; images that they do not name are
    not looked at.

    Parameters
    ----------
    folder : holds the images, in folders of any depth, and the annotations
    annotations : json files, relative to ``folder``
    domain : name of the domain of all images
    lines : cell lines that are used, in any case; so spelt they become labels
    window, size, tiled : as in `lib.data.field_files.FieldFiles`
    drawn_by : ``"expert"`` or ``"model"``

    Raises
    ------
    InputError
        Annotations that are missing, no COCO, of several categories, or that name an image twice;
        as in `lib.data.field_files.FieldFiles`.
    """

    def __init__(
        self,
        folder: Path,
        annotations: Sequence[str],
        domain: str,
        lines: Sequence[str],
        window: int,
        size: int,
        drawn_by: str,
        tiled: bool = False,
    ) -> None:
        root = folder.resolve()
        self._sources = {name: root / name for name in annotations}
        there: dict[str, list[str]] = {}
        for image in find_images(root)[0]:
            there.setdefault(image.rpartition("/")[2], []).append(image)
        known = {line.casefold(): line for line in lines}
        self._objects: dict[str, list[dict[str, Any]]] = {}
        self._shapes: dict[str, tuple[int, int]] = {}
        self._hidden: dict[str, list[object]] = {}
        rows, left_out = [], []
        for path in self._sources.values():
            images, objects = _read_coco(path)
            for id, name, shape in images:
                line, *parts = Path(name).stem.split("_")
                found = there.get(name, [])
                reason = None
                if line.casefold() not in known:
                    reason = f"{name}: cell line '{line}' is none of {', '.join(lines)}"
                elif len(parts) < _WELL:
                    reason = f"{name}: no well in the name. Rename it as BV2_Phase_C4_1.tif."
                elif len(found) != 1:
                    reason = (
                        f"{root}: {len(found)} images of the name {name}, which {path.name} "
                        "names. Unpack the images, each once."
                    )
                if reason:
                    left_out.append((name, domain, reason))
                    continue
                if found[0] in self._objects:
                    raise InputError(
                        f"{path}: image '{name}' is named twice. Remove the second, or one of "
                        f"{', '.join(annotations)}."
                    )
                self._objects[found[0]] = objects[id]
                self._shapes[found[0]] = shape
                label = known[line.casefold()]
                rows.append((found[0], domain, label, f"{label}_{parts[_WELL - 1]}", drawn_by))
        entries = pd.DataFrame(rows, columns=["id", "domain", "label", "group", "drawn_by"])
        excluded = pd.DataFrame(left_out, columns=NOTHING.columns)
        super().__init__(root, entries, excluded, {domain: window}, size, tiled, 0)

    def _look(self) -> pd.DataFrame:
        table = super()._look()
        hidden = {file: some for file, some in sorted(self._hidden.items()) if some}
        if hidden:
            first, some = next(iter(hidden.items()))
            warnings.warn(
                f"{sum(map(len, hidden.values()))} of {sum(map(len, self._objects.values()))} "
                f"objects in {len(hidden)} images of {self.root} keep no pixel: drawn twice, below "
                f"smaller ones, or between pixels; first: annotation {some[0]} of {first}",
                stacklevel=3,
            )
        return table

    def _draw(self, file: str) -> np.ndarray:
        shape, objects = self._shapes[file], self._objects[file]
        drawn = [
            object_pixels(one, shape, f"{self.root / file}: annotation {one.get('id')}")
            for one in objects
        ]
        labels = np.zeros(shape, np.int32)
        for place in sorted(range(len(drawn)), key=lambda place: -len(drawn[place])):
            labels.flat[drawn[place]] = place + 1
        kept, numbered = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
        lost = sorted(set(range(1, len(drawn) + 1)) - set(kept.tolist()))
        self._hidden[file] = [objects[place - 1].get("id") for place in lost]
        return numbered[:-1].reshape(shape).astype(np.int32)

    def _drawing(self) -> Mapping[str, Any]:
        return {name: file_digest(path) for name, path in self._sources.items()}


def _read_coco(
    path: Path,
) -> tuple[list[tuple[object, str, tuple[int, int]]], dict[object, list[dict[str, Any]]]]:
    """Id, name and shape of the images of a COCO file, and the objects by the id of their image."""
    if not path.is_file():
        raise InputError(f"{path}: no such file. Copy the annotations there, or correct the name.")
    try:
        content = json.loads(path.read_bytes())
        images = [
            (one["id"], one["file_name"].rpartition("/")[2], (one["height"], one["width"]))
            for one in _listed(content["images"])
        ]
        objects: dict[object, list[dict[str, Any]]] = {id: [] for id, _, _ in images}
        annotations = _listed(content["annotations"])
        for one in annotations:
            objects[one["image_id"]].append(one)
        used = {one.get("category_id") for one in annotations}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a file of COCO, with images (id, file_name, width, height) and "
            f"annotations of them ({type(error).__name__}: {error}). Export it again."
        ) from error
    if len(used) > 1:
        raise InputError(
            f"{path}: annotations of {len(used)} categories, {', '.join(sorted(map(str, used)))}. "
            "Leave those of one, which are the objects."
        )
    return images, objects


def _listed(entries: Iterable[Any]) -> list[dict[str, Any]]:
    """Entries as a list; some of LIVECell's files keep them by their id."""
    return list(entries.values() if isinstance(entries, Mapping) else entries)
