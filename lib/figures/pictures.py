"""The few images a widget shows, kept with the results: nothing is translated when it is moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from engine.errors import InputError
from engine.store import read_tensors, write_tensors

FORMAT = "pictures 1"


@dataclass(frozen=True)
class Pictures:
    """N objects in several looks.

    Attributes
    ----------
    looks : name, as an arm, to uint8 (N, C, H, W), C 1 or 3
    names : what each of the N objects is
    note : what kind of images these are, as in the title of a figure
    facts : what else the widget says of them, JSON values
    """

    looks: Mapping[str, Tensor]
    names: Sequence[str]
    note: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def save_pictures(path: Path, pictures: Pictures) -> None:
    """Write pictures as one safetensors file."""
    # The file sorts its tensors by name; the header keeps their order.
    looks = list(pictures.looks)
    head = dict(format=FORMAT, looks=looks, names=list(pictures.names), note=pictures.note,
                facts=dict(pictures.facts))  # fmt: skip
    write_tensors(path, {name: pictures.looks[name].contiguous() for name in looks}, head)


def load_pictures(path: Path) -> Pictures:
    """Read what ``save_pictures`` wrote.

    Raises
    ------
    InputError
        Missing, damaged, or no pictures.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run that profile first: make reproduce.")
    try:
        tensors, head = read_tensors(path)
        if head["format"] != FORMAT:
            raise ValueError(f"its format is {head['format']!r}")
        looks = {name: tensors[name] for name in head["looks"]}
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no pictures of a widget ({type(error).__name__}: {error}). Remove the "
            "results of that notebook and run it again."
        ) from error
    return Pictures(looks, head["names"], head["note"], head["facts"])
