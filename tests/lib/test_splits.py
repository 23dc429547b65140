"""Splits: grouped, stratified, repeatable."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from lib.data.splits import join_groups, split_table


def _table(counts, group_size=1) -> pd.DataFrame:
    """Image table with ``counts[domain] = (negative, positive)`` and groups of like images."""
    rows = [
        (f"{domain}/{label}/{n}", domain, label, f"{domain}/{label}/{n // group_size}")
        for domain, pair in counts.items()
        for label, count in enumerate(pair)
        for n in range(count)
    ]
    return pd.DataFrame(rows, columns=["id", "domain", "label", "group"])


def _sides(split: pd.DataFrame) -> pd.Series:
    return split["split"] + split["fold"].astype(str)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    negative=st.integers(40, 120),
    positive=st.integers(40, 120),
    group_size=st.integers(1, 4),
    folds=st.integers(2, 5),
    seed=st.integers(0, 1000),
)
def test_no_group_on_two_sides_and_labels_in_balance(negative, positive, group_size, folds, seed):
    table = _table({"ED4": (negative, positive), "ED1": (50, 30)}, group_size)
    split = split_table(table, folds, 0.2, seed)
    assert list(split["id"]) == list(table["id"])
    assert (_sides(split).groupby(split["group"]).nunique() == 1).all()
    assert set(split.loc[split["split"] == "train", "fold"]) == set(range(folds))
    assert (split.loc[split["split"] == "holdout", "fold"] == -1).all()
    for (domain, label), rows in split.groupby(["domain", "label"]):
        held = (rows["split"] == "holdout").sum()
        assert abs(held - 0.2 * len(rows)) <= group_size, (domain, label)
        sizes = rows[rows["split"] == "train"]["fold"].value_counts()
        assert len(sizes) == folds
        assert sizes.max() - sizes.min() <= 2 * group_size


def test_a_group_of_two_domains_has_one_place():
    table = _table({"ED4": (60, 60), "ED3": (60, 60), "ED1": (30, 30)})
    # Every embryo of ED3, and a third of those of ED1, was also photographed by ED4.
    table["group"] = table["group"].str.replace("ED3", "ED4")
    few = table["id"].str.startswith("ED1/") & table["id"].str.endswith(("1", "4", "7"))
    table.loc[few, "group"] = table.loc[few, "group"].str.replace("ED1", "ED4")
    split = split_table(table, 4, 0.25, 3)
    assert (_sides(split).groupby(split["group"]).nunique() == 1).all()
    held = split[split["split"] == "holdout"].groupby(["domain", "label"]).size()
    assert held[["ED4", "ED3"]].tolist() == [15] * 4
    assert held["ED1"].between(6, 9).all()


def test_same_seed_same_split_other_seed_another():
    table = _table({"ED4": (80, 90)}, 2)
    assert split_table(table, 5, 0.2, 1).equals(split_table(table, 5, 0.2, 1))
    first, second = split_table(table, 5, 0.2, 1), split_table(table, 5, 0.2, 2)
    assert (first["split"] != second["split"]).any()
    assert (first["fold"] != second["fold"]).any()


def test_every_domain_can_hold_out_its_own_share():
    split = split_table(_table({"ED4": (50, 100), "ED1": (40, 60)}), 4, {"ED4": 0.2, "ED1": 0.5}, 0)
    held = split[split["split"] == "holdout"].groupby(["domain", "label"]).size()
    assert held["ED4"].tolist() == [10, 20]
    assert held["ED1"].tolist() == [20, 30]


def test_split_is_drawn_not_cut_along_the_table():
    split = split_table(_table({"ED4": (100, 100)}), 5, 0.2, 0)
    held = np.flatnonzero(split["split"] == "holdout")
    assert np.diff(held).max() > 1
    assert held[held < 100].std() > 15


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"ED4": (50, 50), "ED1": (0, 50)}, "ED1: all 50 images have label 1"),
        ({"ED4": (50, 50), "ED1": (4, 50)}, "ED1: 4 images in 4 groups have label 0"),
    ],
)
def test_what_cannot_be_divided_is_named(counts, message):
    with pytest.raises(InputError, match=message):
        split_table(_table(counts), 5, 0.2, 0)


def test_few_large_groups_are_refused():
    with pytest.raises(InputError, match="fewer than 5 folds"):
        split_table(_table({"ED4": (60, 60)}, group_size=20), 5, 0.2, 0)
    table = _table({"ED4": (60, 60)}).assign(group="one patient")
    with pytest.raises(InputError, match="1 groups"):
        split_table(table, 5, 0.2, 0)


def test_duplicate_ids_are_refused():
    table = _table({"ED4": (20, 20)})
    with pytest.raises(InputError, match="duplicate ids, first 'ED4/0/0'"):
        split_table(pd.concat([table, table.head(1)]), 3, 0.2, 0)


def test_copies_join_their_groups_transitively():
    table = _table({"ED4": (6, 2)}, group_size=2)
    pairs = pd.DataFrame({"id_a": ["ED4/0/1", "ED4/0/3"], "id_b": ["ED4/0/2", "ED4/1/0"]})
    groups = join_groups(table, pairs).set_index("id")["group"]
    together = ["ED4/0/0", "ED4/0/1", "ED4/0/2", "ED4/0/3", "ED4/1/0", "ED4/1/1"]
    assert (groups[together] == "ED4/0/0").all()
    assert (groups[["ED4/0/4", "ED4/0/5"]] == "ED4/0/2").all()
    untouched = join_groups(table, pairs.head(0))
    assert untouched.equals(table)
