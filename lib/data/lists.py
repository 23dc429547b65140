"""One reader for lists that people make in spreadsheets: ``labels.csv``."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
import unicodedata
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd

from engine.errors import InputError
from lib.data.stored import DEPTHS, UNIT

NAME = "labels.csv"
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"^\"?sep=(.)\"?\r?\n")  # a spreadsheet's note to itself
_SPACES = "\u00a0\u2007\u202f\u200b\ufeff"  # that look like a space or like nothing
_PLAIN = str.maketrans(dict.fromkeys(_SPACES, " "))
_WHOLE = re.compile(r"^(\d+)[.,]0+$")
NUMBERS = ("um_per_px", "bits")
FILES = ("file", "mask")
KNOWN = (*FILES, "domain", "label", "group", "points", *NUMBERS)


def read_list(path: Path, further: Iterable[str] = ()) -> pd.DataFrame:
    """The rows of a list as text, what is empty as empty text.

    Separator (comma, semicolon, tab, bar) and encoding (UTF-8, UTF-16 with its mark, else
    Windows-1252 with a warning) are found; cells and names of columns are trimmed, and names that
    are `KNOWN` or ``further`` are found in any case. `FILES` become paths below the folder of the
    list, with forward slashes and the signs that the file has; `NUMBERS` become floats, with a
    point or a comma.

    Raises
    ------
    InputError
        No such file, no table, rows of different lengths, a column or an image twice, a row without
        a file, a number that is none, bits that are no depth.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. List the images in it: file,domain,label.")
    text = _text(path)
    start = _SEPARATOR_LINE.match(text)
    separator = start.group(1) if start else _separator(text)
    body = text[start.end() :] if start else text
    lines = io.StringIO(body.replace("\r\n", "\n").replace("\r", "\n"))
    try:
        cells = [[_trim(cell) for cell in row] for row in csv.reader(lines, delimiter=separator)]
    except csv.Error as error:
        raise InputError(
            f"{path}: not a table of comma-separated values ({error}). Save it as CSV in UTF-8."
        ) from None
    # By the number that a spreadsheet shows, which counts empty rows too.
    rows = {number: row for number, row in enumerate(cells, 1) if any(row)}
    if not rows:
        raise InputError(
            f"{path}: not a table of comma-separated values, it is empty. Add the images to it."
        )
    head = [name.translate(_PLAIN) for name in rows.pop(min(rows))]
    while rows and all(len(row) > len(head) and not row[-1] for row in rows.values()):
        rows = {number: row[:-1] for number, row in rows.items()}
    while (
        len(head) > 1
        and not head[-1]
        and all(len(row) < len(head) or not row[-1] for row in rows.values())
    ):
        head = head[:-1]  # a separator at the end of every line
        rows = {number: row[: len(head)] for number, row in rows.items()}
    for number, row in rows.items():
        if len(row) != len(head):
            raise InputError(
                f"{path}: row {number} has {len(row)} cells, the first row {len(head)} (separated "
                f"by {separator!r}): not a table of comma-separated values. Correct the row, or "
                "quote a cell that holds the separator."
            )
    head = _known(head, [*KNOWN, *further])
    twice = {name for name in head if head.count(name) > 1}
    if twice:
        raise InputError(f"{path}: two columns '{min(twice)}'. Remove one of them.")
    table = pd.DataFrame(list(rows.values()), index=list(rows), columns=head, dtype=str)
    for name in head:
        if name in FILES:
            named = _Names(path.parent)
            table[name] = [named.find(file) for file in table[name]]
        else:
            table[name] = table[name].str.translate(_PLAIN)
    if "file" in table:
        _check_files(table["file"], path)
    for name in NUMBERS:
        if name in table:
            table[name] = _numbers(table[name], path)
    if "bits" in table:
        _check_bits(table["bits"], path)
    return table.reset_index(drop=True)


def number_free(label: str, known: Collection[str] = ()) -> str:
    """``1.0`` as ``1``, unless known: programs write it so once a cell of the column is empty."""
    whole = _WHOLE.match(label)
    return whole.group(1) if whole and label not in known else label


def _check_files(file: pd.Series, path: Path) -> None:
    if (file == "").any():
        raise InputError(
            f"{path}: row {file.index[file == ''][0]} names no file. Name its image in column "
            "file, or remove the row."
        )
    repeated = file[file.duplicated(keep=False)]
    if len(repeated):
        first = repeated[repeated == repeated.iloc[0]]
        raise InputError(
            f"{path}: '{first.iloc[0]}' is listed twice, in rows {first.index[0]} and "
            f"{first.index[1]}. Name every image once."
        )


def _check_bits(bits: pd.Series, path: Path) -> None:
    """Refuse depths that no device has; empty cells (NaN) may stand."""
    bad = bits[bits.notna() & ~bits.isin(range(UNIT, DEPTHS[-1] + 1))]
    if len(bad):
        raise InputError(
            f"{path}: row {bad.index[0]}: bits {bad.iloc[0]:g} is no depth of a device. Write "
            f"1 to {DEPTHS[-1]}, or {UNIT} for floats of 0 to 1."
        )


def _known(head: list[str], wanted: Iterable[str]) -> list[str]:
    """Names of columns, those that are wanted but for their case as they are wanted."""
    lower = [name.casefold() for name in head]
    names = {name.casefold(): name for name in wanted}
    return [
        names[low] if low in names and names[low] not in head and lower.count(low) == 1 else name
        for name, low in zip(head, lower, strict=True)
    ]


class _Names:
    """Files below a folder, found by how people and programs write their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._beside: dict[Path, dict[str, list[str]]] = {}

    def find(self, written: str) -> str:
        """The path of a file, relative to the folder, with forward slashes and without detours.

        The file that is there may differ in how its letters are encoded (a Mac takes them apart)
        and in signs that look like a space, as in the names of its screenshots. As written, where
        no single file is meant.
        """
        if not written:
            return written
        file = posixpath.normpath(written.replace("\\", "/"))
        whole = Path(os.path.normpath(self._folder / file))
        for way in (whole, whole.parent.resolve() / whole.name):
            if way.is_relative_to(self._folder):  # written in full, or by a way around
                file = way.relative_to(self._folder).as_posix()
                break
        if (self._folder / file).is_file():
            return file
        place, _, name = file.rpartition("/")
        alike = self._looks(self._folder / place).get(_look(name), [])
        return posixpath.join(place, alike[0]) if len(alike) == 1 else file

    def _looks(self, place: Path) -> dict[str, list[str]]:
        if place not in self._beside:
            looks = self._beside[place] = {}
            for other in sorted(place.iterdir()) if place.is_dir() else ():
                looks.setdefault(_look(other.name), []).append(other.name)
        return self._beside[place]


def _look(name: str) -> str:
    return unicodedata.normalize("NFC", name.translate(_PLAIN))


def check_near_names(
    names: Iterable[str], what: str, path: Path, expected: Iterable[str] = ()
) -> None:
    """Refuse names that differ in case, in spaces, hyphens or in how a letter is encoded only.

    ``expected`` are the names that the parameters give.

    Raises
    ------
    InputError
        Two such names; the rarer one, or the one that is not expected, is to be corrected.
    """
    counts = pd.Series([name for name in names if name], dtype=str).value_counts()
    known = {plain_name(name): name for name in expected}
    for name, count in counts.items():
        usual = known.setdefault(plain_name(name), name)
        if usual != name:
            beside = f"{counts[usual]} rows" if usual in counts else "in the parameters"
            raise InputError(
                f"{path}: {what} '{name}' ({count} rows) beside '{usual}' ({beside}). If they are "
                f"the same, write '{usual}' everywhere; if not, give one of them another name."
            )


def plain_name(name: str) -> str:
    """What is left of a name for whoever reads it aloud."""
    same = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"(?<=\w)[\s_\-‐-―]+(?=\w)", " ", same.strip())


def _text(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in content:
            raise InputError(
                f"{path}: not a table of comma-separated values ({error}). Save it as CSV in UTF-8."
            ) from None
        strange = content[error.start : error.start + 1].decode("cp1252", "replace")
        warnings.warn(
            f"{path} is not in UTF-8 and was read as Windows-1252; its first letter beyond ASCII "
            f"became '{strange}'. If that is wrong, save it as CSV in UTF-8.",
            stacklevel=4,
        )
        return content.decode("cp1252", "replace")


def _separator(text: str) -> str:
    """The separator of the first row; a comma where there is none."""
    head = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").split("\n", 1)[0])
    return max(_SEPARATORS, key=head.count)


def _trim(cell: str) -> str:
    """Without spaces at the ends; inside they may be part of the name of a file."""
    return cell.strip(" \t\n\r\f\v" + _SPACES)


def _numbers(cells: pd.Series, path: Path) -> pd.Series:
    values = pd.to_numeric(cells.str.replace(",", ".", regex=False), errors="coerce")
    bad = cells[values.isna() & (cells != "")]
    if len(bad):
        raise InputError(
            f"{path}: row {bad.index[0]}: {cells.name} '{bad.iloc[0]}' is not a number. "
            "Correct it, or leave the cell empty."
        )
    return values
