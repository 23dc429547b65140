"""Answers of one reader: a file that only grows, one line of JSON an answer."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compendium.reader_study.study import ChangedStudyError, Study
from engine.errors import InputError


class AnsweredElsewhereError(InputError):
    """The same reader has answered this image in another window."""


class Answer(BaseModel):
    """One line of the file.

    Attributes
    ----------
    study : id of the study
    place : of the image in the reader's order, from 0
    image : its name
    quality : 1 (poor) to 5 (excellent)
    judged_real : taken for a photograph as the device took it, not for a translated one
    called : the label it was given, 0 or 1
    seconds : from its showing to the answer
    time : of the answer, UTC, ISO 8601
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    study: str
    place: Annotated[int, Field(ge=0)]
    image: str
    quality: Annotated[int, Field(ge=1, le=5)]
    judged_real: bool
    called: Literal[0, 1]
    comment: str
    seconds: Annotated[float, Field(ge=0)]
    time: str


@dataclass(frozen=True)
class Answers:
    """What a file holds: the answers in order, and how many lines a crash has cut off."""

    given: list[Answer]
    broken: int


class AnswerFile:
    """The answers of ``reader`` to a study.

    An answer is on the disk before `append` returns. A line that a crash has cut off stays where it
    is and counts for nothing; what was written whole is never lost.

    Raises
    ------
    InputError
        ``reader`` is no name for a reader.
    """

    def __init__(self, study: Study, reader: str) -> None:
        self.path = study.answers_path(reader)
        self._study = study
        self._order = study.order(reader)

    def read(self) -> Answers:
        """All answers so far.

        Raises
        ------
        ChangedStudyError
            They belong to another study.
        InputError
            A line is missing or was edited.
        """
        return self._parse(self.path.read_bytes()) if self.path.is_file() else Answers([], 0)

    def append(self, answer: Answer) -> None:
        """Write one answer and wait until the disk has it.

        Raises
        ------
        AnsweredElsewhereError
            Its place was answered since this reader's answers were read.
        InputError
            As `read`; or the disk is full or not writable. The answer then does not count.
        """
        line = json.dumps(answer.model_dump()).encode() + b"\n"
        try:
            with self._locked() as descriptor:
                content = self.path.read_bytes()
                done = len(self._parse(content).given)
                if answer.place != done:
                    raise AnsweredElsewhereError(
                        f"{self.path}: image {answer.place + 1} was answered in another window; "
                        f"{done} answers are kept. Go on with the next image, in one window only."
                    )
                if content and not content.endswith(b"\n"):  # cut off by a crash
                    line = b"\n" + line
                while line:  # a signal or a full disk can end a write early
                    line = line[os.write(descriptor, line) :]
                os.fsync(descriptor)
        except OSError as error:
            raise InputError(
                f"{self.path}: the answer cannot be written ({error.strerror}). Free some space or "
                "correct the rights of the folder, then answer again."
            ) from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        self.path.parent.mkdir(exist_ok=True)
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if new:
                _sync_folder(self.path.parent)
            yield descriptor
        finally:
            os.close(descriptor)

    def _parse(self, content: bytes) -> Answers:
        given: list[Answer] = []
        broken = 0
        lines = [line for line in content.split(b"\n") if line]
        for number, line in enumerate(lines, start=1):
            where = f"{self.path}, line {number}"
            try:
                values = json.loads(line)
            except ValueError:  # the part of a line is never whole JSON
                broken += 1
                continue
            try:
                answer = Answer.model_validate(values)
            except ValidationError as error:
                raise InputError(
                    f"{where}: not an answer ({error.errors()[0]['msg']}). Restore the file."
                ) from None
            if answer.study != self._study.id:
                raise ChangedStudyError(
                    f"{where}: answers to another study ({answer.study[:12]}, this is "
                    f"{self._study.id[:12]}). Restore the study it belongs to."
                )
            next_images = self._order[len(given) : len(given) + 1]
            if answer.place != len(given) or [answer.image] != next_images:
                raise InputError(
                    f"{where}: answers image {answer.place + 1} of {len(self._order)}, after "
                    f"{len(given)} answers. A line was removed or edited: restore the file."
                )
            given.append(answer)
        return Answers(given, broken)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file last, too."""
    for place in (folder, folder.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
