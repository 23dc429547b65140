"""What a ``labels.csv`` in a clinic's folder says of the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from engine.errors import InputError
from lib.data.lists import NAME as LABELS
from lib.data.lists import check_near_names, number_free, read_list


def check_folder(folder: str | Path, given: str | Path) -> None:
    """Refuse what is no folder, by the name it was ``given``."""
    if Path(folder).is_file():
        raise InputError(f"{given}: a file. Give the folder it lies in.")
    if not Path(folder).is_dir():
        raise InputError(f"{given}: no such folder. Give the folder of the images.")


def listed(root: Path) -> pd.DataFrame:
    """The rows of ``root / "labels.csv"``: id, domain, label, group, mask and, if given, bits.

    Raises
    ------
    InputError
        As `lib.data.lists.read_list`; a row without a domain where others have one.
    """
    path = root / LABELS
    rows = read_list(path)
    if "file" not in rows or rows.empty:
        found = f"its columns are {', '.join(rows)}" if len(rows) else "it has no row"
        raise InputError(f"{path}: no column 'file', or no row: {found}. List the images in it.")
    if "domain" in rows and (rows["domain"] == "").any():
        file = rows.loc[rows["domain"] == "", "file"].iloc[0]
        raise InputError(f"{path}: {file} has no domain. Write one, or remove the column.")
    defaults = {"domain": "images", "label": "", "group": rows["file"]}
    if "label" in rows:
        rows["label"] = [number_free(label) for label in rows["label"]]
    names = {name: rows.get(name, default) for name, default in defaults.items()}
    for name in {*defaults} & {*rows}:
        check_near_names(rows[name], name, path)
    if "bits" in rows:
        names["bits"] = rows["bits"]
    names["mask"] = rows.get("mask", "")
    table = pd.DataFrame(dict(id=rows["file"], **names))
    return table.assign(group=table["group"].where(table["group"] != "", table["id"]))


def devices(root: Path, files: Sequence[str]) -> pd.DataFrame:
    """Which device took each of ``files`` and how deep it counts: columns id, domain and bits.

    By ``labels.csv`` where there is one; else one device took all, and its bits are not known.
    """
    table = pd.DataFrame(dict(id=list(files), domain="the folder", bits=float("nan")))
    if (root / LABELS).is_file():
        said = listed(root).drop_duplicates("id").set_index("id").reindex(table["id"])
        table["domain"] = said["domain"].fillna("the folder").to_numpy()
        if "bits" in said:
            table["bits"] = said["bits"].to_numpy(dtype=float)
    return table
