"""Arms of stain translation: pooled measures, differences, and the gap that an arm closes."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.evaluation.nuclei import nuclei_scores, pooled
from lib.evaluation.seeds import mean_over_seeds, ratio_over_seeds
from lib.evaluation.stain_arms import (
    GROUPS,
    ORACLE,
    UNTOUCHED,
    UPPER,
    best_of,
    compare_arms,
    compare_with,
    gap_closed,
    gaps_closed,
    group_of,
    worth_a_look,
)
from lib.evaluation.stain_controls import CONTROLS

ARMS = {UNTOUCHED: 0.3, "macenko": 0.5, "cyclegan": 0.75, "stained": 0.6, ORACLE: 0.9, UPPER: 0.95}


def nuclei_maps(rng, fields, share):
    """Fields of four nuclei, of which a detector finds each with chance ``share``."""
    truth = np.zeros((fields, 1, 32, 32), np.int32)
    for number, (y, x) in enumerate([(2, 2), (2, 20), (20, 2), (20, 20)], 1):
        truth[:, 0, y : y + 8, x : x + 8] = number
    found = truth.copy()
    for own in found[:, 0]:
        own[np.isin(own, np.flatnonzero(rng.random(5) > share))] = 0
    return torch.from_numpy(found), torch.from_numpy(truth)


@pytest.fixture(scope="module")
def scores():
    rng, fields = np.random.default_rng(0), 48
    rows = pd.DataFrame(dict(
        id=[f"f{n}" for n in range(fields)], domain="ki67", label="benign",
        group=[f"s{n // 4}" for n in range(fields)],
    ))  # fmt: skip
    parts = []
    for seed in range(2):
        for arm, share in ARMS.items():
            found, truth = nuclei_maps(rng, fields, share)
            parts.append(nuclei_scores(found, truth, rows, 0.75).assign(arm=arm, seed=seed))
    return pd.concat(parts, ignore_index=True)


def test_every_arm_has_a_group_and_controls_are_those_of_the_table():
    assert {group_of(arm) for arm in [*ARMS, "cut", "ensemble"]} == set(GROUPS)
    assert all(group_of(arm) == "colour controls" for arm in CONTROLS)


def test_table_1_pools_nuclei_and_averages_trainings(scores):
    table = compare_arms(scores, ["f1", "pq"])
    for arm, own in scores.groupby("arm"):
        expected = np.mean([pooled(one, "f1") for _, one in own.groupby("seed")])
        row = table[(table["arm"] == arm) & (table["metric"] == "f1")].iloc[0]
        assert row["value"] == pytest.approx(expected)
        assert row["low"] < expected < row["high"] <= 1
        assert row["seeds"] == 2
        assert row["groups"] == 12
        assert row["n"] == 48


def test_a_field_without_nuclei_changes_no_pooled_measure(scores):
    empty = scores[scores["id"] == "f0"].assign(id="empty")
    sums = ["nuclei", "found", "matched", "overlap", "shared", "joined", "common", "marked"]
    empty[sums] = 0
    both = pd.concat([scores, empty], ignore_index=True)
    before, after = (compare_arms(one, ["f1"])["value"] for one in (scores, both))
    assert np.allclose(before, after)


def test_a_ratio_with_ones_below_is_the_mean(scores):
    values = scores[scores["arm"] == "cyclegan"].assign(value=lambda t: t["dice"])
    values = values[["id", "group", "seed", "value"]]
    ratio = ratio_over_seeds(values.assign(top=values["value"], bottom=1.0))
    mean = mean_over_seeds(values)
    assert ratio["value"] == pytest.approx(values["value"].mean())
    assert all(ratio[name] == pytest.approx(mean[name]) for name in ("low", "high", "p"))


def test_an_interval_of_a_ratio_holds_as_often_as_it_says():
    """Slides of unequal size whose nuclei are found with chance 0.7: the interval of the share."""
    rng, held, rounds = np.random.default_rng(1), 0, 200
    for _ in range(rounds):
        size = rng.integers(1, 30, 40)
        values = pd.DataFrame(dict(
            id=np.arange(40).astype(str), group=np.arange(40).astype(str), seed=0,
            top=rng.binomial(size, 0.7), bottom=size,
        ))  # fmt: skip
        found = ratio_over_seeds(values, resamples=400)
        held += found["low"] <= 0.7 <= found["high"]
    assert 0.9 <= held / rounds <= 0.99


def test_differences_are_of_pooled_measures_and_paired(scores):
    table = compare_arms(scores, ["f1"]).set_index("arm")["value"]
    found = compare_with(scores, UNTOUCHED).set_index("arm")
    assert set(found.index) == set(ARMS) - {UNTOUCHED}
    for arm, row in found.iterrows():
        assert row["difference"] == pytest.approx(table[arm] - table[UNTOUCHED])
        assert row["low"] > 0
        assert row["p_holm"] >= row["p"]
    same = scores[scores["arm"] == "cyclegan"]
    twin = pd.concat([same, same.assign(arm="twin")])
    row = compare_with(twin, "cyclegan").iloc[0]
    assert row["difference"] == row["low"] == row["high"] == 0


def test_the_gap_is_measured_from_untouched_to_the_bound(scores):
    table = compare_arms(scores, ["f1"]).set_index("arm")["value"]
    share = gap_closed(scores, "cyclegan", ORACLE)
    way = table[ORACLE] - table[UNTOUCHED]
    assert share["value"] == pytest.approx((table["cyclegan"] - table[UNTOUCHED]) / way)
    assert share["low"] < share["value"] < share["high"]
    assert gap_closed(scores, ORACLE, ORACLE)["value"] == pytest.approx(1)
    assert set(gaps_closed(scores)["arm"]) == {"macenko", "cyclegan", "stained"}


def test_without_an_oracle_the_gap_is_to_the_detector_of_the_target(scores):
    real = scores[scores["arm"] != ORACLE]
    share = gap_closed(real, "cyclegan", UPPER)["value"]
    assert gaps_closed(real).set_index("arm").loc["cyclegan", "value"] == pytest.approx(share)
    assert gaps_closed(real[real["arm"] != UPPER]).empty


def test_the_best_of_each_kind_is_looked_at(scores):
    table = compare_arms(scores, ["f1"])
    assert best_of(table, "translators") == "cyclegan"
    assert worth_a_look(table) == [UNTOUCHED, "macenko", "stained", "cyclegan", UPPER]
