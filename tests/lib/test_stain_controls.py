"""Colour controls: stains that are known, slides stained alike or not, and tiles of empty glass."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.exposure import match_histograms

from engine.errors import InputError
from lib.evaluation.stain_controls import CONTROLS
from lib.evaluation.stain_density import (
    HAEMATOXYLIN_DAB,
    Stains,
    glass,
    optical_density,
    stain_vectors,
    tissue,
)

BLUE, BROWN = HAEMATOXYLIN_DAB
PINK = np.array([0.07, 0.99, 0.11])  # eosin is nearly clear in red
PURPLE = np.array([0.64, 0.69, 0.34])
SIDE = 48
MOVED = sorted(set(CONTROLS) - {"grey"})


def unit(vectors):
    return np.array([v / np.linalg.norm(v) for v in vectors])


def patches(seed, share):
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), 3)
    return rough > np.quantile(rough, 1 - share)


def photograph(vectors, amounts, white=(235, 235, 230), seed=0, noise=1.0):
    """Images of stains by Beer and Lambert; amounts are (N, stains, S, S)."""
    density = np.einsum("nkyx,kc->nyxc", amounts, unit(vectors))
    light = np.asarray(white) * 10.0**-density
    light = light + np.random.default_rng(seed).normal(0, noise, light.shape)
    stack = light.round().clip(0, 255).astype(np.uint8).transpose(0, 3, 1, 2)
    return torch.from_numpy(stack.copy())


def two_stains(count, seed=0, first=0.7, second=0.5):
    """Amounts of two stains that lie apart, on glass: (N, 2, S, S)."""
    rng = np.random.default_rng(seed)
    nuclei = np.stack([patches(seed + k, 0.3) for k in range(count)])
    ground = np.stack([patches(seed + k + 500, 0.7) for k in range(count)]) & ~nuclei
    strength = rng.uniform(0.7, 1.0, (2, count, SIDE, SIDE))
    return np.stack([first * nuclei * strength[0], second * ground * strength[1]], axis=1)


def he(count=6, seed=900):
    return photograph([PURPLE, PINK], two_stains(count, seed), (245, 244, 245), seed)


def ihc(count=6, seed=0, brown=0.9):
    """Blue nuclei, every third of them brown, on an unstained ground."""
    blue = two_stains(count, seed, 0.35, 0.0)
    for k in range(0, count, 3):
        blue[k] = blue[k, ::-1] + [[[0]], [[brown / 0.35]]] * blue[k, :1]
    return photograph([BLUE, BROWN], blue, (236, 236, 230), seed)


def blank(count=1, white=(235, 235, 230), seed=5):
    return photograph([BLUE, BROWN], np.zeros((count, 2, SIDE, SIDE)), white, seed, noise=2.5)


# --- what all of them have in common ------------------------------------------------------------


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_gives_the_same_colour_images_every_time_and_leaves_its_own_alone(name):
    stack, source = ihc(), he()
    before = stack.clone()
    first, again = (CONTROLS[name](stack, [0, 0, 0, 1, 1, 1], source) for _ in range(2))
    assert first.dtype == torch.uint8
    assert first.shape == stack.shape
    assert torch.equal(first, again)
    assert torch.equal(stack, before)


@pytest.mark.parametrize("name", MOVED)
def test_a_blank_tile_becomes_a_blank_tile_of_the_source(name):
    stack, source = torch.cat([ihc(), blank()]), he()
    own_slide = CONTROLS[name](stack, [0] * 6 + [1], source)[-1]
    with_tissue = CONTROLS[name](stack, [0] * 7, source)[-1]
    for tile in (own_slide, with_tissue):
        colour = tile.float().mean((1, 2)).numpy()
        assert np.abs(colour - [245, 244, 245]).max() < 4
        assert tile.float().std((1, 2)).max() < 4  # noise of 2.5 is no tissue


@pytest.mark.parametrize("name", MOVED)
def test_nothing_but_glass_is_moved_to_the_glass_of_the_source(name):
    moved = CONTROLS[name](blank(3), [0, 1, 2], he())
    assert np.abs(moved.float().mean((0, 2, 3)).numpy() - [245, 244, 245]).max() < 4


@pytest.mark.parametrize("name", MOVED)
def test_slides_are_fitted_each_by_itself_and_tiles_are_not(name):
    """A slide that was stained weaker looks as the other one; a pale tile of one slide stays so."""
    amounts = two_stains(6, 0, 0.5, 0.4)
    strong, weak = photograph([BLUE, BROWN], amounts), photograph([BLUE, BROWN], 0.6 * amounts)
    control, source = CONTROLS[name], he()
    both = control(torch.cat([strong, weak]), ["a"] * 6 + ["b"] * 6, source).float()
    seen = control(torch.cat([strong, weak]), ["a"] * 12, source).float()
    apart = [(x[:6] - x[6:]).abs().mean().item() for x in (both, seen)]
    assert apart[0] < 0.4 * apart[1]
    order = torch.tensor([7, 2, 11, 0, 5, 9, 1, 3, 10, 8, 4, 6])
    slides = np.array(["a"] * 6 + ["b"] * 6)
    turned = control(torch.cat([strong, weak])[order], slides[order.numpy()], source)
    assert torch.equal(turned, both[order].to(torch.uint8))


@pytest.mark.parametrize("name", ["macenko", "reinhard"])
def test_a_slide_with_hardly_any_tissue_takes_the_rule_of_all(name):
    few = np.zeros((1, 2, SIDE, SIDE))
    few[0, 0, :10, :20] = 0.35
    stack = torch.cat([ihc(), photograph([BLUE, BROWN], few, (236, 236, 230))])
    apart = CONTROLS[name](stack, [0] * 6 + [1], he())
    together = CONTROLS[name](stack, [0] * 7, he())
    assert (apart[-1].int() - together[-1].int()).abs().max() <= 12


# --- each of them -------------------------------------------------------------------------------


def test_grey_is_the_luma_of_pillow_in_all_colours():
    stack = ihc(2)
    for image, found in zip(stack, CONTROLS["grey"](stack, [0, 0], he(1)), strict=True):
        luma = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert (found.numpy() == luma).all()


def test_histogram_of_tissue_agrees_with_scikit_image():
    stack, source = ihc(), he()
    moved = CONTROLS["histogram"](stack, [0] * 6, source)
    own, home = tissue(stack, glass(stack)), tissue(source, glass(source))
    expected = match_histograms(own, home, channel_axis=-1)
    table = {tuple(a): b for a, b in zip(own.astype(int).tolist(), expected, strict=True)}
    dark = (stack.permute(0, 2, 3, 1) < 180).all(-1)  # wholly by the rule
    pixels = stack.permute(0, 2, 3, 1)[dark].tolist()
    found = moved.permute(0, 2, 3, 1)[dark].numpy()
    wanted = np.array([table[tuple(pixel)] for pixel in pixels])
    assert len(pixels) > 500
    assert np.abs(found - wanted).max() <= 0.5 + 1e-6


def test_reinhard_gives_tissue_the_mean_and_spread_of_the_source():
    stack = photograph([BLUE, BROWN], two_stains(6, 0, 0.4, 0.3))
    source = photograph([PURPLE, PINK], two_stains(6, 50, 0.5, 0.3), (245, 244, 245))
    moved = CONTROLS["reinhard"](stack, [0] * 6, source)
    seen = np.linalg.norm(
        optical_density(stack.permute(0, 2, 3, 1).numpy().astype(float), glass(stack)), axis=-1
    )
    deep = torch.from_numpy(seen >= 0.1)
    own = rgb2lab(moved.permute(0, 2, 3, 1)[deep].numpy() / 255)
    wanted = rgb2lab(tissue(source, glass(source)) / 255)
    np.testing.assert_allclose(own.mean(0), wanted.mean(0), atol=1.5)
    np.testing.assert_allclose(own.std(0), wanted.std(0), rtol=0.1)


@pytest.mark.parametrize("vectors", [[PURPLE, PINK], [BLUE, BROWN]])
def test_macenko_finds_the_stains_even_one_that_is_clear_in_red(vectors):
    density = optical_density(
        tissue(photograph(vectors, two_stains(8)), np.full(3, 235.0)), np.array([235, 235, 230.0])
    )
    for found, true in zip(stain_vectors(density), unit(vectors), strict=True):
        assert np.degrees(np.arccos(np.clip(found @ true, -1, 1))) < 3


@pytest.mark.parametrize("turned", [1, -1])
def test_stains_do_not_depend_on_the_sign_of_singular_vectors(turned, monkeypatch):
    density = optical_density(
        tissue(photograph([BLUE, BROWN], two_stains(8)), np.full(3, 235.0)), np.full(3, 235.0)
    )
    expected = stain_vectors(density)
    solve = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda m: (solve(m)[0], turned * solve(m)[1]))
    np.testing.assert_allclose(stain_vectors(density), expected, atol=1e-9)


def test_macenko_undoes_another_laboratory():
    amounts = two_stains(6)
    target = photograph([[0.84, 0.51, 0.18], [0.10, 0.90, 0.42]], 0.6 * amounts, (225, 228, 220))
    truth = photograph([PURPLE, PINK], amounts, (245, 244, 245), seed=3)
    moved = CONTROLS["macenko"](target, [0] * 6, he())
    before, after = ((x.float() - truth.float()).abs().mean().item() for x in (target, moved))
    assert after < 6 < before / 4


def test_macenko_takes_the_rule_of_all_on_a_slide_of_one_stain():
    both = two_stains(6, 0, 0.5, 0.5)
    one = two_stains(3, 70, 0.5, 0.0)
    stack = photograph([BLUE, BROWN], np.concatenate([both, one]))
    moved = CONTROLS["macenko"](stack, [0] * 6 + [1] * 3, he())
    own = moved[6:].permute(0, 2, 3, 1)[torch.from_numpy(one[:, 0] > 0.4)].float().mean(0)
    colour = optical_density(own.numpy(), np.array([245, 244, 245.0]))
    assert colour @ unit([PURPLE])[0] / np.linalg.norm(colour) > 0.99


def test_macenko_refuses_stacks_of_one_stain():
    one = photograph([BLUE, BROWN], two_stains(6, 0, 0.5, 0.0))
    with pytest.raises(InputError, match="one stain"):
        CONTROLS["macenko"](one, [0] * 6, he())
    with pytest.raises(InputError, match="one stain"):
        CONTROLS["macenko"](he(), [0] * 6, one)


def mean_density(stack, where):
    light = stack.permute(0, 2, 3, 1)[torch.from_numpy(where)].float().mean(0).numpy()
    return optical_density(light, np.array([245, 244, 245.0]))


def test_recombination_makes_nuclei_of_both_colours_the_same_and_ground_pink():
    nuclei = two_stains(6, 0, 0.35, 0.0)[:, 0]
    blue = np.stack([nuclei, np.zeros_like(nuclei)], axis=1)
    brown = blue[:3, ::-1] * 2.5
    ground = np.full((1, 2, SIDE, SIDE), 0.05)  # a faint veil, as on a real section
    ground[:, :, :, :12] = 0
    stack = photograph([BLUE, BROWN], np.concatenate([brown, blue[3:]]) + ground)
    moved = CONTROLS["recombination"](stack, [0] * 6, he())
    was_brown, was_blue = nuclei > 0.3, nuclei > 0.3
    was_brown[3:], was_blue[:3] = False, False
    one, other = mean_density(moved, was_brown), mean_density(moved, was_blue)
    for density in (one, other):
        assert density @ unit([PURPLE])[0] / np.linalg.norm(density) > 0.97
    assert np.linalg.norm(one) == pytest.approx(np.linalg.norm(other), rel=0.1)
    red = moved[:, 0].float().numpy()
    assert red[was_brown].std() == pytest.approx(red[was_blue].std(), rel=0.5)  # no dark blots
    away = ndimage.binary_erosion(nuclei == 0, np.ones((1, 3, 3)))
    pale = mean_density(moved, away & (np.arange(SIDE) > 16))
    assert pale[1] > 2 * pale[0]  # green is taken: pink
    assert pale[1] > 0.1
    assert np.linalg.norm(mean_density(moved, away & (np.arange(SIDE) < 8))) < 0.02


def test_haematoxylin_keeps_blue_and_drops_brown():
    amounts = two_stains(6, 0, 0.4, 0.8)
    moved = CONTROLS["haematoxylin"](photograph([BLUE, BROWN], amounts), [0] * 6, he())
    kept = mean_density(moved, amounts[:, 0] > 0.3)
    dropped = mean_density(moved, amounts[:, 1] > 0.6)
    assert kept @ unit([PURPLE])[0] / np.linalg.norm(kept) > 0.97
    assert dropped[0] < 0.25 * kept[0]  # hardly anything takes red


def test_where_nothing_is_brown_its_veil_makes_no_nuclei():
    amounts = two_stains(6, 0, 0.4, 0.0)
    amounts[:, 1, :, 12:] = 0.1  # a veil, beside glass
    stack = photograph([BLUE, BROWN], amounts, noise=2.0)
    moved = CONTROLS["recombination"](stack, [0] * 6, he())
    ground = mean_density(moved, (amounts[:, 0] == 0) & (amounts[:, 1] > 0))
    assert ground[0] < 0.45 * mean_density(moved, amounts[:, 0] > 0.3)[0]


# --- what is refused ----------------------------------------------------------------------------


def test_what_is_no_colour_stack_with_slides_is_refused():
    stack, source = ihc(2), he(2)
    control = CONTROLS["reinhard"]
    with pytest.raises(InputError, match=r"stack: torch\.uint8 \(2, 1, 48, 48\)"):
        control(stack[:, :1], [0, 0], source)
    with pytest.raises(InputError, match=r"source: torch\.float32"):
        control(stack, [0, 0], source.float())
    with pytest.raises(InputError, match="2 images, 3 slides"):
        control(stack, [0, 0, 1], source)
    with pytest.raises(InputError, match="of the source show"):
        control(stack, [0, 0], blank(2))


def test_amounts_and_light_are_inverse():
    stains = Stains(unit([BLUE, PINK]), np.array([240.0, 238, 230]))
    amounts = np.random.default_rng(0).uniform(0, 1, (50, 2))
    np.testing.assert_allclose(stains.amounts(stains.light(amounts)), amounts, atol=1e-9)
