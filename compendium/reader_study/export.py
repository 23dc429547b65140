"""The answers of all readers as one table, blinded or joined with the key."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from compendium.reader_study.answers import AnswerFile
from compendium.reader_study.study import Study, open_study
from engine.errors import InputError
from engine.results import write_atomically

_COLUMNS = (
    "reader", "place", "image", "showing", "quality", "judged_real", "called", "comment", "seconds",
    "time",
)  # fmt: skip


def answer_table(study: Study, key: str | Path | None = None) -> pd.DataFrame:
    """One row for each answer of each reader.

    Parameters
    ----------
    key
        Where the key lies, empty for beside the study; its columns are added. None leaves the
        table blinded.

    Returns
    -------
    Columns reader, place (from 0), image, showing (1, or 2 for a repeat), quality, judged_real,
    called, comment, seconds, time; with the key also kind, real, id, domain, label, group.

    Raises
    ------
    InputError
        A file of answers, or the key, cannot be used.
    """
    rows = [
        dict(reader=reader, **answer.model_dump())
        for reader in study.readers
        for answer in AnswerFile(study, reader).read().given
    ]
    table = pd.DataFrame(rows, columns=[name for name in _COLUMNS if name != "showing"])
    table["showing"] = table.groupby(["reader", "image"]).cumcount() + 1
    table = table[[*_COLUMNS]]
    return table if key is None else table.merge(study.key(key), on="image", how="left")


def export_answers(folder: str | Path, out: str | Path, key: str | Path | None = None) -> int:
    """Write `answer_table` as CSV and say how many answers it holds.

    Raises
    ------
    InputError
        As `open_study` and `answer_table`; nobody has answered yet; or ``out`` is in the way.
    """
    study, out = open_study(folder), Path(out)
    if out.exists():
        raise InputError(f"{out}: in the way. Choose another --out.")
    table = answer_table(study, key)
    if table.empty:
        raise InputError(f"{study.folder}: nobody has answered yet. Let a reader judge some first.")
    write_atomically(out, table.to_csv(index=False).encode())
    return len(table)


def reader_table(study: Study, answers: pd.DataFrame) -> pd.DataFrame:
    """How far every reader is: columns reader, answered, of, broken_lines, median_seconds."""
    of = len(study.file.images) + len(study.file.repeats)
    return pd.DataFrame(
        dict(reader=reader, answered=len(own), of=of,
             broken_lines=AnswerFile(study, reader).read().broken,
             median_seconds=own["seconds"].median())
        for reader, own in answers.groupby("reader")
    )  # fmt: skip
