"""What to know of a data set before anything learns from it; every answer is a table."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import torch
from scipy.fft import dctn
from torch.nn import functional as F

from lib.data.folders import label_of
from lib.data.interface import Source

# Images per folder as published with the sets (OSF project 3kc2d).
PUBLISHED = {
    "ED1": {"1": 90, "2": 9, "3": 5, "4": 81, "5": 111},
    "ED3": {"1": 141, "2": 117},
    "ED4": {"1": 473, "2": 411, "3": 473, "4": 366, "5": 717},
}

_LAYOUT = re.compile(r"^[^/]+/alldata/(?P<folder>[^/]+)/(?P<name>[^/]+)$")
_BATCH = 256
_ROWS = 1024  # rows of the hash comparison done at once


def integrity(source: Source) -> pd.DataFrame:
    """How many files of each domain can be used, and what they look like from outside.

    Read: ``excluded`` should be 0, or explained by ``source.excluded``, and ``unused`` (further
    pages, planes, channels in files that are used) by ``source.unused``; mixed sizes, modes and
    depths (``bits``, 0 for floats of 0 to 1) say that the images of one domain were not all saved
    alike.

    Returns one row per domain: usable, excluded, unused, groups, width and height (smallest and
    largest), modes, bits.
    """
    usable = source.table().groupby("domain", sort=False)
    rows = usable.agg(
        usable=("id", "size"),
        groups=("group", "nunique"),
        width_min=("width", "min"),
        width_max=("width", "max"),
        height_min=("height", "min"),
        height_max=("height", "max"),
        modes=("mode", lambda modes: ", ".join(sorted(set(modes)))),
        bits=("bits", lambda bits: ", ".join(map(str, sorted(set(bits))))),
    )
    for place, name in enumerate(("excluded", "unused"), 1):
        counts = getattr(source, name)["domain"].value_counts().reindex(rows.index, fill_value=0)
        rows.insert(place, name, counts.astype(int))
    return rows.reset_index()


def published_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Images per folder against the numbers published with the set (ED1, ED3, ED4).

    Read: a ``difference`` other than 0 means that this is not the published set, or that files
    were lost or excluded on the way. Empty for data that are not in the folder layout.

    Returns one row per published folder: domain, folder, found, published, difference.
    """
    placed = _in_folders(table)
    found = placed.groupby(["domain", "folder"]).size()
    rows = [
        (domain, folder, int(found.get((domain, folder), 0)), count)
        for domain in placed["domain"].unique()
        for folder, count in PUBLISHED.get(domain, {}).items()
    ]
    counts = pd.DataFrame(rows, columns=["domain", "folder", "found", "published"])
    return counts.assign(difference=counts["found"] - counts["published"])


def label_rules(table: pd.DataFrame) -> pd.DataFrame:
    """What each of the two label rules makes of the folders.

    Read: the published text and the published lists disagree on folder 2; ``changed`` images
    have another label under the other rule, and no result on them compares without its rule.

    Returns one row per domain and rule: domain, rule, no_blastocyst, blastocyst, changed.
    """
    rows = []
    for domain, images in _in_folders(table).groupby("domain", sort=False):
        labels = {
            rule: images["folder"].map(
                {f: label_of(domain, f, rule) for f in set(images["folder"])}
            )
            for rule in ("folder1", "folders12")
        }
        changed = int((labels["folder1"] != labels["folders12"]).sum())
        for rule, label in labels.items():
            rows.append((domain, rule, int((label == 0).sum()), int(label.sum()), changed))
    return pd.DataFrame(rows, columns=["domain", "rule", "no_blastocyst", "blastocyst", "changed"])


def name_collisions(table: pd.DataFrame) -> pd.DataFrame:
    """File names that several folders of a domain share, and what copying them together costs.

    Read: whoever copies each class into one directory keeps only ``survivors`` images, because
    files of the same name overwrite each other; ``lost`` is why an id here is a path.

    Returns one row per domain: images, repeated_names, survivors, lost.
    """
    placed = table.assign(name=table["id"].str.rsplit("/", n=1).str[-1])
    rows = []
    for domain, images in placed.groupby("domain", sort=False):
        repeated = int((images["name"].value_counts() > 1).sum())
        survivors = len(images.drop_duplicates(["label", "name"]))
        rows.append((domain, len(images), repeated, survivors, len(images) - survivors))
    return pd.DataFrame(rows, columns=["domain", "images", "repeated_names", "survivors", "lost"])


def exact_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Files with the same content.

    Read: ``label_conflict`` is an error in the data; ``across_splits`` (given a split table) lets
    a model be tested on what it has seen; duplicates of one split only weigh double.

    Returns one row per image that has a twin: set (number), id, domain, label, group, split if
    known, and across_domains, across_splits, label_conflict of its set.
    """
    split = ["split"] if "split" in table else []
    twins = table[table["sha256"].duplicated(keep=False)].sort_values(["sha256", "id"])
    sets = twins.groupby("sha256")
    rows = twins[["id", "domain", "label", "group", *split]].copy()
    rows.insert(0, "set", sets.ngroup())
    rows["across_domains"] = sets["domain"].transform("nunique") > 1
    if split:
        rows["across_splits"] = sets["split"].transform("nunique") > 1
    rows["label_conflict"] = sets["label"].transform("nunique") > 1
    return rows.reset_index(drop=True)


def perceptual_hash(stack: torch.Tensor) -> np.ndarray:
    """64 bits per image that survive resizing, JPEG and changes of brightness.

    The signs of the lowest 8 x 8 DCT coefficients of the image at 32 x 32 pixels, against their
    median (Zauner 2010, section 3.2.1). uint8 (N, C, H, W) to bool (N, 64).
    """
    small = _thumbnails(stack)
    low = dctn(small, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(small), 64)
    return low > np.median(low[:, 1:], axis=1, keepdims=True)


def near_duplicates(
    stack: torch.Tensor, table: pd.DataFrame, distance: int = 6, correlation: float = 0.98
) -> pd.DataFrame:
    """Pairs of images that look the same.

    Hashes propose, correlation decides: embryos in the same well share their coarse outline, so
    a pair also needs thumbnails that correlate.

    Read: pairs with ``same_split`` False leak the answer, those with ``same_label`` False show
    where labels contradict each other; pairs within a group are expected.

    Parameters
    ----------
    stack : uint8 (N, C, H, W), the images of ``table`` in its order
    table : image or split table
    distance : bits of 64 in which two hashes may differ
    correlation : least correlation of the two 32 x 32 thumbnails

    Returns
    -------
    DataFrame
        id_a, id_b, distance, correlation, same_domain, same_group, same_label and, given a split
        table, same_split; one row per pair.
    """
    signs = np.where(perceptual_hash(stack), np.float32(1), np.float32(-1))
    small = _thumbnails(stack).reshape(len(stack), -1)
    small = small - small.mean(1, keepdims=True)
    small /= np.linalg.norm(small, axis=1, keepdims=True) + 1e-6
    pairs = []
    for start in range(0, len(signs), _ROWS):
        bits = (64 - signs[start : start + _ROWS] @ signs[start:].T) / 2
        a, b = np.nonzero(np.triu(bits <= distance, k=1))
        alike = np.einsum("ij,ij->i", small[start + a], small[start + b])
        close = alike >= correlation
        pairs += zip(
            start + a[close], start + b[close], bits[a, b][close], alike[close], strict=True
        )
    a, b, bits, alike = np.array(pairs, float).reshape(-1, 4).T
    first, second = table.iloc[a.astype(int)], table.iloc[b.astype(int)]
    found = {"id_a": first["id"].to_numpy(), "id_b": second["id"].to_numpy()}
    found |= {"distance": bits.astype(int), "correlation": alike}
    for name in ("domain", "group", "label", "split"):
        if name in table:
            found[f"same_{name}"] = first[name].to_numpy() == second[name].to_numpy()
    return pd.DataFrame(found)


def group_leaks(split: pd.DataFrame) -> pd.DataFrame:
    """Groups that lie on two sides of a split.

    Read: must be empty; a row says that one patient or embryo is both learnt from and tested on.

    Returns one row per leaking group: group, images, parts ("train/0, holdout/-1").
    """
    part = split["split"] + "/" + split["fold"].astype(str)
    parts = split.assign(part=part).groupby("group")
    rows = parts.agg(
        images=("id", "size"), parts=("part", lambda values: ", ".join(sorted(set(values))))
    )
    return rows[parts["part"].nunique() > 1].reset_index()


def _in_folders(table: pd.DataFrame) -> pd.DataFrame:
    """Rows whose id has the folder layout, with their folder."""
    folder = table["id"].str.extract(_LAYOUT)["folder"]
    return table.assign(folder=folder)[folder.notna()]


def _thumbnails(stack: torch.Tensor) -> np.ndarray:
    """Luma of a stack at 32 x 32 pixels, float32 (N, 32, 32)."""
    parts = []
    for start in range(0, len(stack), _BATCH):
        grey = stack[start : start + _BATCH].float().mean(1, keepdim=True)
        parts.append(F.interpolate(grey, (32, 32), mode="bilinear", antialias=True)[:, 0])
    return torch.cat(parts).numpy()
