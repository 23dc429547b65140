"""Height from relief: slopes of a known shape, and phantoms whose height is known."""

from dataclasses import replace

import numpy as np
import pytest

from lib.data.framing import crop
from lib.data.images import to_grey
from lib.phantom.embryo import EXTENT, grow
from lib.phantom.light import BEND
from lib.phantom.optics import photograph
from lib.phantom.recovery import recover_height, recovered_embryos, slopes_towards_lamp

SIZE = 160
RADIUS = SIZE / 2 / EXTENT


def disc(within: float) -> np.ndarray:
    line = ((np.arange(SIZE) + 0.5) * 2 / SIZE - 1) * EXTENT
    return np.hypot(line, line[:, None]) < within


@pytest.fixture(scope="module")
def phantoms():
    """Phantoms' heights, and their photographs by the good device as crops of the same extent."""
    seeds = np.arange(16) + 500
    embryos = grow(seeds, SIZE, 0.5)
    taken = photograph(embryos, seeds, "ED4", 400)
    places = zip(taken.images, taken.x, taken.y, taken.radius, strict=True)
    crops = [crop(to_grey(image), x, y, radius, EXTENT, SIZE) for image, x, y, radius in places]
    return embryos, np.stack(crops).astype(np.float32) / 255


def test_the_model_of_relief_is_turned_round():
    slope = np.linspace(-0.6, 0.6, 64, dtype=np.float32)
    shade = 1.9 * slope
    shade = shade / np.sqrt(1 + (BEND * shade) ** 2)
    # One column of every slope in a wide field of light, so that the light is known.
    luma = np.full((1, 400, 400), 0.4, dtype=np.float32)
    luma[0, 200, 168:232] *= 1 + shade
    found = slopes_towards_lamp(luma, radius=120, gain=1.9)
    np.testing.assert_allclose(found[0, 200, 168:232], slope, atol=0.01)


def test_slopes_of_phantoms_come_back(phantoms):
    embryos, luma = phantoms
    found = recover_height(luma, RADIUS)
    inside = disc(0.95)

    def slopes(height):
        return np.gradient(height, axis=(1, 2))

    def correlation(a, b):
        return np.mean([np.corrcoef(x[inside], y[inside])[0, 1] for x, y in zip(a, b, strict=True)])

    shown, across = zip(slopes(found), slopes(embryos.height), strict=True)
    assert correlation(found, embryos.height) > 0.6
    assert correlation(*shown) > 0.65  # down the image, which relief shows
    assert correlation(*across) > 0.5  # and across, which follows from it
    # Another embryo's is no answer, though all are round.
    assert correlation(shown[0], np.roll(shown[1], 1, axis=0)) < 0.4


def test_recovered_embryos_look_as_they_did(phantoms):
    _, luma = phantoms
    seeds = np.arange(len(luma))
    taken = photograph(recovered_embryos(luma), seeds, "ED4", 400)
    inside = disc(0.9)
    places = zip(taken.images, taken.x, taken.y, taken.radius, luma, strict=True)
    alike = [
        np.corrcoef(crop(to_grey(image), x, y, r, EXTENT, SIZE)[inside], own[inside])[0, 1]
        for image, x, y, r, own in places
    ]
    assert np.mean(alike) > 0.8


def test_the_phone_sees_them_nearly_as_it_sees_the_true_ones(phantoms):
    """As dark, as rich in contrast, and alike image by image: the recovery has the right scale."""
    embryos, luma = phantoms
    seeds = np.arange(len(luma))
    middle = np.full(len(luma), 0.5, dtype=np.float32)  # as large as recovered ones are drawn
    inside, alike, levels = disc(0.95), [], []
    taken = [
        photograph(own, seeds, "ED1", 128)
        for own in (recovered_embryos(luma), replace(embryos, expansion=middle))
    ]
    for one, other, x, y, radius in zip(
        taken[0].images, taken[1].images, taken[1].x, taken[1].y, taken[1].radius, strict=True
    ):
        pair = [crop(to_grey(i), x, y, radius, EXTENT, SIZE)[inside] for i in (one, other)]
        alike.append(np.corrcoef(*pair)[0, 1])
        levels.append([(values.mean(), values.std()) for values in pair])
    (recovered, spread), (true, true_spread) = np.mean(levels, axis=0)
    assert np.mean(alike) > 0.6
    assert recovered == pytest.approx(true, abs=12)  # grey levels
    assert 0.65 < spread / true_spread < 1.1


def test_a_photograph_without_relief_has_no_height():
    flat = np.full((1, SIZE, SIZE), 0.5, dtype=np.float32)
    assert np.abs(recover_height(flat, RADIUS)).max() < 1e-6
