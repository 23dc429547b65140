"""Which image trains, validates and tests; no group on two sides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from engine.errors import InputError


def split_table(
    table: pd.DataFrame, folds: int, holdout_share: float | Mapping[str, float], seed: int
) -> pd.DataFrame:
    """Divide an image table into folds and a hold-out, grouped and stratified.

    All domains are divided at once, stratified by domain and label, so that every part keeps the
    balance of labels of every domain while a group that occurs in several domains has one place.
    Splits image by image leak: two frames of one embryo are nearly the same image.

    Parameters
    ----------
    table : image table
    folds : number of folds
    holdout_share : share of the images of every domain and label that is held out, in (0, 1);
        or domain to its share
    seed : decides the division

    Returns
    -------
    DataFrame
        The rows of ``table`` with ``split`` ("train" or "holdout") and ``fold`` (0 to folds - 1
        where the image validates, -1 in the hold-out).

    Raises
    ------
    InputError
        Duplicate ids; a domain with one class, or with too few images or groups for the folds.
    """
    repeated = table.loc[table["id"].duplicated(), "id"]
    if len(repeated):
        raise InputError(f"{len(repeated)} duplicate ids, first '{repeated.iloc[0]}'. Remove them.")
    _check_classes(table)
    rng = np.random.default_rng(seed)
    strata = table["domain"] + "/" + table["label"].astype(str)
    if not isinstance(holdout_share, Mapping):
        holdout_share = dict.fromkeys(table["domain"], holdout_share)
    shares = table["domain"].map(holdout_share).groupby(strata).first()
    holdout = _held_out(strata, table["group"], shares, rng)
    _check_groups(table, holdout, folds)

    train = np.flatnonzero(~holdout)
    fold = np.full(len(table), -1)
    divide = StratifiedGroupKFold(folds, shuffle=True, random_state=int(rng.integers(2**31)))
    parts = divide.split(train, strata.iloc[train], table["group"].iloc[train])
    for number, (_, validation) in enumerate(parts):
        fold[train[validation]] = number
    return table.assign(split=np.where(holdout, "holdout", "train"), fold=fold)


def join_groups(table: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Put images that are copies of each other, and all that hang on them, into one group.

    Published sets hold the same object twice under two names; divided by chance, the second copy
    tests what the first one taught.

    Parameters
    ----------
    table : image table
    pairs : columns id_a, id_b, as `lib.data.audit.near_duplicates` returns them

    Returns
    -------
    DataFrame
        ``table`` with joined groups, each named after the first of them in the table.
    """
    codes, names = pd.factorize(table["group"])
    number = pd.Series(codes, index=table["id"])
    ends = (number.loc[pairs["id_a"]].to_numpy(), number.loc[pairs["id_b"]].to_numpy())
    graph = coo_array((np.ones(len(pairs)), ends), shape=(len(names), len(names)))
    _, component = connected_components(graph, directed=False)
    first = pd.Series(names).groupby(component).first()
    return table.assign(group=first.loc[component[codes]].to_numpy())


def _held_out(
    strata: pd.Series, groups: pd.Series, shares: pd.Series, rng: np.random.Generator
) -> np.ndarray:
    """Boolean (N,): images of groups drawn until every stratum has its share, one at the least."""
    counts = pd.crosstab(groups, strata)
    counts = counts.iloc[rng.permutation(len(counts))]
    wanted = np.maximum((shares[counts.columns] * counts.sum()).to_numpy(), 1)
    missing = wanted.copy()
    taken = set()
    for group, count in zip(counts.index, counts.to_numpy(), strict=True):
        if np.abs(missing - count).sum() < np.abs(missing).sum():
            taken.add(group)
            missing = missing - count
    return groups.isin(taken).to_numpy()


def _check_classes(table: pd.DataFrame) -> None:
    for domain, labels in table.groupby("domain", sort=False)["label"]:
        if labels.nunique() < 2:
            raise InputError(
                f"{domain}: all {len(labels)} images have label {labels.iloc[0]}, two classes are "
                "needed. Check the folders or labels.csv, and label_rule."
            )


def _check_groups(table: pd.DataFrame, holdout: np.ndarray, folds: int) -> None:
    train = table[~holdout]
    for (domain, label), rows in table.groupby(["domain", "label"], sort=False):
        kept = train[(train["domain"] == domain) & (train["label"] == label)]["group"].nunique()
        if kept < folds:
            raise InputError(
                f"{domain}: {len(rows)} images in {rows['group'].nunique()} groups have label "
                f"{label}; {kept} groups remain beside the hold-out, fewer than {folds} folds. "
                "Add images, or lower folds or the held-out share."
            )
        if kept == rows["group"].nunique():
            raise InputError(
                f"{domain}: no image with label {label} could be held out; its groups are too "
                "large. Add groups or raise the held-out share."
            )
