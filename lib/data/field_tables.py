"""Fields of cells that a ``labels.csv`` lists, with a mask file beside each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from engine.errors import InputError
from lib.data.field_files import MaskedFiles
from lib.data.lists import NAME, check_near_names, read_list

LABELS = ("label", "cell")  # columns with the cell line or class, the first that is there


class TableFields(MaskedFiles):
    """Images of a list, with instance maps or class images.

    The list has columns file and domain, ``mask_column`` with a file or an empty cell, and maybe
    label or cell, group, and bits (depth of the device). Images without a mask have an empty
    ``drawn_by``.

    Parameters
    ----------
    folder : where ``labels.csv`` lies; its files are relative to it
    domains : those that are used
    mask_column : which column names the mask files
    mask_threshold : 0: masks are instance maps; else class images, see
        `lib.data.field_files.MaskedFiles`
    channel, windows, size, tiled : as in `lib.data.field_files.FieldFiles`
    drawn_by : who drew the masks: ``"expert"`` or ``"model"``

    Raises
    ------
    InputError
        The list or a column is missing, a domain has no window, two domains are nearly the same, or
        as in `lib.data.lists.read_list` and `lib.data.field_files.FieldFiles`.
    """

    def __init__(
        self,
        folder: Path,
        domains: Sequence[str],
        mask_column: str,
        mask_threshold: int,
        channel: int,
        windows: Mapping[str, int],
        size: int,
        drawn_by: str,
        tiled: bool = False,
    ) -> None:
        path, root = folder / NAME, folder.resolve()
        needed = ["file", "domain", mask_column]
        rows = read_list(path, [*needed, *LABELS, "group"])
        missing = [name for name in needed if name not in rows]
        if missing:
            raise InputError(
                f"{path}: column '{missing[0]}' is missing; there are {', '.join(rows.columns)}. "
                "Add it, or set mask_column."
            )
        unseen = [domain for domain in domains if domain not in windows]
        if unseen:
            raise InputError(f"{path}: domain '{unseen[0]}' has no window. Set one, 0 for all.")
        check_near_names(rows["domain"], "domain", path, domains)
        rows = rows.rename(columns={"file": "id"})
        used = rows["domain"].isin(domains)
        excluded = rows.loc[~used, ["id", "domain"]].assign(
            reason=[
                f"domain '{domain}' is none of {', '.join(domains)}"
                for domain in rows.loc[~used, "domain"]
            ]
        )
        rows = rows[used].reset_index(drop=True)
        nothing = pd.Series("", index=rows.index)
        label = next((rows[name] for name in LABELS if name in rows), nothing)
        entries = rows[["id", "domain"]].assign(
            label=label,
            group=rows.get("group", nothing),
            drawn_by=[drawn_by if mask else "" for mask in rows[mask_column]],
        )
        if "bits" in rows:
            entries["bits"] = rows["bits"]
        masks = dict(zip(rows["id"], rows[mask_column], strict=True))
        masks = {file: mask for file, mask in masks.items() if mask}
        chosen = {domain: windows[domain] for domain in domains}
        excluded = excluded.reset_index(drop=True)
        super().__init__(
            masks, mask_threshold, root, entries, excluded, chosen, size, tiled, channel
        )
