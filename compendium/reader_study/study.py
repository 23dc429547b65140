"""A blinded study as a folder: what a reader may see, and proof that nobody has changed it.

``study.json`` and ``images/`` say nothing of where an image comes from. That stands in the key, a
table beside the folder, whose hash is part of the study.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import InputError
from engine.keys import digest, file_digest
from engine.paths import ROOT
from engine.results import read_table

STUDY, IMAGES, ANSWERS = "study.json", "images", "answers"
FORMAT = "reader study 1"
READER = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class ChangedStudyError(InputError):
    """A study, its key or its answers are not those that belong together."""


class StudyFile(BaseModel):
    """Content of ``study.json``.

    Attributes
    ----------
    note : what the images are, as figures say it
    label_names : of label 0 and 1
    images : name of every image file to its SHA-256, in the order of the names
    repeats : names of the images that are shown a second time
    order_seed : what the readers' orders are drawn from
    key_sha256 : of the key
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: str
    note: str
    label_names: list[str]
    images: dict[str, str]
    repeats: list[str]
    order_seed: int
    key_sha256: str


class Study:
    """An opened study.

    Attributes
    ----------
    folder : Path
    file : StudyFile
    id : str
        SHA-256 of ``file``; stands in every answer.
    """

    def __init__(self, folder: Path, file: StudyFile) -> None:
        self.folder = folder
        self.file = file
        self.id = digest(file)

    @property
    def synthetic(self) -> bool:
        """Whether the embryos are phantoms."""
        return self.file.note.startswith("synthetic")

    def order(self, reader: str) -> list[str]:
        """Names of the images in the order that ``reader`` sees them, repeats included.

        The same for ever for a reader, another for the next. Between both showings of an image lie
        nearly a quarter of all showings or more: they are dealt to four parts, the repeated images
        to the first and the third or to the second and the fourth.
        """

        def place(name: str) -> bytes:
            # A hash and no generator, whose numbers may change with its version.
            text = f"{self.file.order_seed} {reader} {name}"
            return hashlib.sha256(text.encode()).digest()

        parts: list[list[str]] = [[], [], [], []]
        for number, name in enumerate(sorted(self.file.repeats, key=place)):
            parts[number % 2].append(name)
            parts[number % 2 + 2].append(name)
        for name in sorted(set(self.file.images) - set(self.file.repeats), key=place):
            min(parts, key=len).append(name)
        return [
            name
            for number, part in enumerate(parts)
            for name in sorted(part, key=lambda name: place(f"{number} {name}"))
        ]

    def image(self, name: str) -> bytes:
        """A PNG, checked once more.

        Raises
        ------
        ChangedStudyError
            It is missing, or not the one that the study was made with.
        """
        path = self.folder / IMAGES / name
        if not path.is_file() or file_digest(path) != self.file.images[name]:
            raise ChangedStudyError(
                f"{path}: missing, or not the image that the study was made with. Restore it, or "
                "make a new study."
            )
        return path.read_bytes()

    def answers_path(self, reader: str) -> Path:
        """Where the answers of ``reader`` are kept.

        Raises
        ------
        InputError
            Not a name for a reader.
        """
        if not READER.fullmatch(reader):
            raise InputError(
                f"reader '{reader}': use up to 32 small letters, digits, - and _, as reader-1."
            )
        return self.folder / ANSWERS / f"{reader}.jsonl"

    @property
    def readers(self) -> list[str]:
        """All who have answered, by name."""
        return sorted(path.stem for path in (self.folder / ANSWERS).glob("*.jsonl"))

    def key(self, path: str | Path = "") -> pd.DataFrame:
        """The key: columns image, kind (a domain, or the arm that translated), real, id, domain,
        label, group. ``path`` is where it lies if it was moved.

        Raises
        ------
        InputError
            No such file.
        ChangedStudyError
            Not the key of this study.
        """
        path = Path(path) if path else key_path(self.folder)
        if not path.is_file():
            raise InputError(f"{path}: no such file. Give the key of the study {self.folder}.")
        if file_digest(path) != self.file.key_sha256:
            raise ChangedStudyError(
                f"{path}: not the key of {self.folder}, or changed since. Restore it."
            )
        return read_table(path)


def key_path(folder: Path) -> Path:
    """Where the key of a new study lies: beside its folder, not in it."""
    return folder.with_name(f"{folder.name}.key.csv")


def study_text(file: StudyFile) -> str:
    """``study.json``: its content with the hash of it."""
    return json.dumps({"id": digest(file), **file.model_dump()}, indent=1) + "\n"


def open_study(folder: str | Path) -> Study:
    """Open a study and check all of its files.

    Raises
    ------
    InputError
        No study in ``folder``.
    ChangedStudyError
        A file is not as it was made.
    """
    folder = Path(folder).absolute()
    path = folder / STUDY
    if not path.is_file():
        raise InputError(
            f"{path}: no such file. Make a study: compendium reader-study make --help; "
            "COMPENDIUM_STUDY names its folder."
        )
    try:
        content = json.loads(path.read_text())
        kept = content.pop("id")
        file = StudyFile.model_validate(content)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ChangedStudyError(
            f"{path}: not a {FORMAT} ({str(error).splitlines()[0]}). Restore it."
        ) from None
    study = Study(folder, file)
    if file.format != FORMAT or kept != study.id:
        raise ChangedStudyError(
            f"{path}: changed since the study was made (it says {kept[:12]}, its content gives "
            f"{study.id[:12]}). Restore it, or make a new study."
        )
    for name in file.images:
        study.image(name)
    return study


def study_folder() -> Path:
    """Folder of the study: ``COMPENDIUM_STUDY``, else ``reader_study`` of the project."""
    return Path(os.environ.get("COMPENDIUM_STUDY", ROOT / "reader_study")).resolve()
