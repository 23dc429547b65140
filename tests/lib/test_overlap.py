"""Agreement of masks and cells, the arms that need no network, and how arms are compared."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from scipy import ndimage
from sklearn.metrics import f1_score, jaccard_score
from torchmetrics.functional.segmentation import dice_score

from lib.evaluation.cell_arms import (
    UNTOUCHED,
    UPPER,
    compare_arms,
    compare_with,
    gap_closed,
    gradient_mask,
    otsu_mask,
)
from lib.evaluation.overlap import (
    SMALLEST,
    average_precision,
    dice,
    field_scores,
    iou,
    matched,
    split_instances,
    whole_cells,
)


def disc(y, x, radius, side=48):
    rows, columns = np.ogrid[:side, :side]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def random_masks(seed):
    rng = np.random.default_rng(seed)
    return rng.random((9, 11)) < rng.uniform(0.1, 0.9), rng.random((9, 11)) < 0.4


# --- masks ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:dice_score metric")
@pytest.mark.parametrize("seed", range(5))
def test_dice_and_iou_against_other_packages(seed):
    found, truth = random_masks(seed)
    assert dice(found, truth) == pytest.approx(f1_score(truth.ravel(), found.ravel()))
    both = (torch.from_numpy(mask)[None, None].long() for mask in (found, truth))
    theirs = dice_score(*both, num_classes=1, average="micro", input_format="one-hot")
    assert dice(found, truth) == pytest.approx(theirs.item())
    assert iou(found, truth) == pytest.approx(jaccard_score(truth.ravel(), found.ravel()))


def test_nothing_found_where_nothing_is_is_right():
    nothing, something = np.zeros((8, 8), bool), np.eye(8, dtype=bool)
    none, one = np.zeros((8, 8), int), np.eye(8, dtype=int)
    for measure, empty, full in ((dice, nothing, something), (iou, nothing, something),
                                 (average_precision, none, one)):  # fmt: skip
        assert measure(empty, empty) == 1
        assert measure(empty, full) == measure(full, empty) == 0
        assert measure(full, full) == 1


# --- cells ----------------------------------------------------------------------------------


def most_matches(found, truth):
    """By trying every order of the found cells."""
    ours, theirs = range(1, found.max() + 1), list(range(1, truth.max() + 1))
    theirs += [0] * max(0, len(ours) - len(theirs))

    def same(a, b):
        one, other = found == a, truth == b
        return b > 0 and (one & other).sum() >= 0.5 * (one | other).sum()

    return max(sum(map(same, ours, order)) for order in permutations(theirs, len(ours)))


@pytest.mark.parametrize("seed", range(12))
def test_matched_cells_are_as_many_as_any_order_gives(seed):
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 5, (3, 3)), np.ones((4, 4), int))
    found = truth.copy()
    torn = rng.random(truth.shape) < rng.uniform(0, 0.6)
    found[torn] = rng.integers(0, 5, torn.sum())
    found, truth = (np.unique(np.append(m, 0), return_inverse=True)[1][:-1].reshape(12, 12)
                    for m in (found, truth))  # fmt: skip
    hits = matched(found, truth)
    assert hits == most_matches(found, truth) == matched(truth, found)
    missed, invented = truth.max() - hits, found.max() - hits
    assert average_precision(found, truth) == pytest.approx(hits / (hits + missed + invented))


def test_a_cell_is_matched_from_half_of_the_union_on_and_once():
    truth = np.zeros((6, 12), int)
    truth[:, :6] = 1
    half, less = np.zeros_like(truth), np.zeros_like(truth)
    half[:, :3], less[:, :3] = 1, 1
    less[0, 2] = 0
    assert (matched(half, truth), matched(less, truth)) == (1, 0)
    both = half.copy()
    both[:, 3:6] = 2  # two halves of one cell
    assert matched(both, truth) == 1
    assert average_precision(both, truth) == 0.5


def test_discs_that_touch_are_two_cells_and_lone_ones_are_one():
    pair = disc(24, 15, 8) | disc(24, 29, 8)
    cut = split_instances(pair)
    assert cut.max() == 2
    assert cut[24, 15] != cut[24, 29]
    assert np.array_equal(cut > 0, pair)
    assert {cut[24, :20].max(), cut[24, 25:].max()} == {cut[24, 15], cut[24, 29]}
    assert split_instances(disc(20, 20, 10)).max() == 1
    assert split_instances(disc(9, 9, 6) | disc(36, 36, 6)).max() == 2
    assert split_instances(np.zeros((48, 48), bool)).max() == 0


def test_every_area_of_a_mask_is_cut_into_cells_and_none_is_lost_at_the_edge():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = ndimage.gaussian_filter(rng.normal(size=(64, 64)), 3) > 0.04
        areas = ndimage.label(mask)[0]
        cut = split_instances(mask)
        for area in range(1, areas.max() + 1):
            own = np.unique(cut[areas == area])
            if (areas == area).sum() >= 4 * SMALLEST:
                assert own.max() > 0
            assert not set(own) - {0} & set(np.unique(cut[areas != area]))
    sliver = disc(24, 24, 8)
    sliver[:3, 10:20] = True
    assert split_instances(sliver).max() == 2


def test_slivers_are_left_out_of_the_count_of_both_and_gaps_are_closed():
    cells = np.zeros((20, 20), int)
    cells[0, :SMALLEST] = 3
    cells[2, : SMALLEST - 1] = 5
    cells[8:12, 8:12] = 9
    whole = whole_cells(cells)
    assert np.unique(whole).tolist() == [0, 1, 2]
    assert np.array_equal(whole == 1, cells == 3)
    assert np.array_equal(whole == 2, cells == 9)
    assert not whole_cells(np.zeros((5, 5), int)).any()
    speck = disc(24, 24, 8)
    speck[40, 30:34] = True
    assert split_instances(speck).max() == 1
    assert whole_cells(np.full((4, 4), 7)).max() == 1  # no background at all


def test_scores_of_a_field_are_those_of_its_mask_and_of_its_cells():
    drawn = np.zeros((48, 48), np.int32)
    drawn[disc(12, 12, 7)], drawn[disc(36, 36, 7)] = 4, 8
    drawn[0, 40:44] = 2  # a sliver: no cell, but drawn
    found = disc(12, 12, 7)
    rows = pd.DataFrame(
        dict(id=["gel/1", "gel/2"], domain="gel", label="b", group="f", split="x"), index=[7, 3]
    )
    stack = torch.from_numpy(np.stack([found, drawn > 0]))[:, None]
    maps = torch.from_numpy(np.stack([drawn, drawn]))[:, None]
    first, second = field_scores(stack, maps, rows).to_dict("records")
    assert (first["id"], second["id"]) == ("gel/1", "gel/2")
    assert (first["cells"], first["found"], first["count_error"]) == (2, 1, 1)
    assert first["average_precision"] == 0.5
    assert first["dice"] == dice(found, drawn > 0) < 1
    assert first["iou"] == iou(found, drawn > 0)
    assert [second[name] for name in ("dice", "iou", "average_precision", "count_error")] == [
        1, 1, 1, 0,
    ]  # fmt: skip


# --- arms without a network -----------------------------------------------------------------


@pytest.mark.parametrize("grey", [60, 220])
def test_otsu_finds_cells_that_are_darker_or_brighter(grey):
    cells = disc(20, 20, 8)
    image = np.where(cells, grey, 140) + np.random.default_rng(0).integers(-9, 10, cells.shape)
    assert dice(otsu_mask(image.astype(np.uint8)), cells) > 0.97
    assert not otsu_mask(np.full((32, 32), 9, np.uint8)).any()


def test_gradients_find_rough_cells_of_the_mean_grey_and_nothing_on_a_blank():
    rng = np.random.default_rng(0)
    cells = disc(24, 24, 12)
    rough = 140 + 60 * np.sign(np.indices(cells.shape).sum(0) % 6 - 2.5)
    image = np.where(cells, rough, 140) + rng.normal(0, 2, cells.shape)
    found = gradient_mask(image.clip(0, 255).astype(np.uint8))
    assert dice(found, cells) > 0.85
    assert not gradient_mask(np.full((32, 32), 9, np.uint8)).any()


# --- comparisons ----------------------------------------------------------------------------


def scored(values, seeds=(0, 1), tiles=4, shuffled=True):
    """Prediction table: arm to mean Dice; 8 frames of some tiles, frames differ more than tiles."""
    rng = np.random.default_rng(3)
    frames = rng.normal(0, 0.08, 8)
    rows = [
        dict(id=f"f{f}#{t}", group=f"f{f}", seed=seed, arm=arm, domain="gel", label="b",
             dice=mean + frames[f] + 0.02 * rng.normal())
        for arm, mean in values.items()
        for seed in seeds
        for f in range(8)
        for t in range(tiles)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    for name in ("iou", "average_precision", "count_error"):
        table[name] = table["dice"] / 2
    return table.sample(frac=1, random_state=0) if shuffled else table


def test_differences_are_paired_by_field_and_seed():
    scores = scored({UNTOUCHED: 0.4, "otsu": 0.5, "half": 0.41})
    scores["dice"] += 0.3 * scores["seed"]  # a good and a bad training of all
    found = compare_with(scores, UNTOUCHED).set_index("arm")
    assert set(found.index) == {"otsu", "half"}
    plain = {
        key: part.set_index(["seed", "id"])["dice"].sort_index()
        for key, part in scores.groupby("arm")
    }
    for arm in found.index:
        expected = (plain[arm] - plain[UNTOUCHED]).mean()
        assert found.loc[arm, "difference"] == pytest.approx(expected)
        assert found.loc[arm, "low"] < expected < found.loc[arm, "high"]
    # Frames differ by 0.08 and trainings by 0.3: only pairs of both tell such a difference.
    assert found.loc["otsu", "high"] - found.loc["otsu", "low"] < 0.06
    assert (found["groups"] == 8).all()
    assert (found["n"] == 32).all()
    assert (found["seeds"] == 2).all()


def test_p_values_are_corrected_for_their_number():
    scores = scored({UNTOUCHED: 0.4, "otsu": 0.41, "half": 0.405, "fda": 0.4}, seeds=[0])
    found = compare_with(scores, UNTOUCHED).sort_values("p")
    factors = np.arange(len(found), 0, -1)
    holm = np.minimum(np.maximum.accumulate(found["p"].to_numpy() * factors), 1)
    np.testing.assert_allclose(found["p_holm"], holm)
    assert (found["p_holm"] > found["p"]).any()


def test_tiles_of_a_frame_are_one_group():
    """A hundred copies of every tile tell nothing new."""
    scores = scored({UNTOUCHED: 0.4}, seeds=[0], tiles=1)
    copies = pd.concat([scores.assign(id=scores["id"] + f"/{k}") for k in range(100)])
    few, many = (compare_arms(table, ["dice"]).iloc[0] for table in (scores, copies))
    assert (few["groups"], many["groups"], many["n"]) == (8, 8, 800)
    assert many["low"] == pytest.approx(few["low"])
    assert many["high"] == pytest.approx(few["high"])
    values = scores.sort_values("group")["dice"]
    error = values.std(ddof=0) / np.sqrt(len(values))  # of a bootstrap over groups
    half = scipy.stats.norm.ppf(0.975) * error
    assert few["value"] == pytest.approx(values.mean())
    assert few["high"] - few["value"] == pytest.approx(half, rel=0.1)


def test_trainings_add_their_own_variance():
    scores = scored({UNTOUCHED: 0.4})
    apart = scores.assign(dice=scores["dice"] + 0.2 * scores["seed"])
    same, wide = (compare_arms(table, ["dice"]).iloc[0] for table in (scores, apart))
    assert wide["high"] - wide["low"] > 4 * (same["high"] - same["low"])


def test_share_of_the_gap_against_plain_arithmetic():
    scores = scored({UNTOUCHED: 0.3, "cyclegan": 0.45, UPPER: 0.7})
    found = gap_closed(scores, "cyclegan")
    low, reached, high = (
        scores.loc[scores["arm"] == arm, "dice"].mean() for arm in (UNTOUCHED, "cyclegan", UPPER)
    )
    assert found["value"] == pytest.approx((reached - low) / (high - low))
    assert found["low"] < found["value"] < found["high"]
    assert (found["n"], found["groups"], found["seeds"]) == (32, 8, 2)
    assert gap_closed(scores, UNTOUCHED)["value"] == 0
    assert gap_closed(scores, UPPER)["value"] == pytest.approx(1)
    means = scores.groupby(["group", "arm"])["dice"].mean().unstack()
    rng = np.random.default_rng(1)
    draws = [
        (lambda m: (m["cyclegan"] - m[UNTOUCHED]) / (m[UPPER] - m[UNTOUCHED]))(
            means.sample(8, replace=True, random_state=int(rng.integers(1 << 30))).mean()
        )
        for _ in range(300)
    ]
    np.testing.assert_allclose(
        [found["low"], found["high"]], np.quantile(draws, [0.025, 0.975]), atol=0.015
    )


def test_limits_of_a_share_end_where_it_does_and_those_of_a_count_do_not():
    rows = [
        dict(id=f"{frame}", group=f"{frame}", seed=0, arm="unet", dice=value, count_error=9 * value)
        for frame, value in enumerate((0.02, 0.0, 0.05, 0.9))
    ]
    table = compare_arms(pd.DataFrame(rows), ["dice", "count_error"]).set_index("metric")
    assert table.loc["dice", "low"] == 0
    assert table.loc["count_error", "low"] < 0
    assert table.loc["dice", "value"] == pytest.approx(0.2425)
