"""Agreement of found and drawn nuclei, field by field and over all."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.evaluation.nuclei import METRICS, RATIOS, nuclei_scores, pooled, ratio
from lib.evaluation.overlap import dice
from lib.models.nuclei_maps import matched_centroids, whole_nuclei

UM_PER_PX = 0.75


def scored(found, truth, um_per_px=UM_PER_PX):
    """Scores of maps (N, H, W), as the function gives them."""
    count = len(found)
    rows = pd.DataFrame(
        dict(id=[f"he/{i}" for i in range(count)], domain="he", label="benign", group="s1",
             split="holdout"), index=range(7, 7 + count),
    )  # fmt: skip
    maps = (torch.from_numpy(np.asarray(part, np.int32))[:, None] for part in (found, truth))
    return nuclei_scores(*maps, rows, um_per_px)


def bricks(*places, side=24):
    """A map of rectangles: top, left, height, width; the later one lies above."""
    drawn = np.zeros((side, side), int)
    for number, (top, left, height, width) in enumerate(places, 1):
        drawn[top : top + height, left : left + width] = number
    return drawn


def torn(seed):
    """Drawn nuclei, and the same as a bad network finds them."""
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 7, (4, 4)), np.ones((6, 6), int))
    found = np.roll(truth, rng.integers(0, 3, 2), (0, 1))
    holes = rng.random(truth.shape) < rng.uniform(0, 0.5)
    found[holes] = rng.integers(0, 9, holes.sum())
    return whole_nuclei(found, UM_PER_PX), whole_nuclei(truth, UM_PER_PX)


def plain_panoptic(found, truth):
    """Kirillov et al. 2019, equation 1, of sets of pixels."""
    ours, theirs = (
        [set(np.flatnonzero(m == n)) for n in range(1, m.max() + 1)] for m in (found, truth)
    )
    shares = [len(a & b) / len(a | b) for a in ours for b in theirs]
    true = [share for share in shares if share > 0.5]
    wrong, missed = len(ours) - len(true), len(theirs) - len(true)
    return sum(true) / (len(true) + wrong / 2 + missed / 2)


def plain_aggregated(found, truth):
    """Kumar et al. 2017, algorithm 1, of sets of pixels."""
    ours, theirs = (
        [set(np.flatnonzero(m == n)) for n in range(1, m.max() + 1)] for m in (found, truth)
    )
    shared, joined, used = 0, 0, set()
    for nucleus in theirs:
        shares = [len(nucleus & other) / len(nucleus | other) for other in ours]
        if not any(shares):
            joined += len(nucleus)
            continue
        best = int(np.argmax(shares))
        shared += len(nucleus & ours[best])
        joined += len(nucleus | ours[best])
        used.add(best)
    joined += sum(len(other) for place, other in enumerate(ours) if place not in used)
    return shared / joined


@pytest.mark.parametrize("seed", range(12))
def test_scores_against_plain_versions(seed):
    found, truth = torn(seed)
    (row,) = scored([found], [truth]).to_dict("records")
    assert row["pq"] == pytest.approx(plain_panoptic(found, truth))
    assert row["aji"] == pytest.approx(plain_aggregated(found, truth))
    assert row["dice"] == pytest.approx(dice(found > 0, truth > 0))
    hits = matched_centroids(found, truth, UM_PER_PX)
    missed, invented = truth.max() - hits, found.max() - hits
    assert row["f1"] == pytest.approx(hits / (hits + missed / 2 + invented / 2))
    assert row["precision"] == pytest.approx(hits / found.max())
    assert row["recall"] == pytest.approx(hits / truth.max())
    assert row["count_error"] == abs(int(found.max()) - int(truth.max()))
    assert (row["found"], row["nuclei"], row["matched"]) == (found.max(), truth.max(), hits)


def test_scores_by_hand():
    """Of two nuclei of 36 px one is found 3 px too short, the other missed, a third invented."""
    truth = bricks((0, 0, 6, 6), (10, 0, 6, 6))
    found = bricks((0, 0, 6, 3), (0, 3, 6, 0), (0, 12, 6, 6))
    found[0, 3:6] = 1  # 21 px of 36
    found[found == 3] = 2
    (row,) = scored([found], [truth]).to_dict("records")
    assert row["pq"] == pytest.approx(21 / 36 / (1 + 1 / 2 + 1 / 2))
    assert row["aji"] == pytest.approx(21 / (36 + 36 + 36))
    assert row["dice"] == pytest.approx(2 * 21 / (57 + 72))
    assert (row["f1"], row["precision"], row["recall"]) == (0.5, 0.5, 0.5)
    assert row["count_error"] == 0


def test_half_of_the_union_is_too_little():
    truth = bricks((0, 0, 6, 8))
    half, more = bricks((0, 0, 6, 4)), bricks((0, 0, 6, 4))
    more[0, 4] = 1
    assert scored([half], [truth])["pq"].item() == 0
    assert scored([more], [truth])["pq"].item() == pytest.approx(25 / 48)


def test_one_found_nucleus_may_be_the_partner_of_several_drawn_ones():
    """Two that were merged: each is joined with all of the found one (Kumar et al. 2017)."""
    truth, merged = bricks((0, 0, 6, 4), (0, 4, 6, 4)), bricks((0, 0, 6, 8))
    row = scored([merged], [truth]).iloc[0]
    assert row["aji"] == pytest.approx((24 + 24) / (48 + 48))
    assert row["dice"] == 1
    assert (row["matched"], row["count_error"]) == (1, 1)


def test_what_is_found_as_it_was_drawn_scores_one_whatever_its_numbers():
    truth = bricks((0, 0, 6, 6), (0, 6, 6, 6), (12, 2, 5, 9))
    other = np.array([0, 9, 4, 2])[truth]
    row = scored([other], [truth]).iloc[0]
    assert (row[list(RATIOS)] == 1).all()
    assert row["count_error"] == 0


def test_a_field_without_nuclei_has_no_score_and_lifts_none():
    nothing, one = bricks(), bricks((0, 0, 6, 6))
    half = bricks((0, 0, 6, 6), (12, 12, 6, 6))
    table = scored([nothing, nothing, one, one], [nothing, one, nothing, half])
    blank, missed, invented, last = (row for _, row in table.iterrows())
    assert blank[list(RATIOS)].isna().all()
    assert blank["count_error"] == 0
    assert (missed["f1"], missed["recall"], missed["pq"], missed["aji"]) == (0, 0, 0, 0)
    assert np.isnan(missed["precision"])
    assert (invented["f1"], invented["precision"], invented["dice"]) == (0, 0, 0)
    assert np.isnan(invented["recall"])
    assert last["f1"] == pytest.approx(2 / 3)
    many = pd.concat([table.iloc[[3]], *[table.iloc[[0]]] * 20])
    for metric in RATIOS:
        assert pooled(many, metric) == pooled(table.iloc[[3]], metric) == last[metric]
        assert np.isnan(pooled(table.iloc[[0]], metric))


def test_pooled_scores_count_every_nucleus_alike():
    maps = [torn(seed) for seed in range(8)]
    found, truth = zip(*maps, strict=True)
    table = scored(found, truth)
    hits = sum(matched_centroids(*pair, UM_PER_PX) for pair in maps)
    every = sum(int(own.max()) for pair in maps for own in pair)
    assert pooled(table) == pytest.approx(2 * hits / every)
    assert pooled(table) != pytest.approx(table["f1"].mean(), abs=1e-4)
    # All fields side by side are one large field; none touches its neighbour's nuclei.
    wide = [np.zeros((24, 8 * 32), int), np.zeros((24, 8 * 32), int)]
    for place, pair in enumerate(maps):
        for whole, own in zip(wide, pair, strict=True):
            part = whole[:, 32 * place : 32 * place + 24]
            part[own > 0] = own[own > 0] + whole.max()
    (row,) = scored(*([whole] for whole in wide)).to_dict("records")
    for metric in ("pq", "aji", "dice"):
        assert pooled(table, metric) == pytest.approx(row[metric])
        top, bottom = ratio(table, metric)
        assert pooled(table, metric) == pytest.approx(top.sum() / bottom.sum())


def test_slivers_are_no_nuclei_found_or_drawn():
    truth, found = bricks((0, 0, 6, 6), (20, 0, 1, 8)), bricks((0, 0, 6, 6), (0, 20, 8, 1))
    row = scored([found], [truth]).iloc[0]
    assert (row["nuclei"], row["found"], row["f1"], row["dice"]) == (1, 1, 1, 1)
    coarse = scored([found], [truth], um_per_px=1.0).iloc[0]  # 8 um2
    assert (coarse["nuclei"], coarse["found"], coarse["f1"]) == (2, 2, 0.5)


def test_rows_keep_their_order_and_their_keys():
    truth = [bricks((0, 0, 6, 6)), bricks(), bricks((0, 0, 6, 6), (12, 0, 6, 6))]
    table = scored(truth, truth)
    assert table.columns[:4].tolist() == ["id", "domain", "label", "group"]
    assert table["id"].tolist() == ["he/0", "he/1", "he/2"]
    assert table["nuclei"].tolist() == [1, 0, 2]
    assert set(METRICS) <= set(table)
