"""What goes into a translation, and what an earlier one has left in its place."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from compendium.clinic.listing import check_folder
from engine.errors import InputError
from engine.keys import file_digest
from lib.data.lists import NAME as LABELS
from lib.data.reading import SUFFIXES, find_images


def image_files(folder: Path, out: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Paths of all images below ``folder``, relative to it, and of other files with a reason."""
    check_folder(folder, folder)
    if out.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{out}: lies in the folder of the images, and would be read as one. Choose another."
        )
    files, others = find_images(folder)
    if not files:
        raise InputError(f"{folder}: no image in it. Wanted: {', '.join(SUFFIXES)}.")
    return files, [(name, reason) for name, reason in others if name != LABELS]


def placeless(words: str, folder: Path) -> str:
    """``words`` without the place of ``folder``, as it was given or as it is."""
    for place in (folder.resolve(), folder):
        if place != Path():
            words = words.replace(f"{place}/", "")
    return words


def check_same_folder(kept: pd.DataFrame | None, files: set[str], table: Path, force: bool) -> None:
    """Refuse to put the images of one folder in the place of another's; say what has gone."""
    if kept is None or kept.empty:
        return
    gone = ~kept["file"].isin(files)
    if gone.all() and not force:
        raise InputError(
            f"{table}: lists {len(kept)} images of another folder, the first "
            f"{kept['file'].iloc[0]}. Choose another --out, or --force to overwrite."
        )
    if gone.any():
        warnings.warn(
            f"{table}: {int(gone.sum())} images of an earlier run are no longer in the folder, the "
            f"first {kept.loc[gone, 'file'].iloc[0]}. Their rows go, their pictures stay.",
            stacklevel=3,
        )


def output_names(files: Sequence[str]) -> dict[str, str]:
    """File to the PNG that is made of it; refuses two that would have one name."""
    # The suffix stays in the name, so that a.jpg and a.png do not meet.
    names = {file: file if file.lower().endswith(".png") else f"{file}.png" for file in files}
    first: dict[str, str] = {}
    for file, name in names.items():
        if first.setdefault(name, file) != file:
            raise InputError(
                f"{first[name]} and {file}: both would be written to {name}. Rename one of them."
            )
    return names


def earlier(table: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    """What an earlier run has written down, whole lines; None if it has not these ``columns``."""
    if not table.is_file():
        return None
    content = table.read_bytes()
    try:
        texts = {"file": str, "output": str, "unused": str}
        rows = pd.read_csv(io.BytesIO(content[: content.rfind(b"\n") + 1]), dtype=texts,
                           keep_default_na=False)  # fmt: skip
    except (ValueError, UnicodeDecodeError):
        return None
    return rows if tuple(rows.columns) == tuple(columns) else None


def still_there(
    rows: pd.DataFrame, images: Path, out: Path, made_by: dict[str, object]
) -> pd.DataFrame:
    """Rows made in the same way, from files that are still the same, of images still there."""
    for name, value in made_by.items():
        rows = rows[rows[name] == value]
    same = [
        _is(images / row.file, row.sha256) and _is(out / row.output, row.output_sha256)
        for row in rows.itertuples()
    ]
    return rows[np.array(same, dtype=bool)]


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and file_digest(path) == sha256
