"""Own data: images listed in a ``labels.csv``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from engine.errors import InputError
from lib.data.lists import NAME, check_near_names, read_list
from lib.data.parameters import ImageParameters
from lib.data.stored import DEPTHS, UNIT

_WHOLE = re.compile(r"^(\d+)[.,]0+$")
OPTIONAL = ("mask", "points", "um_per_px", "bits")


def table_entries(root: Path, params: ImageParameters) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List the images that ``labels.csv`` names for the domains of ``params``.

    The file has columns file (path relative to it), domain, ``params.label_column`` and, if
    ``params.group_column`` is set, that one; columns mask, points, um_per_px and bits (depth of the
    device) are kept.

    Returns
    -------
    entries : DataFrame with id (relative path), domain, label (1 where the label is
        ``positive_label``, 0 where it is ``negative_label``), group
    excluded : DataFrame with id, domain, reason of rows with other labels or of other domains

    Raises
    ------
    InputError
        The file or a column is missing, the source or target domain has no rows, two names are
        nearly the same, bits is no depth.
    """
    path = root / NAME
    rows = read_list(path)
    needed = ["file", "domain", params.label_column, *filter(None, [params.group_column])]
    rows = rows.rename(columns=_meant(rows.columns, [*needed, *OPTIONAL]))
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        raise InputError(
            f"{path}: column '{missing[0]}' is missing; there are {', '.join(rows.columns)}. "
            "Add it, or set label_column and group_column."
        )
    rows["id"] = rows["file"]
    named = (params.source_domain, params.target_domain, params.second_target_domain)
    labels = {params.negative_label: 0, params.positive_label: 1}
    rows[params.label_column] = [_number_free(label, labels) for label in rows[params.label_column]]
    for column in needed[1:]:
        expected = {"domain": named, params.label_column: labels}.get(column, ())
        check_near_names(rows[column], column, path, expected)
    _check_domains(rows["domain"], params, path)
    used = rows["domain"].isin(named)
    others = rows[~used]
    left_out = others[["id", "domain"]].assign(
        reason=[_not_named(domain, named) for domain in others["domain"]]
    )
    rows = rows[used]

    label = rows[params.label_column].map(labels)
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
    if "bits" in kept:
        check_bits(entries["bits"], path)
    for domain in named:
        there = rows.loc[rows["domain"] == domain, params.label_column]
        if len(there) and domain not in set(entries["domain"]):
            raise InputError(
                f"{path}: no image of domain '{domain}' has a label that counts; its labels are "
                f"{', '.join(sorted(set(there))[:5])}. Set positive_label and negative_label."
            )
    excluded = pd.concat([other[["id", "domain"]].assign(reason=reasons), left_out])
    return entries.reset_index(drop=True), excluded.reset_index(drop=True)


def check_bits(bits: pd.Series, path: Path) -> None:
    """Refuse depths that no device has; empty cells (NaN) may stand."""
    bad = bits[bits.notna() & ~bits.isin(range(UNIT, DEPTHS[-1] + 1))]
    if len(bad):
        raise InputError(
            f"{path}: row {bad.index[0] + 2}: bits {bad.iloc[0]:g} is no depth of a device. Write "
            f"1 to {DEPTHS[-1]}, or {UNIT} for floats of 0 to 1."
        )


def _meant(there: pd.Index, wanted: list[str]) -> dict[str, str]:
    """Columns that are wanted but for their case."""
    lower = {name.casefold(): name for name in there}
    return {lower[name.casefold()]: name for name in wanted
            if name not in there and name.casefold() in lower}  # fmt: skip


def _number_free(label: str, known: Collection[str]) -> str:
    """``1.0`` as ``1``: programs write it so once a cell of the column is empty."""
    whole = _WHOLE.match(label)
    return whole.group(1) if whole and label not in known else label


def _not_named(domain: str, named: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(domain, named, 1, 0.8)
    hint = f", nearly '{near[0]}': is it a slip of the pen?" if near else ""
    return f"domain '{domain}' is none of {', '.join(named)}{hint}"


def _check_domains(domain: pd.Series, params: ImageParameters, path: Path) -> None:
    there = sorted(domain.unique())
    for name in (params.source_domain, params.target_domain):
        if name not in there:
            raise InputError(
                f"{path}: no image of domain '{name}'; there are {', '.join(there) or 'none'}. "
                "Set source_domain and target_domain."
            )
