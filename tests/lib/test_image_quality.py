"""Image quality: directions and best values, other versions of each number, floors, refusals."""

import sys
from hashlib import sha256
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from engine.errors import InputError
from lib.evaluation import image_quality
from lib.evaluation.image_quality import (
    FLOOR,
    MEASURES,
    PAIRED,
    SMALLEST,
    frechet_distance,
    inception_features,
    kernel_distance,
    lite0_features,
    paired_quality,
    unpaired_quality,
)


def pictures(count=3, side=64, seed=0):
    rough = np.random.default_rng(seed).normal(size=(count, 3, side, side))
    smooth = ndimage.gaussian_filter(rough, (0, 0, 2, 2))
    return torch.from_numpy((128 + 400 * smooth).clip(0, 255).astype(np.uint8))


def spoilt(stack, sigma, seed=1):
    noise = np.random.default_rng(seed).normal(0, sigma, stack.shape)
    return torch.from_numpy((stack.numpy() + noise).round().clip(0, 255).astype(np.uint8))


# --- paired ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRED)
def test_the_truth_itself_has_the_best_value_and_spoilt_images_are_worse_in_the_stated_direction(
    name,
):
    truth, measure = pictures(), MEASURES[name]
    own, little, much = (
        paired_quality(x, truth)[name].to_numpy()
        for x in (truth, spoilt(truth, 8), spoilt(truth, 40))
    )
    np.testing.assert_allclose(own, measure.best, atol=2e-4)
    sign = 1 if measure.higher_is_better else -1
    assert (sign * own > sign * little).all()
    assert (sign * little > sign * much).all()


def test_best_values_of_distances_are_those_of_equal_sets():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(40, 8))
    assert frechet_distance(a, a) == pytest.approx(MEASURES["frechet_lite0"].best, abs=1e-9)
    drawn = [kernel_distance(rng.normal(size=(20, 8)), rng.normal(size=(30, 8)))
             for _ in range(400)]  # fmt: skip
    error = np.std(drawn) / 20
    assert abs(np.mean(drawn) - MEASURES["kernel_lite0"].best) < 3 * error
    assert frechet_distance(a, a + 1) > frechet_distance(a, a + 0.5) > 0.1
    assert kernel_distance(a, a + 1) > kernel_distance(a, a + 0.5)
    assert not any(MEASURES[name].higher_is_better for name in MEASURES if name not in PAIRED)


@pytest.mark.parametrize("level", [0, 130, 255])
def test_empty_tiles_that_are_alike_have_the_best_values_too(level):
    tile = torch.full((1, 3, 32, 32), level, dtype=torch.uint8)
    for name, value in paired_quality(tile, tile).iloc[0].items():
        assert value == pytest.approx(MEASURES[name].best, abs=2e-4)


def test_psnr_and_ssim_are_those_of_scikit_image_of_each_image_at_every_size():
    for side in (48, 400):  # piq would halve the second unasked
        truth = pictures(2, side)
        other = spoilt(truth, 20)
        found = paired_quality(other, truth)
        for k, (a, b) in enumerate(zip(truth.numpy(), other.numpy(), strict=True)):
            assert found["psnr"][k] == pytest.approx(peak_signal_noise_ratio(a, b), abs=1e-3)
            maps = structural_similarity(
                a, b, channel_axis=0, gaussian_weights=True, sigma=1.5, full=True,
                use_sample_covariance=False, data_range=255,
            )[1]  # fmt: skip
            assert found["ssim"][k] == pytest.approx(maps[:, 5:-5, 5:-5].mean(), abs=1e-4)


def test_what_the_measures_are_blind_to():
    truth = pictures()
    turned = truth.flip(1)  # red for blue
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    grey = (truth * luma).sum(1, keepdim=True).round().to(torch.uint8).expand(-1, 3, -1, -1)
    assert paired_quality(grey, truth)["ms_gmsd"].max() < 0.02
    assert paired_quality(grey, truth)["mdsi"].min() > 0.2
    negative, shifted = paired_quality(255 - grey, grey), paired_quality(grey.roll(2, 3), grey)
    assert (negative["haarpsi"] > shifted["haarpsi"]).all()
    assert (negative["ms_gmsd"] < shifted["ms_gmsd"]).all()
    assert (negative["ssim"] < shifted["ssim"]).all()
    assert paired_quality(turned, truth)["mdsi"].min() > 0.2


def test_an_image_has_its_value_whatever_is_beside_it():
    truth = pictures(40, 24)
    other = spoilt(truth, 15)
    found = paired_quality(other, truth)
    assert found.columns.tolist() == list(PAIRED)
    assert len(found) == 40
    alone = pd.concat([paired_quality(other[[k]], truth[[k]]) for k in (0, 35)])
    np.testing.assert_allclose(found.iloc[[0, 35]], alone, atol=1e-5)


def test_images_too_small_for_a_measure_are_refused_by_name():
    paired_quality(pictures(1, SMALLEST), pictures(1, SMALLEST))
    with pytest.raises(InputError, match=f"16x16 px: MS-GMSD needs {SMALLEST}"):
        paired_quality(pictures(1, 16), pictures(1, 16))
    with pytest.raises(InputError, match="Give every image its truth"):
        paired_quality(pictures(2), pictures(3))
    with pytest.raises(InputError, match=r"images: torch\.float32"):
        paired_quality(pictures(2).float(), pictures(2))


# --- sets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "other", "size"), [(40, 60, 5), (12, 9, 30)])
def test_frechet_distance_against_its_formula(count, other, size):
    rng = np.random.default_rng(count)
    a = rng.gamma(1, 1, (count, size))
    b = rng.gamma(2, 1, (other, size)) @ rng.normal(size=(size, size)) / 3
    first, second = (np.cov(x, rowvar=False) for x in (a, b))
    root = scipy.linalg.sqrtm(first @ second).real
    plain = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(plain, rel=1e-4)


def test_kernel_distance_against_a_double_loop():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 4)), rng.normal(1, 1, size=(9, 4))

    def kernel(x, y):
        return (x @ y / 4 + 1) ** 3

    def mean(pairs):
        return np.mean([kernel(x, y) for x, y in pairs])

    plain = (
        mean([(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
        + mean([(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
        - 2 * mean([(x, y) for x in a for y in b])
    )
    assert kernel_distance(a, b) == pytest.approx(plain)


def test_features_are_of_each_image_and_tell_spoilt_ones():
    stack = pictures(3, 32)
    found = lite0_features(stack)
    assert found.shape == (3, 1280)
    np.testing.assert_allclose(found[[1]], lite0_features(stack[[1]]), atol=1e-3)
    near, far = (np.abs(lite0_features(spoilt(stack, s)) - found).mean() for s in (2, 40))
    assert near < far / 2


def colours(stack):
    """Features that are quick to make: six, of each image."""
    values = stack.double().numpy()
    return np.concatenate([values.mean((2, 3)), values.std((2, 3))], axis=1)


def slides(count, each, seed, spread=8.0, shift=0.0):
    """Tiles of slides that differ from each other more than tiles do, and their slides."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.normal(128 + shift, spread, (count, 3)), each, axis=0)
    stack = level[:, :, None, None] + rng.normal(0, 3, (count * each, 3, 8, 8))
    return torch.from_numpy(stack.clip(0, 255).astype(np.uint8)), np.repeat(np.arange(count), each)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(image_quality, "lite0_features", colours)


def test_an_arm_as_good_as_real_lies_at_the_floor_and_a_worse_one_above_its_interval(quick):
    real, where = slides(16, 4, 0)
    alike, groups = slides(16, 4, 1)
    arms = {"alike": alike, "shifted": slides(16, 4, 1, shift=15)[0],
            "spread": slides(16, 4, 1, spread=20)[0]}  # fmt: skip
    found = unpaired_quality(real, where, arms, groups)
    assert found["arm"].unique().tolist() == [FLOOR, *arms]
    assert found["measure"].unique().tolist() == ["frechet_lite0", "kernel_lite0"]
    assert (found["n"] == 64).all()
    assert (found["groups"] == 16).all()
    for _, one in found.set_index("arm").groupby("measure"):
        assert (one["low"] < one["value"]).all()
        floor = one.loc[FLOOR, "value"]
        assert one.loc["alike", "low"] < floor < one.loc["alike", "high"]
        assert one.loc["shifted", "low"] > floor
        assert one.loc["spread", "value"] > floor


def test_tiles_of_a_slide_stay_together(quick):
    """Tiles of one slide are alike: halves of tiles would be nearly equal sets."""
    real, where = slides(8, 12, 0)
    found = unpaired_quality(real, where, {}, where).set_index("measure")
    mixed = unpaired_quality(real, np.arange(96), {}, np.arange(96)).set_index("measure")
    assert (found["value"] > 3 * mixed["value"]).all()


def test_arms_are_measured_on_as_many_slides_as_the_floor(quick):
    """Few images lie further apart than many: of equal sets the distance must not tell."""
    real, where = slides(30, 3, 0)
    few, groups = slides(8, 3, 1)
    found = unpaired_quality(real, where, {"few": few}, groups).set_index(["measure", "arm"])
    value = found["value"]["frechet_lite0"]
    many = unpaired_quality(real, where, {}, where).set_index("measure")["value"]
    assert value[FLOOR] > 1.5 * many["frechet_lite0"]
    assert value["few"] == pytest.approx(value[FLOOR], rel=0.4)


def test_the_interval_covers_as_often_as_it_says(quick):
    values, reach = [], []
    for seed in range(40):
        arm, groups = slides(12, 3, 100 + seed, shift=6)
        real, where = slides(12, 3, 500 + seed)
        row = unpaired_quality(real, where, {"arm": arm}, groups, halvings=40)
        row = row[(row["arm"] == "arm") & (row["measure"] == "frechet_lite0")].iloc[0]
        values.append(row["value"])
        reach.append(row["high"] - row["value"])
    covered = np.abs(np.array(values) - np.mean(values)) < reach
    assert covered.mean() >= 0.85


def test_few_slides_are_refused(quick):
    real, where = slides(8, 2, 0)
    with pytest.raises(InputError, match="8 real slides, 2 of the arms"):
        unpaired_quality(real, where, {"a": real[:4]}, where[:4])


# --- FID and KID ----------------------------------------------------------------------------------


def test_fid_without_its_weights_is_refused_and_says_which(tmp_path):
    with pytest.raises(InputError, match=r"Save weights-inception-2015-12-05-6726825d\.pth"):
        inception_features(pictures(), tmp_path / "none.pth")
    other = tmp_path / "other.pth"
    other.write_bytes(b"weights of another network")
    with pytest.raises(InputError, match="not the weights that FID"):
        inception_features(pictures(), other)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file that is taken for the weights."""
    path = tmp_path / "weights.pth"
    path.write_bytes(b"weights")
    monkeypatch.setattr(image_quality, "_INCEPTION", sha256(b"weights").hexdigest())
    return path


def test_fid_without_torch_fidelity_says_how_to_install_it(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(InputError, match="pip install --no-deps torch-fidelity"):
        inception_features(pictures(), weights)


def test_fid_and_kid_are_the_same_distances_of_inceptions_features(quick, weights, monkeypatch):
    class Network:
        def __init__(self, name, features, feature_extractor_weights_path):
            assert features == ["2048"]
            assert feature_extractor_weights_path == str(weights)

        def __call__(self, stack):
            assert stack.dtype == torch.uint8
            return (torch.from_numpy(colours(stack)),)

    module = ModuleType("inception")
    module.FeatureExtractorInceptionV3 = Network
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)
    real, where = slides(8, 5, 0)
    arm, groups = slides(8, 5, 1, shift=9)
    found = unpaired_quality(real, where, {"arm": arm}, groups, weights)
    value = found.set_index(["measure", "arm"])["value"].unstack()
    assert set(value.index) == {"frechet_lite0", "kernel_lite0", "fid", "kid"}
    np.testing.assert_allclose(value.loc["fid"], value.loc["frechet_lite0"])
    np.testing.assert_allclose(value.loc["kid"], value.loc["kernel_lite0"])
