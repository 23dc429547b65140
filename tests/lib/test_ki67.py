"""The Ki67 index: DAB of known density, thresholds by trying all, and phantoms of other slides."""

import numpy as np
import pytest
import torch

from engine.errors import InputError
from lib.evaluation.ki67 import (
    best_threshold,
    dab_density,
    drawn_positive,
    nuclear_density,
)
from lib.evaluation.stain_density import HAEMATOXYLIN_DAB
from lib.phantom.scanners import photograph_tissue
from lib.phantom.tissue import grow_tissue

WHITE = np.array([236.0, 234, 228])


def section(blue, brown):
    """Images of haematoxylin and DAB by Beer and Lambert; amounts (N, S, S)."""
    density = np.stack([blue, brown], axis=-1) @ HAEMATOXYLIN_DAB
    light = (WHITE * 10.0**-density).round().astype(np.uint8)
    return torch.from_numpy(light.transpose(0, 3, 1, 2).copy())


def squares(count, side=64):
    """A map of ``count`` nuclei of 8 px, and each pixel's number."""
    nuclei = np.zeros((side, side), np.int32)
    for k in range(count):
        y, x = 10 * (k // 6) + 1, 10 * (k % 6) + 1
        nuclei[y : y + 8, x : x + 8] = k + 1
    return nuclei


def test_density_of_dab_is_what_was_put_there_whatever_else_is():
    rng = np.random.default_rng(0)
    blue, brown = rng.uniform(0.0, 0.6, (2, 3, 40, 40))
    blue[:, :6], brown[:, :6] = 0, 0  # glass
    found = dab_density(section(blue, brown))
    assert found.shape == (3, 40, 40)
    assert found.dtype == np.float32
    assert np.abs(found - brown).max() < 0.03  # whole grey levels
    assert np.abs((found - brown).mean()) < 0.002


def test_density_is_held_against_the_glass_of_the_images():
    blue, brown = np.full((2, 1, 40, 40), 0.3)
    blue[:, :8], brown[:, :8] = 0, 0
    stack = section(blue, brown)
    dim = (stack * 0.8).round().to(torch.uint8)
    np.testing.assert_allclose(dab_density(dim), dab_density(stack), atol=0.02)


def test_every_nucleus_has_the_mean_over_its_own_pixels():
    nuclei = np.stack([squares(20), 3 * squares(5), squares(0)])
    rng = np.random.default_rng(1)
    brown = np.where(nuclei > 0, rng.uniform(0, 1, nuclei.shape), 0)
    table = nuclear_density(section(0.1 * (nuclei > 0), brown), torch.from_numpy(nuclei)[:, None])
    assert table.groupby("image").size().to_dict() == {0: 20, 1: 5}
    assert table.loc[table["image"] == 1, "number"].tolist() == [3, 6, 9, 12, 15]
    for row in table.itertuples():
        assert row.density == pytest.approx(
            brown[row.image][nuclei[row.image] == row.number].mean(), abs=0.01
        )


def test_who_is_drawn_positive_stands_in_the_order_of_the_densities():
    nuclei = torch.from_numpy(np.stack([squares(6), squares(0), squares(3)]))[:, None]
    positives = (nuclei == 2) | (nuclei == 3)
    positives[0, 0, 1:4] |= nuclei[0, 0, 1:4] == 5  # less than half of it
    assert drawn_positive(nuclei, positives).tolist() == [0, 1, 1, 0, 0, 0, 0, 1, 1]


def fewest_wrong(density, positive):
    cuts = np.sort(density)
    middles = (cuts[1:] + cuts[:-1]) / 2
    return min(((density > cut) != positive).sum() for cut in middles)


@pytest.mark.parametrize("seed", range(20))
def test_best_threshold_is_wrong_as_seldom_as_any(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(40) < rng.uniform(0.1, 0.9)
    positive[:2] = [True, False]
    density = (rng.normal(0.2, 0.1, 40) + 0.2 * positive).round(2)  # with ties
    cut = best_threshold(density, positive)
    assert ((density > cut) != positive).sum() == fewest_wrong(density, positive)


def test_best_threshold_stands_in_the_middle_of_the_widest_gap():
    assert best_threshold(np.array([0.9, 0.1, 0.2, 0.7]), np.array([1, 0, 0, 1], bool)) == (
        pytest.approx(0.45)
    )
    # Cuts after 0.1 and after 0.6 are wrong about one nucleus each.
    density, positive = np.array([0.1, 0.2, 0.6, 1.4]), np.array([0, 1, 0, 1], bool)
    assert best_threshold(density, positive) == pytest.approx(1.0)


def test_a_threshold_needs_both_kinds():
    with pytest.raises(InputError, match="3 of 3 nuclei"):
        best_threshold(np.arange(3.0), np.ones(3, bool))


def test_maps_of_another_size_are_refused():
    stack = section(*np.zeros((2, 2, 16, 16)))
    with pytest.raises(InputError, match="Give every image"):
        nuclear_density(stack, torch.zeros(2, 16, 16, dtype=torch.int32))


def test_a_threshold_of_some_slides_reads_the_index_of_others():
    """Phantoms of slides that were stained otherwise: vectors and strengths vary between them."""
    count, slides = 48, np.repeat(np.arange(12), 4)
    labels = np.where(slides % 2, "malignant", "benign")
    tissue = grow_tissue(np.arange(count) + 500, 64, 0.75, labels)
    stack = torch.from_numpy(photograph_tissue(tissue, slides, "ki67"))
    maps = torch.from_numpy(tissue.instances)[:, None]
    table = nuclear_density(stack, maps)
    truth = tissue.nuclei.sort_values(["image", "number"])["positive"].to_numpy(bool)
    train = slides[table["image"]] < 6
    threshold = best_threshold(table.loc[train, "density"].to_numpy(), truth[train])
    measured = (table.loc[~train, "density"] > threshold).mean()
    assert truth[~train].mean() > 0.05
    assert measured == pytest.approx(truth[~train].mean(), abs=0.01)
