"""Objects of COCO annotations as pixels: polygons and run lengths.

The format: Lin et al. 2014 (https://cocodataset.org/#format-data); the text form of run lengths as
in ``maskApi.c`` of pycocotools, which the tests compare with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from skimage.draw import polygon

from engine.errors import InputError

# COCO counts from the corner of the first pixel, skimage from its centre, and counts centres on
# the outline as inside on every side: the last bit leaves them to one side of a shared outline.
_CENTRE = 0.5 + 1e-7
_REMEDY = "Correct the annotation, or export the instances as label images."


def object_pixels(annotation: Mapping[str, Any], shape: tuple[int, int], name: str) -> np.ndarray:
    """Places of an object in the flattened image (row by row), sorted.

    A pixel belongs to a polygon that its centre lies in; several polygons are one object. Run
    lengths may be numbers or text.

    Parameters
    ----------
    annotation : with ``segmentation``: list of polygons [x, y, x, y, ...] in px from the upper left
        corner of the image, or ``size`` [height, width] and ``counts``
    shape : height and width of the image
    name : stands in the errors

    Raises
    ------
    InputError
        A crowd, no segmentation, a polygon of fewer than three corners, run lengths of another
        size.
    """
    drawn = annotation.get("segmentation")
    if annotation.get("iscrowd") and isinstance(drawn, Mapping | list):
        raise InputError(
            f"{name}: a crowd (iscrowd 1), several objects drawn as one. Draw them one by one, or "
            "leave the image out."
        )
    if isinstance(drawn, Mapping):
        return np.flatnonzero(_from_runs(drawn, shape, name))
    if not isinstance(drawn, list) or not drawn:
        raise InputError(f"{name}: no segmentation, but {str(drawn)[:40]!r}. {_REMEDY}")
    return np.unique(np.concatenate([_inside(corners, shape, name) for corners in drawn]))


def _inside(corners: Sequence[float], shape: tuple[int, int], name: str) -> np.ndarray:
    try:
        x, y = np.asarray(corners, float).reshape(-1, 2).T
    except (TypeError, ValueError):
        raise InputError(
            f"{name}: {str(corners)[:40]} are no pairs of x and y. {_REMEDY}"
        ) from None
    if len(x) < 3:
        raise InputError(f"{name}: a polygon of {len(x)} corners, not 3 or more. {_REMEDY}")
    return np.ravel_multi_index(polygon(y - _CENTRE, x - _CENTRE, shape), shape)


def _from_runs(drawn: Mapping[str, Any], shape: tuple[int, int], name: str) -> np.ndarray:
    """Mask, uint8 (H, W), of runs of 0 and 1 in turn, down the columns."""
    size, counts = tuple(drawn.get("size", ())), drawn.get("counts", ())
    runs = np.asarray(_runs(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    if size != tuple(shape) or (runs < 0).any() or runs.sum() != shape[0] * shape[1]:
        raise InputError(
            f"{name}: {len(runs)} run lengths of {runs.sum()} px in an image of {size}, not of the "
            f"{shape[0] * shape[1]} px of {tuple(shape)} (height, width). {_REMEDY}"
        )
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.repeat(values, runs).reshape(shape, order="F")


def _runs(text: str) -> list[int]:
    """Run lengths from their text: groups of five bits, from the third on as differences."""
    runs: list[int] = []
    value = bits = 0
    for letter in text:
        code = ord(letter) - 48
        value |= (code & 31) << bits
        bits += 5
        if code & 32:  # more groups follow
            continue
        if code & 16:  # negative
            value -= 1 << bits
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = bits = 0
    return runs
