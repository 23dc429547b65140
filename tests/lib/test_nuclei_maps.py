"""Maps of where in its nucleus a pixel lies, nuclei of maps, and which nuclei are the same."""

from itertools import permutations

import numpy as np
import pytest
from skimage.measure import regionprops

from lib.models.nuclei_maps import (
    RADIUS,
    STEEPNESS,
    centroids,
    hover_maps,
    matched_centroids,
    nuclei_from_maps,
    smallest,
    whole_nuclei,
)

SCALES = (0.25, 0.5, 0.75, 1.0)


def discs(places, um_per_px, side=48.0):
    """Instance map (1, S, S) of a square of ``side`` um: rows of y, x, radius in um; the later one
    lies above."""
    count = round(side / um_per_px)
    rows, columns = np.mgrid[:count, :count] * um_per_px
    drawn = np.zeros((1, count, count), np.int32)
    for number, (y, x, radius) in enumerate(places, 1):
        drawn[0][(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number
    return drawn


def back(drawn, um_per_px, threshold=0.5):
    """What is found in the maps of drawn nuclei."""
    return nuclei_from_maps((drawn > 0).astype(float), hover_maps(drawn), um_per_px, threshold)


def overlaps(found, drawn):
    """Largest intersection over union that each drawn nucleus has with a found one."""
    return [
        max(
            ((found == one) & (drawn == other)).sum() / ((found == one) | (drawn == other)).sum()
            for one in range(1, found.max() + 1)
        )
        for other in range(1, drawn.max() + 1)
    ]


def crowd(seed, um_per_px, side=48.0):
    """Nuclei of all sizes anywhere, some touching and some cut by the edge; none hidden."""
    rng = np.random.default_rng(seed)
    places = []
    for _ in range(200):
        y, x, radius = *rng.uniform(0, side, 2), rng.uniform(2.8, 6.0)
        if all(np.hypot(y - b, x - a) > 0.95 * (radius + r) for b, a, r in places):
            places.append((y, x, radius))
    return whole_nuclei(discs(places, um_per_px, side)[0], um_per_px)[None]


# --- maps -----------------------------------------------------------------------------------


def test_maps_against_one_nucleus_at_a_time():
    rng = np.random.default_rng(0)
    drawn = np.kron(rng.integers(0, 6, (3, 5, 5)), np.ones((3, 4), int))
    drawn[rng.random(drawn.shape) < 0.3] = 0
    expected = np.zeros((3, 2, *drawn.shape[1:]))
    for field, own in enumerate(drawn):
        for number in range(1, own.max() + 1):
            rows, columns = np.nonzero(own == number)
            for place, positions in enumerate((columns, rows)):
                away = positions - positions.mean()
                low, high = -away.min() or 1, away.max() or 1
                values = np.where(away < 0, away / low, away / high)
                expected[field, place, rows, columns] = values
    found = hover_maps(drawn)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not hover_maps(np.zeros((2, 4, 4), int)).any()


def test_horizontal_comes_first_and_rises_to_the_right_and_the_zero_lies_at_the_centroid():
    drawn = discs([(24, 24, 6)], 1.0)
    horizontal, vertical = hover_maps(drawn)[0]
    np.testing.assert_allclose(horizontal[24, 18:31], np.arange(-6, 7) / 6, atol=1e-6)
    np.testing.assert_allclose(vertical[18:31, 24], np.arange(-6, 7) / 6, atol=1e-6)
    assert (horizontal[:, 24] == 0).all()
    assert (vertical[24] == 0).all()
    assert horizontal[20, 20] == pytest.approx(-4 / 6)


def test_maps_of_mirrored_and_turned_nuclei_are_those_of_the_nuclei_mirrored_and_turned():
    drawn = crowd(1, 0.75)
    horizontal, vertical = hover_maps(drawn)[0]
    mirrored = hover_maps(drawn[:, :, ::-1])[0]
    np.testing.assert_allclose(mirrored[0], -horizontal[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(mirrored[1], vertical[:, ::-1], atol=1e-6)
    quarter = hover_maps(np.rot90(drawn, axes=(1, 2)))[0]  # against the clock: right becomes up
    np.testing.assert_allclose(quarter[1], -np.rot90(horizontal), atol=1e-6)
    np.testing.assert_allclose(quarter[0], np.rot90(vertical), atol=1e-6)


# --- nuclei ---------------------------------------------------------------------------------


@pytest.mark.parametrize("um_per_px", SCALES)
@pytest.mark.parametrize("way", [(0.0, 1.0), (1.0, 0.0), (0.6, 0.8)])
def test_discs_that_touch_are_two_nuclei(um_per_px, way):
    away = 4.0 * np.array(way)
    drawn = discs([(24 - away[0], 24 - away[1], 4.2), (24 + away[0], 24 + away[1], 4.2)], um_per_px)
    found = back(drawn, um_per_px)
    assert found.max() == 2
    assert min(overlaps(found, drawn)) > 0.9


@pytest.mark.parametrize("um_per_px", SCALES)
def test_nuclei_come_back_from_their_own_maps(um_per_px):
    drawn = np.concatenate([crowd(seed, um_per_px) for seed in range(6)])
    found = back(drawn, um_per_px)
    assert found.dtype == np.int32
    for own, truth in zip(found, drawn, strict=True):
        assert own.max() == truth.max() > 10
        assert min(overlaps(own, truth)) > 0.75
    assert ((found > 0) == (drawn > 0)).mean() > 0.995


def test_a_lone_nucleus_is_one_whatever_its_size_and_others_do_not_change_it():
    for radius in (2.0, 4.0, 8.0, 12.0):
        assert back(discs([(24, 24, radius)], 0.5), 0.5).max() == 1
    both = back(discs([(16, 16, 10), (40, 40, 2)], 0.5), 0.5)
    assert both.max() == 2


def test_where_the_zero_of_the_offsets_lies_does_not_matter():
    drawn = crowd(3, 0.5)
    maps = hover_maps(drawn)
    chance = (drawn > 0).astype(float)
    moved = nuclei_from_maps(chance, maps * 0.7 + 0.2, 0.5)
    np.testing.assert_array_equal(moved, nuclei_from_maps(chance, maps, 0.5))


def test_nuclear_pixels_have_at_least_the_chance_of_the_threshold():
    drawn = discs([(12, 12, 5), (36, 36, 5)], 0.5)
    chance = np.where(drawn == 1, 0.4, np.where(drawn == 2, 0.8, 0.1))
    for threshold, count in ((0.3, 2), (0.4, 2), (0.41, 1), (0.81, 0)):
        found = nuclei_from_maps(chance, hover_maps(drawn), 0.5, threshold)
        assert found.max() == count
        assert ((found > 0) <= (chance >= threshold)).all()


def test_fields_are_found_each_by_itself_and_blank_ones_have_none():
    drawn = np.concatenate([crowd(0, 0.75), np.zeros((1, 64, 64), np.int32), crowd(1, 0.75)])
    together = back(drawn, 0.75)
    for own, alone in zip(together, drawn, strict=True):
        np.testing.assert_array_equal(own, back(alone[None], 0.75)[0])
    assert not together[1].any()


@pytest.mark.parametrize("um_per_px", SCALES)
def test_specks_are_no_nuclei_at_any_scale(um_per_px):
    """A disc of 3 um2 is none, one of 8 um2 is."""
    drawn = discs([(12, 12, 0.98), (36, 36, 1.6)], um_per_px)
    assert back(drawn, um_per_px).max() == 1
    assert whole_nuclei(drawn[0], um_per_px).max() == 1
    assert smallest(um_per_px) * um_per_px**2 == pytest.approx(5, rel=0.05)


def test_whole_nuclei_are_numbered_without_gaps():
    drawn = np.zeros((10, 10), int)
    drawn[:5, :4], drawn[9, 9], drawn[6:, :5] = 7, 3, 2
    assert np.array_equal(whole_nuclei(drawn, 1.0), np.where(drawn == 2, 1, (drawn == 7) * 2))
    assert whole_nuclei(np.full((4, 4), 3), 1.0).min() == 1


def test_steepness_is_that_of_the_published_kernel():
    """A Sobel kernel of 21 px: twenty sums and, along the derivative, one difference of these."""
    sums = np.array([1.0])
    for _ in range(19):
        sums = np.convolve(sums, [1, 1])
    for kernel, order in ((np.convolve(sums, [1, 1]), 0), (np.convolve(sums, [1, -1]), 1)):
        place = np.arange(-10, 11)
        ours = np.exp(-(place**2) / (2 * (STEEPNESS / 0.25) ** 2)) * (-place) ** order
        assert np.corrcoef(kernel, ours)[0, 1] > 0.999


# --- which are the same ---------------------------------------------------------------------


def test_centroids_against_another_package():
    drawn = crowd(2, 0.5)[0]
    expected = [region.centroid for region in regionprops(drawn)]
    np.testing.assert_allclose(centroids(drawn), expected)
    assert centroids(np.zeros((5, 5), int)).shape == (0, 2)


def points(places, side=60):
    """Instance map with one pixel for each place."""
    drawn = np.zeros((side, side), int)
    for number, (row, column) in enumerate(places, 1):
        drawn[row, column] = number
    return drawn


def most_matches(one, other, reach):
    """By trying every order."""
    one, other = sorted((one, other), key=len)
    return max(
        sum(np.hypot(a - c, b - d) <= reach for (a, b), (c, d) in zip(one, order, strict=True))
        for order in permutations(other, len(one))
    )


@pytest.mark.parametrize("seed", range(10))
def test_matched_centroids_are_as_many_as_any_order_gives(seed):
    rng = np.random.default_rng(seed)
    one, other = (
        [tuple(map(int, p)) for p in np.unique(rng.integers(0, 24, (count, 2)), axis=0)]
        for count in rng.integers(1, 7, 2)
    )
    expected = most_matches(one, other, RADIUS / 0.75)
    assert matched_centroids(points(one), points(other), 0.75) == expected
    assert matched_centroids(points(other), points(one), 0.75) == expected


def test_the_nearest_pair_is_not_taken_where_another_choice_matches_more():
    found, truth = points([(0, 10), (0, 22)]), points([(0, 11), (0, 0)])
    # (0, 10) is nearest to (0, 11), and the only one near to (0, 0).
    assert matched_centroids(found, truth, 0.54) == 2
    assert matched_centroids(found, truth, 0.5) == 2
    assert matched_centroids(found, truth, 0.61) == 1


def test_centroids_six_micrometres_apart_match_and_farther_ones_do_not():
    found, truth = points([(10, 10)]), points([(10, 22)])
    assert matched_centroids(found, truth, 0.5) == 1
    assert matched_centroids(found, truth, 0.51) == 0
    nothing = points([])
    assert matched_centroids(nothing, truth, 0.5) == matched_centroids(found, nothing, 0.5) == 0
