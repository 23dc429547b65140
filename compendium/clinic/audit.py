"""The audit of any folder of images, or of a ``labels.csv``, as one page."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from compendium.clinic.files import placeless
from compendium.clinic.listing import check_folder, listed
from compendium.clinic.pages import page, thumbnail
from engine.errors import InputError
from engine.results import write_atomically
from lib.data import audit
from lib.data.appearance import UNITS, image_statistics
from lib.data.images import decode, load_stack
from lib.data.inspection import inspect_files
from lib.data.lists import NAME as LABELS
from lib.data.reading import SUFFIXES, find_images

SHOWN = 40  # pairs that look alike, images of a domain


class Folder:
    """Every image below a folder, whatever it shows.

    ``excluded`` (id, domain, reason) names files that cannot be read, are blank or of no kind of
    image that is read; ``unused`` what else is in those that are; ``warnings`` what is to be known
    of the whole. With a ``labels.csv`` its columns file, domain, label, group and bits are used, as
    far as they are there; else an image's domain is the first folder on its path.
    """

    def __init__(self, root: str | Path, channel: int = 0) -> None:
        self.root = Path(root).resolve()
        check_folder(self.root, root)
        self._channel = channel
        found, others = find_images(self.root)
        others = pd.DataFrame(
            [(name, _domain(name), reason) for name, reason in others if name != LABELS],
            columns=["id", "domain", "reason"],
        )
        if (self.root / LABELS).is_file():
            images = listed(self.root)
            forgotten = sorted({*found} - {*images["id"], *images.pop("mask")})
            unlisted = [(name, _domain(name), f"{name}: not in {LABELS}. Add it, or take it out.")
                        for name in forgotten]  # fmt: skip
            others = pd.concat([others, pd.DataFrame(unlisted, columns=others.columns)])
        else:
            images = self._found(found)
        seen = inspect_files(self.root, images, channel)
        self.warnings, self.unused = seen.warnings, seen.unused
        # The page may be handed on: where the folder lies is nobody's business.
        bare = [placeless(str(reason), self.root) for reason in seen.excluded["reason"]]
        self.excluded = pd.concat([seen.excluded.assign(reason=bare), others], ignore_index=True)
        if seen.table.empty:
            raise InputError(f"{self.root}: none of {len(images)} images can be read. {bare[0]}")
        self._table = seen.table

    def table(self) -> pd.DataFrame:
        """Image table of what can be read; ``label`` is empty where none is known."""
        return self._table

    def read_many(self, ids: Sequence[str]) -> list[np.ndarray]:
        """The images as uint8 arrays, each domain at its own depth."""
        bits = self._table.set_index("id")["bits"]
        with ThreadPoolExecutor() as pool:
            return list(
                pool.map(lambda id: decode(self.root / id, int(bits[id]), self._channel), ids)
            )

    def _found(self, paths: list[str]) -> pd.DataFrame:
        if not paths:
            raise InputError(f"{self.root}: no image in it. Wanted: {', '.join(SUFFIXES)}.")
        domains = [_domain(path) for path in paths]
        return pd.DataFrame(dict(id=paths, domain=domains, label="", group=paths))


def _domain(name: str) -> str:
    return name.split("/")[0] if "/" in name else "images"


def audit_folder(
    root: str | Path, out: str | Path, force: bool = False, channel: int = 0
) -> dict[str, pd.DataFrame]:
    """Audit the images below ``root`` and write the page ``out``.

    Returns
    -------
    The tables of the page by title: files, excluded, unused, labels, repeated names, exact
    duplicates, near duplicates, appearance.

    Raises
    ------
    InputError
        No folder, no readable image, ``labels.csv`` cannot be used, or ``out`` exists and ``force``
        is not given.
    """
    out = Path(out)
    if out.is_dir():
        raise InputError(
            f"{out}: a folder. Name the page to write with --out, as audit.html in it."
        )
    if out.exists() and not force:
        raise InputError(f"{out}: exists. Choose another --out, or --force to overwrite it.")
    folder = Folder(root, channel)
    table = folder.table()
    small = load_stack(folder, table["id"].tolist(), 64, "grey", "pad")
    statistics = image_statistics(folder, table).groupby("domain")[list(UNITS)]
    spread = statistics.agg(["mean", "std"]).round(2)
    spread.columns = [f"{name} {part} ({UNITS[name]})" for name, part in spread.columns]
    tables = {
        "files": audit.integrity(folder),
        "excluded": folder.excluded,
        "unused": folder.unused,
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
    "excluded": "Files that are not used, and why.",
    "unused": "What else is in the files that are used: pages, focal planes, channels.",
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
        "audit", title=f"Audit of {folder.root.name}", tables=tables, words=_WORDS, most=SHOWN,
        notes=folder.warnings, usable=len(folder.table()), thumbnail=thumbnail,
        picture=lambda id: folder.read_many([id])[0],
        first={domain: ids.head(8) for domain, ids in images},
    )  # fmt: skip
