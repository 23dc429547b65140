"""Framing: the crop against closed forms, the find against phantom truth and real embryos."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from scipy.ndimage import gaussian_filter

from engine.errors import InputError
from lib.data import detector, framing
from lib.data.framing import crop, find_embryo, find_embryos, fit_circles, frame_table
from lib.phantom.embryo import grow
from lib.phantom.optics import photograph
from lib.phantom.randomisation import SIDE, disc, gaussian, place, surround

# Outer edge of the zona judged by eye on contrast-enhanced prints: x, y, radius over the width.
# Where the zona is thin (expanded blastocysts) this is the edge of the trophectoderm.
EMBRYOSCOPE = {
    "32176207": (0.690, 0.463, 0.305),
    "32898300": (0.475, 0.695, 0.300),
    "33996213": (0.475, 0.515, 0.370),
    "34107362": (0.405, 0.455, 0.325),
    "36338476": (0.630, 0.410, 0.320),
    "36933247": (0.630, 0.535, 0.268),
    "39008723": (0.445, 0.445, 0.320),
    "41019399": (0.610, 0.340, 0.280),
    "67628794": (0.350, 0.415, 0.330),
    "97758912": (0.570, 0.500, 0.280),
}


def right(found: pd.DataFrame, truth: pd.DataFrame, centre=0.05, radius=0.10) -> pd.Series:
    """Centre off by less than ``centre`` diameters, radius by less than its share ``radius``."""
    off = np.hypot(found.x - truth.x, found.y - truth.y) / (2 * truth.radius)
    return found.found & (off < centre) & ((found.radius / truth.radius - 1).abs() < radius)


# --- crop ---------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(40, 80),
    y=st.floats(35, 60),
    radius=st.floats(5, 20),
    field_of_view=st.floats(1.0, 1.4),
    size=st.integers(8, 96),
)
def test_crop_of_a_plane_is_the_plane_at_the_sampled_points(x, y, radius, field_of_view, size):
    def plane(column, row):
        return 20 + 1.0 * column + 0.8 * row

    image = np.rint(plane(np.arange(120)[None, :], np.arange(96)[:, None])).astype(np.uint8)
    half = field_of_view * radius
    along = ((np.arange(size) + 0.5) / size * 2 - 1) * half
    expected = plane(x + along[None, :], y + along[:, None])
    assert np.abs(crop(image, x, y, radius, field_of_view, size) - expected).max() <= 1.6


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-20, 140),
    y=st.floats(-20, 100),
    radius=st.floats(1, 200),
    size=st.integers(4, 80),
    seed=st.integers(0, 999),
)
def test_crop_turns_and_mirrors_with_the_image(x, y, radius, size, seed):
    image = np.random.default_rng(seed).integers(64, 192, (80, 120, 3), dtype=np.uint8)
    straight = crop(image, x, y, radius, 1.15, size).astype(int)
    mirrored = crop(image[:, ::-1], 119 - x, y, radius, 1.15, size)
    swapped = crop(image.transpose(1, 0, 2), y, x, radius, 1.15, size)
    assert straight.shape == (size, size, 3)
    assert np.abs(straight[:, ::-1] - mirrored).max() <= 2
    assert np.abs(straight.transpose(1, 0, 2) - swapped).max() <= 2


def test_crop_averages_what_it_shrinks():
    checkers = np.indices((128, 128)).sum(0) % 2 * 255
    small = crop(checkers.astype(np.uint8), 63.5, 63.5, 64, 1.0, 16)
    assert np.abs(small.astype(int) - 127).max() <= 2


def test_crop_keeps_proportions_of_a_wide_image():
    rows, columns = np.indices((60, 200))
    ball = (np.hypot(columns - 120, rows - 30) < 20).astype(np.uint8) * 200
    out = crop(ball, 120, 30, 20, 1.25, 100)
    assert np.isclose(out.sum() / 200, np.pi * 40**2, rtol=0.01)
    assert out[50].astype(bool).sum() == pytest.approx(out[:, 50].astype(bool).sum(), abs=1)


def test_crop_beyond_the_border_is_the_mirror_image():
    image = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    out = crop(image, 0, 20, 10.5, 1.0, 21)
    assert np.array_equal(out[:, 11:], image[10:31, 1:11])
    assert np.array_equal(out[:, :10], out[:, :10:-1])


@pytest.mark.parametrize("radius", [0.0, -3.0, float("nan")])
def test_crop_refuses_a_square_without_extent(radius):
    with pytest.raises(InputError, match="radius"):
        crop(np.zeros((64, 64), np.uint8), 32, 32, radius, 1.15, 32)


# --- the circle ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(x=st.floats(8, 40), y=st.floats(8, 40), radius=st.floats(6, 22))
def test_circle_is_recovered_even_where_the_frame_cuts_it(x, y, radius):
    truth = torch.tensor([[x, y, radius]])
    painting = disc(truth, 48, 1.0).squeeze(1)
    circles, agreement = fit_circles(painting, torch.ones_like(painting))
    assert torch.allclose(circles, truth, atol=0.5)
    assert agreement.item() > 0.93


def test_nothing_painted_gives_no_confidence():
    _, agreement = fit_circles(torch.full((1, 48, 48), 0.02), torch.ones(1, 48, 48))
    assert agreement.item() < 0.3


def test_training_images_keep_their_truth_when_moved():
    rng = torch.Generator().manual_seed(0)
    circles = torch.cat(
        [30 + 40 * torch.rand(32, 2, generator=rng), 10 + 10 * torch.rand(32, 1, generator=rng)], 1
    )
    image = disc(circles, 128, 1.0)[:, :, :100]
    canvas, inside, moved = place(image, circles, rng)
    wrong = ((canvas > 0.5) != (disc(moved, SIDE, 1.0) > 0.5)) * inside
    assert wrong.sum((1, 2, 3)).max() < 0.04 * SIDE**2
    assert wrong.mean() < 0.005


def test_added_zona_lies_between_old_and_new_circle():
    rng = torch.Generator().manual_seed(0)
    circles = torch.tensor([[30.0, 34.0, 15.0]]).repeat(40, 1)
    canvas = torch.full((40, 1, SIDE, SIDE), 100.0)
    wider, enclosing = surround(canvas, circles, rng)
    grown = enclosing[:, 2] > 15
    assert 0 < grown.sum() < 40
    outside = disc(enclosing + torch.tensor([0.0, 0.0, 6.0]), SIDE, 1.0) == 0
    untouched = outside | (disc(circles, SIDE, 1.0) == 1)
    assert torch.equal(wider[untouched], canvas[untouched])
    changed = (wider - canvas).abs().amax((1, 2, 3))
    assert (changed[grown & (enclosing[:, 2] > 17)] > 5).all()


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_gaussian_agrees_with_scipy(sigma):
    image = torch.rand(1, 1, 40, 30, generator=torch.Generator().manual_seed(0))
    expected = gaussian_filter(image[0, 0].numpy(), sigma, mode="mirror", radius=int(3 * sigma + 1))
    assert np.allclose(gaussian(image, sigma)[0, 0], expected, atol=1e-5)


# --- the find -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("device", "share"), [("ED4", 0.98), ("ED3", 0.95), ("ED1", 0.95)])
def test_phantom_embryos_are_found(device, share):
    seeds = np.arange(90_000, 90_100)
    taken = photograph(grow(seeds, 128, 0.6), seeds, device, 128)
    found = pd.DataFrame(find_embryos(list(taken.images)))
    truth = pd.DataFrame({"x": taken.x, "y": taken.y, "radius": taken.radius})
    assert right(found, truth).mean() >= share


def test_real_embryos_are_found_in_all_focal_planes(shared_data):
    folder = shared_data / "embryo_embryoscope_stork"
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    images = [np.asarray(Image.open(folder / row["file"])) for row in rows]
    found = pd.DataFrame(find_embryos(images))
    eye = pd.DataFrame(
        [EMBRYOSCOPE[row["embryo_id"]] for row in rows], columns=["x", "y", "radius"]
    )
    # The zona fades out and hides behind the well's rim: the eye is sure to 2 % and 5 %.
    ok = right(found, eye * 500, centre=0.05 + 0.02, radius=0.10 + 0.05)
    focused = pd.Series([row["focus_um"] == "0" for row in rows])
    assert ok[focused].all()
    assert ok.mean() >= 0.8


def test_find_follows_the_size_of_the_image_and_ignores_grey_or_colour():
    taken = photograph(grow(np.array([7]), 128, 0.6), np.array([7]), "ED4", 128)
    image = taken.images[0]
    once = find_embryo(image)
    grey = np.asarray(Image.fromarray(image).convert("L"))
    double = find_embryo(grey.repeat(2, 0).repeat(2, 1))
    assert double.found
    assert double.radius / once.radius == pytest.approx(2, rel=0.03)
    assert (double.x + 0.5) / (once.x + 0.5) == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize("shape", [(32, 32), (500, 500), (480, 640, 3)])
@pytest.mark.parametrize("kind", ["flat", "noise", "ramp"])
def test_without_an_embryo_the_whole_frame_is_kept(shape, kind):
    rng = np.random.default_rng(0)
    ramp = np.linspace(60, 180, shape[1])[None, :, *([None] * (len(shape) - 2))]
    image = {
        "flat": np.full(shape, 120.0),
        "noise": rng.uniform(0, 255, shape),
        "ramp": np.broadcast_to(ramp, shape),
    }[kind].astype(np.uint8)
    frame = find_embryo(image)
    assert not frame.found
    assert frame.confidence < framing.MIN_CONFIDENCE
    assert (frame.x, frame.y) == ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    assert frame.radius == max(shape[:2]) / 2


def test_frame_table_keeps_ids_and_order_over_batches(monkeypatch):
    monkeypatch.setattr(framing, "BATCH", 2)
    seeds = np.arange(5)
    images = photograph(grow(seeds, 64, 0.6), seeds, "ED4", 64).images

    class Album:
        def read(self, id):
            return images[int(id)]

    table = frame_table(Album(), ["4", "0", "3", "1", "2"])
    assert list(table.columns) == ["id", "x", "y", "radius", "confidence", "found"]
    assert list(table.id) == ["4", "0", "3", "1", "2"]
    assert table.found.dtype == bool
    assert table.confidence.between(0, 1).all()
    alone = find_embryo(images[3])
    assert table.loc[2, ["x", "y", "radius"]].tolist() == pytest.approx(alone[:3], abs=1e-2)
    assert frame_table(Album(), []).empty


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((31, 64), np.uint8),
        np.zeros((64, 64), np.float32),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros(64, np.uint8),
    ],
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(InputError, match="image of"):
        find_embryo(image)
    with pytest.raises(InputError, match="image of"):
        crop(image, 10, 10, 5, 1.15, 16)


# --- the weights --------------------------------------------------------------------------------


def test_weights_state_how_they_were_made():
    with safe_open(detector.WEIGHTS, framework="pt") as file:
        parameters = json.loads(file.metadata()["parameters"])
    assert parameters == detector.recipe()
    assert detector.WEIGHTS.stat().st_size < 400_000


def test_training_repeats_itself_and_learns(monkeypatch):
    monkeypatch.setattr(detector, "PHANTOMS", 8)
    monkeypatch.setattr(detector, "WELLS", 2)
    monkeypatch.setattr(detector, "STEPS", 2)
    first, second = detector.train().state_dict(), detector.train().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    fresh = detector.Detector().state_dict()
    assert any(not torch.equal(first[name], fresh[name]) for name in first)


def test_an_image_too_small_to_look_at_keeps_its_whole_frame():
    class Two:
        def read(self, id):
            return np.zeros({"small": (20, 31, 3), "large": (64, 64)}[id], np.uint8)

    table = frame_table(Two(), ["small", "large"])
    small = table.set_index("id").loc["small"]
    assert small[["x", "y", "radius", "confidence", "found"]].tolist() == [15, 9.5, 15.5, 0, False]


def test_missing_weights_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(detector, "WEIGHTS", tmp_path / "none.safetensors")
    detector.load_detector.cache_clear()
    with pytest.raises(InputError, match=r"none\.safetensors.*lib\.data\.detector"):
        detector.load_detector()
