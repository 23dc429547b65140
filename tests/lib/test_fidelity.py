"""Fidelity: SSIM inside a mask against other versions, structures whose fate is known, verdicts."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import piq
import pytest
import torch
from scipy.stats import beta
from skimage.metrics import structural_similarity

from lib.data.framing import crop
from lib.evaluation import fidelity, relevance
from lib.evaluation.seeds import mean_over_seeds
from lib.figures.safety import fidelity_dots
from lib.figures.style import arm_name
from lib.figures.verdicts import difference_verdict, judge_words


def pictures(count=3, side=40):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (count, 1, side, side)).astype(np.uint8)
    other = np.clip(truth + rng.normal(0, 40, truth.shape), 0, 255).astype(np.uint8)
    return torch.from_numpy(truth), torch.from_numpy(other)


def test_ssim_map_is_that_of_two_other_libraries():
    truth, other = pictures()
    found = fidelity.ssim_map(truth, other)
    assert found.shape == (3, 1, 30, 30)
    means = piq.ssim(truth / 255, other / 255, data_range=1.0, reduction="none", downsample=False)
    assert torch.allclose(found.mean((1, 2, 3)), means.double(), atol=1e-5)
    for a, b, own in zip(truth[:, 0].numpy(), other[:, 0].numpy(), found[:, 0], strict=True):
        _, plain = structural_similarity(
            a, b, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            data_range=255,
        )  # fmt: skip
        assert np.allclose(own.numpy(), plain[5:-5, 5:-5], atol=1e-6)


def test_what_lies_outside_the_mask_counts_for_nothing():
    truth, other = pictures()
    inside = torch.zeros(truth.shape, dtype=torch.bool)
    inside[..., 14:26, 14:26] = True
    near = torch.zeros_like(inside)
    near[..., 9:31, 9:31] = True  # as far as the windows reach
    same_there = torch.where(near, truth, other)
    found = fidelity.likeness(truth, same_there, inside)
    assert np.allclose(found["inside_ssim"], 1.0)
    assert (found["inside_error"] == 0).all()
    plain = (truth.double() - other.double()).abs()[..., 14:26, 14:26].mean((1, 2, 3))
    assert np.allclose(fidelity.likeness(truth, other, inside)["inside_error"], plain)
    assert fidelity.likeness(truth, other, inside & False).isna().all(axis=None)


def discs(*places, side=40, radius=6):
    y, x = np.mgrid[:side, :side]
    masks = [(x - at[0]) ** 2 + (y - at[1]) ** 2 < radius**2 if at else 0 * x > 0 for at in places]
    return torch.from_numpy(np.stack(masks))


def test_structures_are_kept_moved_erased_or_invented():
    truth = discs((20, 20), (20, 20), (20, 20), None, None)
    read = discs((20, 20), (23, 24), None, (10, 10), None)
    found = fidelity.structure_fidelity(read, truth, np.full(5, 10.0))
    assert found["dice"].iloc[0] == 1.0
    assert 0 < found["dice"].iloc[1] < 1
    assert found["erased"].iloc[:3].tolist() == [0, 0, 1]
    assert found["invented"].iloc[3:].tolist() == [1, 0]
    assert found["shift"].iloc[:2].tolist() == pytest.approx([0.0, 0.5])
    assert found["shift"].iloc[2:].isna().all()
    assert found.loc[3:, ["dice", "erased"]].isna().all(axis=None)
    assert found.loc[:2, "invented"].isna().all()


@pytest.mark.parametrize(
    ("low", "high", "matters", "said"),
    [
        (0.021, 0.05, 0.02, "better"),
        (-0.05, -0.021, 0.02, "worse"),
        (-0.019, 0.02, 0.02, "the same"),
        (0.001, 0.015, 0.02, "the same"),
        (0.01, 0.05, 0.02, "undecided"),
        (-0.03, 0.03, 0.02, "undecided"),
        (0.06, 0.10, -0.05, "worse"),
        (-0.10, -0.06, -0.05, "better"),
        (-0.04, 0.05, -0.05, "the same"),
        (np.nan, np.nan, 0.02, "undecided"),
    ],
)
def test_verdict_reads_an_interval_against_what_matters(low, high, matters, said):
    assert relevance.verdict(low, high, matters) == said


def test_every_measure_has_a_smallest_difference_and_a_direction():
    gains = dict(
        inside_ssim=1,
        inside_error=-1,
        cavity_dice=1,
        icm_erased=-1,
        cavity_invented=-1,
        icm_shift=-1,
    )
    for metric, sign in gains.items():
        assert np.sign(relevance.smallest(metric)) == sign
    with pytest.raises(KeyError):
        relevance.smallest("kept_looks")


def measured(dataset, seeds=(0,)):
    rows = dataset.rows("ED1", "holdout")
    truth, drawn = dataset.truth(rows), dataset.structures(rows)
    looks = dict(grey=dataset.stack(rows), oracle=truth)
    found = dict(grey=torch.zeros_like(drawn), oracle=drawn)
    parts = [fidelity.measure(dataset, rows, looks, seed, found, ["cavity"]) for seed in seeds]
    return pd.concat(parts, ignore_index=True)


def test_the_truth_is_true_and_a_judge_speaks_only_of_what_it_sees(dataset):
    each = measured(dataset)
    assert not [name for name in each if name.startswith("icm")]
    own = each[each["arm"] == "oracle"]
    assert np.allclose(own["inside_ssim"], 1.0)
    assert (own["inside_error"] == 0).all()
    assert set(own["cavity_dice"].dropna()) <= {1.0}
    table = fidelity.summarise(each)
    assert table[table["metric"] == "inside_error"]["own"].eq(0).all()
    grey = table[table["arm"] == "grey"].set_index("metric")
    assert 0 < grey.loc["inside_ssim", "value"] < 1
    assert (
        grey.loc["inside_ssim", "low"]
        < grey.loc["inside_ssim", "value"]
        < grey.loc["inside_ssim", "high"]
    )
    held = fidelity.compare(each, {"grey": "oracle"}).set_index("metric")
    assert held.loc["inside_ssim", "verdict"] == "worse"
    assert held.loc["inside_ssim", "difference"] == pytest.approx(
        grey.loc["inside_ssim", "value"] - 1
    )
    assert fidelity.compare(each, {"grey": "grey"}).set_index("metric")["verdict"][
        "inside_ssim"
    ] == ("the same")


def test_equal_trainings_add_no_doubt_and_unlike_ones_do(dataset):
    each = measured(dataset, seeds=(0, 1, 2))
    over = fidelity.summarise(each)
    assert (over["seeds"] == 3).all()
    once = fidelity.summarise(measured(dataset))
    assert np.allclose(over["value"], once["value"], equal_nan=True)
    shaken = each.assign(inside_ssim=each["inside_ssim"] + 0.2 * (each["seed"] - 1))
    wide = fidelity.summarise(shaken).set_index(["arm", "metric"]).loc[("grey", "inside_ssim")]
    own = over.set_index(["arm", "metric"]).loc[("grey", "inside_ssim")]
    assert wide["value"] == pytest.approx(own["value"])
    assert wide["high"] - wide["low"] > 2 * (own["high"] - own["low"])


def test_mean_over_seeds_has_the_error_of_a_mean():
    rng = np.random.default_rng(0)
    value = rng.normal(1, 2, 200)
    table = pd.DataFrame(dict(id=np.arange(200), group=np.arange(200), seed=0, value=value))
    found = mean_over_seeds(table)
    assert found["value"] == pytest.approx(value.mean())
    assert found["test_error"] == pytest.approx(value.std(ddof=1) / np.sqrt(200), rel=0.1)
    assert mean_over_seeds(table.assign(value=table["value"].where(table["id"] < 50)))["n"] == 50


def test_a_judge_is_heard_on_what_it_sees_in_every_view():
    truth = torch.zeros(12, 1, 40, 40, dtype=torch.uint8)
    drawn = discs((20, 20), (15, 22), radius=9).repeat(6, 1, 1)[:, None].repeat(1, 3, 1, 1)
    drawn[:, 2] = False  # nobody has a shell

    def judge(stack):
        # Sees every cavity, and the inner cell mass while no noise hides it.
        sharp = (stack == 0).all()
        return drawn & torch.tensor([True, bool(sharp), True]).view(1, 3, 1, 1)

    sight = fidelity.judge_sight(judge, truth, drawn, ("cavity", "icm", "shell"))
    assert list(sight["view"]) == list(fidelity.VIEWS) * 3
    dice = sight.set_index(["structure", "view"])["value"]
    assert dice["icm"].tolist() == [1, 0, 0]
    assert dice["cavity"].tolist() == [1, 1, 1]
    assert dice["shell"].isna().all()
    assert fidelity.spoken_of(sight) == ["cavity"]
    words = judge_words(sight).splitlines()
    assert len(words) == 3
    assert "not judged" not in words[0]
    assert "the judge does not see it" in words[1]
    assert "no image of the hold-out has one" in words[2]


def test_without_outlines_the_whole_image_counts():
    truth, other = pictures()
    found = fidelity.likeness(truth, other)
    everywhere = fidelity.likeness(truth, other, torch.ones_like(truth, dtype=torch.bool))
    assert list(found) == ["ssim", "error"]
    assert np.allclose(found, everywhere)
    _, plain = structural_similarity(
        truth[0, 0].numpy(), other[0, 0].numpy(), full=True, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, data_range=255,
    )  # fmt: skip
    assert found["ssim"][0] == pytest.approx(plain[5:-5, 5:-5].mean(), abs=1e-6)


def test_real_images_photographed_again_are_measured_without_masks():
    rows = pd.DataFrame(dict(id=["a", "b", "c"], group=["a", "b", "c"]))
    truth, other = pictures()
    real = SimpleNamespace(
        source=SimpleNamespace(has_structures=False), truth=lambda rows: truth,
    )  # fmt: skip
    each = fidelity.measure(real, rows, dict(grey=other, oracle=truth), 0)
    assert fidelity.measures_in(each) == ["ssim", "error"]
    found = fidelity.compare(each, {"oracle": "grey"}).set_index("metric")["verdict"]
    assert found.to_dict() == dict(ssim="better", error="better")
    table = fidelity.summarise(each)
    fidelity_dots(table, "semi-synthetic")


@pytest.mark.filterwarnings("error")
def test_shares_stay_shares_and_empty_draws_are_silent():
    rare = np.where(np.arange(40) < 2, 1.0, np.nan)  # most resamples draw neither
    parts = [
        pd.DataFrame(
            dict(arm="oracle", seed=seed, id=range(40), group=range(40), rare_erased=rare,
                 cavity_erased=(np.arange(40) < 8 * seed).astype(float),
                 none_erased=np.nan)
        )
        for seed in (0, 1)
    ]  # fmt: skip
    table = fidelity.summarise(pd.concat(parts)).set_index("metric")
    shares = table.loc[["rare_erased", "cavity_erased"], ["low", "value", "high"]].to_numpy()
    assert (shares >= 0).all()
    assert (shares <= 1).all()
    assert (np.diff(shares, axis=1) >= 0).all()
    assert table.loc["cavity_erased", ["low", "high"]].tolist() == [0, 1]
    assert table.loc["none_erased", ["value", "low", "high"]].isna().all()
    assert table.loc["none_erased", "n"] == 0


@pytest.mark.parametrize(("count", "said"), [(7, "undecided"), (200, "the same")])
def test_few_images_without_a_difference_decide_nothing(count, said):
    one = pd.DataFrame(dict(id=range(count), group=range(count), seed=0, cavity_erased=0.0))
    each = pd.concat([one.assign(arm=arm) for arm in ("grey", "simulated")])
    (found,) = fidelity.compare(each, {"simulated": "grey"}).itertuples()
    assert found.verdict == said
    # The exact limits of 0 of ``count``, to either side.
    assert found.high == -found.low == pytest.approx(beta.ppf(0.975, 1, count))


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (1, "This training; of the method it says nothing."),
        (2, "These two trainings; of the method they say nothing."),
        (5, "5 trainings."),
    ],
)
def test_only_several_trainings_speak_of_a_method(seeds, said):
    rows = [
        dict(arm="simulated", against="grey", metric=metric, difference=middle, low=middle - 0.01,
             high=middle + 0.01, n=9, seeds=seeds)
        for metric, middle in (("auc", 0.1), ("cavity_invented", 0.2), ("inside_ssim", 0.0))
    ]  # fmt: skip
    lines = difference_verdict(pd.DataFrame(rows)).splitlines()
    assert lines[0].endswith(f" against {arm_name('grey')}. {said}")
    assert [line.split("**")[1] for line in lines[2:]] == ["better", "worse", "the same"]
    assert lines[3] == "- **worse**, cavity invented (0.05 matters): +0.200 [+0.190, +0.210]."


def test_outline_holds_the_structures_and_lies_where_the_images_are(dataset):
    rows = dataset.rows("ED1")
    outline = dataset.outline(rows)
    assert outline.shape == (len(rows), 1, 32, 32)
    inside = dataset.structures(rows)
    assert (inside & ~outline).float().mean() < 1e-3  # but for pixels on the edge
    # Registered: centre and size are those of the crop's frame.
    frames = dataset.frames.set_index("id").loc[rows["id"]]
    truth = dataset.source.truth(rows["id"]).set_index("id").loc[rows["id"]]
    for mask, frame, place in zip(outline[:, 0], frames.itertuples(), truth.itertuples(),
                                  strict=True):  # fmt: skip
        if not frame.found:
            continue
        whole = dataset.source.structures().read(place.Index)[..., 2]
        plain = crop(whole, frame.x, frame.y, frame.radius, dataset.params.field_of_view, 32) > 127
        assert (torch.from_numpy(plain) == mask).all()
        y, x = (axis.double().mean() for axis in torch.nonzero(mask, as_tuple=True))
        scale = 32 / (2 * dataset.params.field_of_view * frame.radius)
        assert float(x) == pytest.approx(15.5 + (place.x - frame.x) * scale, abs=1.5)
        assert float(y) == pytest.approx(15.5 + (place.y - frame.y) * scale, abs=1.5)
