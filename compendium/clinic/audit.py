"""The audit of any folder of images, or of a ``labels.csv``, as one page."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from compendium.clinic.pages import page, thumbnail
from engine.errors import InputError
from engine.progress import progress
from engine.results import write_atomically
from lib.data import audit
from lib.data.appearance import UNITS, image_statistics
from lib.data.images import SUFFIXES, decode, inspect, load_stack
from lib.data.tables import NAME as LABELS
from lib.data.tables import read_listed

SHOWN = 40  # pairs that look alike, images of a domain


class Folder:
    """Every image below a folder, whatever it shows; unreadable ones are kept in ``excluded``.

    With a ``labels.csv`` its columns file, domain, label and group are used, as far as they are
    there; else an image's domain is the first folder on its path.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).resolve()
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder. Give the folder of the images.")
        listed = self._listed() if (self.root / LABELS).is_file() else self._found()
        with ThreadPoolExecutor() as pool:
            inspected = pool.map(self._inspect, listed["id"])
            read = pd.DataFrame(list(progress(inspected, len(listed), "images checked")))
        whole = pd.concat([listed.reset_index(drop=True), read], axis=1)
        bad = whole["reason"].notna()
        self.excluded = whole.loc[bad, ["id", "domain", "reason"]]
        usable = whole[~bad].drop(columns="reason").reset_index(drop=True)
        if usable.empty:
            raise InputError(
                f"{self.root}: none of {len(whole)} images can be read. "
                f"{self.excluded['reason'].iloc[0]}"
            )
        self._table = usable.astype({"width": int, "height": int})

    def table(self) -> pd.DataFrame:
        """Image table of what can be read; ``label`` is empty where none is known."""
        return self._table

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        """The images as uint8 arrays."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda id: decode(self.root / id), ids))

    def _found(self) -> pd.DataFrame:
        paths = sorted(
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        if not paths:
            raise InputError(f"{self.root}: no image in it. Wanted: {', '.join(SUFFIXES)}.")
        domains = [path.split("/")[0] if "/" in path else "images" for path in paths]
        return pd.DataFrame(dict(id=paths, domain=domains, label="", group=paths))

    def _listed(self) -> pd.DataFrame:
        path = self.root / LABELS
        rows = read_listed(path)
        if "file" not in rows or rows.empty:
            raise InputError(f"{path}: no column 'file', or no row. List the images in it.")
        names = {name: rows.get(name, default) for name, default in
                 (("domain", "images"), ("label", ""), ("group", rows["file"]))}  # fmt: skip
        return pd.DataFrame(dict(id=rows["file"], **names))

    def _inspect(self, id: str) -> dict[str, object]:
        path = self.root / id
        try:
            if not path.resolve().is_relative_to(self.root):
                raise InputError(f"{path}: leads outside of {self.root}. Copy it into the folder.")
            _, facts = inspect(path)
        except InputError as error:
            # The page may be handed on: where the folder lies is nobody's business.
            return {"reason": str(error).removeprefix(f"{self.root}/")}
        return {**facts, "reason": None}


def audit_folder(root: str | Path, out: str | Path, force: bool = False) -> dict[str, pd.DataFrame]:
    """Audit the images below ``root`` and write the page ``out``.

    Returns
    -------
    The tables of the page by title: files, excluded, labels, repeated names, exact duplicates, near
    duplicates, appearance.

    Raises
    ------
    InputError
        No folder, no readable image, ``labels.csv`` cannot be used, or ``out`` exists and ``force``
        is not given.
    """
    out = Path(out)
    if out.exists() and not force:
        raise InputError(f"{out}: exists. Choose another --out, or --force to overwrite it.")
    folder = Folder(root)
    table = folder.table()
    small = load_stack(folder, table["id"].tolist(), 64, "grey", "pad")
    statistics = image_statistics(folder, table).groupby("domain")[list(UNITS)]
    spread = statistics.agg(["mean", "std"]).round(2)
    spread.columns = [f"{name} {part} ({UNITS[name]})" for name, part in spread.columns]
    tables = {
        "files": audit.integrity(folder),
        "excluded": folder.excluded,
        "labels": table.groupby(["domain", "label"])
        .size()
        .rename("images")
        .reset_index()
        .replace({"label": {"": "not known"}}),
        "repeated names": audit.name_collisions(table),
        "exact duplicates": audit.exact_duplicates(table),
        "near duplicates": audit.near_duplicates(small, table),
        "appearance": spread.reset_index(),
    }
    write_atomically(out, _page(folder, tables).encode())
    return tables


_WORDS = {
    "files": "What can be read, by domain, with sizes and modes.",
    "excluded": "Files that cannot be read, and why.",
    "labels": "Images by domain and label.",
    "repeated names": "Whoever copies each class into one directory keeps only the survivors.",
    "exact duplicates": "Files of the same content, a set each. A conflict of labels is an error "
    "in the data; the rest may lie on one side of a split only.",
    "near duplicates": "Pairs that look alike, by perceptual hash and correlation. They must not "
    "lie on two sides of a split.",
    "appearance": "Statistics of the luma. Domains that differ here are told apart at a glance.",
}


def _page(folder: Folder, tables: dict[str, pd.DataFrame]) -> str:
    images = folder.table().groupby("domain", sort=False)["id"]
    return page(
        "audit", title=f"Audit of {folder.root.name}", root=folder.root, tables=tables,
        words=_WORDS, most=SHOWN, usable=len(folder.table()), thumbnail=thumbnail,
        first={domain: ids.head(8) for domain, ids in images},
    )  # fmt: skip
