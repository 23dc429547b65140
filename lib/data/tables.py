"""Own data: images listed in a ``labels.csv``."""

from __future__ import annotations

import difflib
from pathlib import Path

import pandas as pd

from engine.errors import InputError
from lib.data.lists import NAME, check_near_names, number_free, read_list
from lib.data.parameters import ImageParameters

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
        nearly the same, or as in `lib.data.lists.read_list`.
    """
    path = root / NAME
    needed = ["file", "domain", params.label_column, *filter(None, [params.group_column])]
    rows = read_list(path, needed)
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        raise InputError(
            f"{path}: column '{missing[0]}' is missing; there are {', '.join(rows.columns)}. "
            "Add it, or set label_column and group_column."
        )
    rows["id"] = rows["file"]
    named = (params.source_domain, params.target_domain, params.second_target_domain)
    labels = {params.negative_label: 0, params.positive_label: 1}
    rows[params.label_column] = [number_free(label, labels) for label in rows[params.label_column]]
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
    for domain in named:
        there = rows.loc[rows["domain"] == domain, params.label_column]
        if len(there) and domain not in set(entries["domain"]):
            raise InputError(
                f"{path}: no image of domain '{domain}' has a label that counts; its labels are "
                f"{', '.join(sorted(set(there))[:5])}. Set positive_label and negative_label."
            )
    excluded = pd.concat([other[["id", "domain"]].assign(reason=reasons), left_out])
    return entries.reset_index(drop=True), excluded.reset_index(drop=True)


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
