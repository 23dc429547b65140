"""One reader for lists that people make in spreadsheets: ``labels.csv``."""

from __future__ import annotations

import csv
import io
import posixpath
import re
import unicodedata
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from engine.errors import InputError

NAME = "labels.csv"
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"^\"?sep=(.)\"?\r?\n")  # a spreadsheet's note to itself
_SPACES = "\u00a0\u2007\u202f\u200b\ufeff"  # that look like a space or like nothing
NUMBERS = ("um_per_px", "bits")
KNOWN = ("file", "domain", "label", "group", "mask", "points", *NUMBERS)


def read_list(path: Path) -> pd.DataFrame:
    """The rows of a list as text, what is empty as empty text.

    Separator (comma, semicolon, tab, bar) and encoding (UTF-8, UTF-16 with its mark, else
    Windows-1252 with a warning) are found; cells and names of columns are trimmed; a column `file`
    gets forward slashes and the form of Unicode that the file has; `NUMBERS` become floats, with a
    point or a comma.

    Raises
    ------
    InputError
        No such file, no table, rows of different lengths, a column or an image twice, a number that
        is none.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. List the images in it: file,domain,label.")
    text = _text(path)
    start = _SEPARATOR_LINE.match(text)
    separator = start.group(1) if start else _separator(text)
    body = text[start.end() :] if start else text
    lines = io.StringIO(body.replace("\r\n", "\n").replace("\r", "\n"))
    try:
        rows = [[_trim(cell) for cell in row] for row in csv.reader(lines, delimiter=separator)]
    except csv.Error as error:
        raise InputError(
            f"{path}: not a table of comma-separated values ({error}). Save it as CSV in UTF-8."
        ) from None
    rows = [row for row in rows if any(row)]
    if not rows:
        raise InputError(
            f"{path}: not a table of comma-separated values, it is empty. Add the images to it."
        )
    head, *rows = rows
    while rows and all(len(row) > len(head) and not row[-1] for row in rows):
        rows = [row[:-1] for row in rows]
    while (
        len(head) > 1 and not head[-1] and all(len(row) < len(head) or not row[-1] for row in rows)
    ):
        rows = [row[: len(head) - 1] for row in rows]  # a separator at the end of every line
        head = head[:-1]
    for number, row in enumerate(rows, 2):
        if len(row) != len(head):
            raise InputError(
                f"{path}: row {number} has {len(row)} cells, the first row {len(head)} (separated "
                f"by {separator!r}): not a table of comma-separated values. Correct the row, or "
                "quote a cell that holds the separator."
            )
    head = _known(head)
    twice = {name for name in head if head.count(name) > 1}
    if twice:
        raise InputError(f"{path}: two columns '{min(twice)}'. Remove one of them.")
    table = pd.DataFrame(rows, columns=head, dtype=str)
    if "file" in table:
        table["file"] = [_as_named(slashes(file), path.parent) for file in table["file"]]
        repeated = table.loc[table["file"].duplicated(), "file"]
        if len(repeated):
            raise InputError(
                f"{path}: '{repeated.iloc[0]}' is listed twice. Name every image once."
            )
    for name in NUMBERS:
        if name in table:
            table[name] = _numbers(table[name], path)
    return table


def _known(head: list[str]) -> list[str]:
    """Names of columns, those that are known but for their case as they are known."""
    lower = [name.casefold() for name in head]
    return [
        low if low in KNOWN and low not in head and lower.count(low) == 1 else name
        for name, low in zip(head, lower, strict=True)
    ]


def slashes(file: str) -> str:
    """A path as Windows or anyone writes it, with forward slashes and without detours."""
    return posixpath.normpath(file.replace("\\", "/")) if file else file


def _as_named(file: str, folder: Path) -> str:
    """``file`` in the form of Unicode that it has on the disk: a Mac takes letters apart."""
    forms = (file, *(unicodedata.normalize(form, file) for form in ("NFC", "NFD")))
    return next((form for form in forms if (folder / form).is_file()), file)


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
    return cell.translate(dict.fromkeys(map(ord, _SPACES), " ")).strip()


def _numbers(cells: pd.Series, path: Path) -> pd.Series:
    values = pd.to_numeric(cells.str.replace(",", ".", regex=False), errors="coerce")
    bad = cells[values.isna() & (cells != "")]
    if len(bad):
        raise InputError(
            f"{path}: row {bad.index[0] + 2}: {cells.name} '{bad.iloc[0]}' is not a number. "
            "Correct it, or leave the cell empty."
        )
    return values
