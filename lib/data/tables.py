"""Own data: images listed in a ``labels.csv``."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pandas as pd

from engine.errors import InputError
from lib.data.parameters import ImageParameters

NAME = "labels.csv"
OPTIONAL = ("mask", "points", "um_per_px")


def table_entries(root: Path, params: ImageParameters) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List the images that ``labels.csv`` names for the domains of ``params``.

    The file has columns file (path relative to it), domain, ``params.label_column`` and, if
    ``params.group_column`` is set, that one; columns mask, points and um_per_px are kept.

    Returns
    -------
    entries : DataFrame with id (relative path), domain, label (1 where the label is
        ``positive_label``, 0 where it is ``negative_label``), group
    excluded : DataFrame with id, domain, reason of rows with other labels

    Raises
    ------
    InputError
        The file or a column is missing, the source or target domain has no rows.
    """
    path = root / NAME
    rows = read_listed(path)
    needed = ["file", "domain", params.label_column, *filter(None, [params.group_column])]
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        raise InputError(
            f"{path}: column '{missing[0]}' is missing; there are {', '.join(rows.columns)}. "
            "Add it, or set label_column and group_column."
        )
    rows["id"] = [posixpath.normpath(file.replace("\\", "/")) for file in rows["file"]]
    _check_domains(rows["domain"], params, path)
    named = (params.source_domain, params.target_domain, params.second_target_domain)
    rows = rows[rows["domain"].isin(named)]

    label = rows[params.label_column].map({params.negative_label: 0, params.positive_label: 1})
    used = label.notna()
    other = rows[~used]
    reasons = [
        f"label '{value}' is neither '{params.positive_label}' nor '{params.negative_label}'"
        for value in other[params.label_column]
    ]
    entries = rows.loc[used, ["id", "domain"]].assign(label=label[used].astype(int))
    group = rows.loc[used, params.group_column] if params.group_column else entries["id"]
    entries["group"] = group.where(group != "", entries["id"])
    kept = [name for name in OPTIONAL if name in rows.columns]
    entries[kept] = rows.loc[used, kept]
    return (
        entries.reset_index(drop=True),
        other[["id", "domain"]].assign(reason=reasons).reset_index(drop=True),
    )


def read_listed(path: Path) -> pd.DataFrame:
    """The rows of a ``labels.csv`` as text, what is empty as empty text.

    Raises
    ------
    InputError
        No such file, or it is no CSV.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. List the images in it: file,domain,label.")
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as error:  # no columns, ragged rows, other letters than UTF-8
        raise InputError(
            f"{path}: not a table of comma-separated values ({error}). Save it as CSV in UTF-8."
        ) from None


def _check_domains(domain: pd.Series, params: ImageParameters, path: Path) -> None:
    there = sorted(domain.unique())
    for name in (params.source_domain, params.target_domain):
        if name not in there:
            raise InputError(
                f"{path}: no image of domain '{name}'; there are {', '.join(there) or 'none'}. "
                "Set source_domain and target_domain."
            )
