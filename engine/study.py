"""What a study is to the engine: its notebooks, its parameters, its images.

The studies lie above the engine, in ``lib/studies``, one module each. They are found by name, so
that a new one is a new file there and nothing here knows of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.errors import InputError

HOME = "lib.studies"


class Images(Protocol):
    """The images of a run, opened."""

    def fingerprint(self) -> str:
        """Hash of what the images are, hexadecimal: other pixels, labels or groups give another."""


@dataclass(frozen=True)
class Study:
    """A question with its notebooks.

    Attributes
    ----------
    notebooks : names in ``notebooks/`` without suffix, in reading order
    parameters : the class of its parameters, on `engine.parameters.Parameters`
    open_images : parameters and the folder of the real images to the images
    check : refuses parameters or images that would stop a notebook halfway; before any starts
    """

    notebooks: tuple[str, ...]
    parameters: type
    open_images: Callable[[Any, Path], Images]
    check: Callable[[Any, Images], None]


def load_study(name: str) -> Study:
    """The study of that name, ``STUDY`` of ``lib/studies/NAME.py``.

    Raises
    ------
    InputError
        There is none.
    """
    if name not in study_names():
        known = ", ".join(study_names())
        raise InputError(f"study '{name}': no such study. Set study to one it has: {known}.")
    return importlib.import_module(f"{HOME}.{name}").STUDY


def study_names() -> list[str]:
    """Names of all studies."""
    folders = importlib.import_module(HOME).__path__
    return sorted(path.stem for folder in folders for path in Path(folder).glob("[!_]*.py"))
