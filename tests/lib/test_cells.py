"""Cell cultures and their microscopes: known truth, the same for all optics, and real physics."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import ndimage

from engine.errors import InputError
from lib.phantom.cell_contrast import View, defocused, interference_contrast, phase_contrast
from lib.phantom.cell_optics import (
    DEVICES,
    add_blobs,
    photograph_by_random,
    photograph_cultures,
    random_microscope,
)
from lib.phantom.cells import DEPTH, LAYERS, LINES, SMALL, grow_cultures
from lib.phantom.dish import MIN_PIXELS

SHAPE = (96, 128)
SEEDS = np.arange(12)
NAMES = tuple(LINES) * 2
EIGHT = np.ones((3, 3))


@pytest.fixture(scope="module")
def flat():
    return grow_cultures(SEEDS, SHAPE, NAMES, "flat")


@pytest.fixture(scope="module")
def gel():
    return grow_cultures(SEEDS, SHAPE, ["spindle"] * len(SEEDS), "gel", particles=True)


def rows(cultures, index):
    """Some fields of view of some cultures."""
    return replace(
        cultures,
        **{f.name: getattr(cultures, f.name)[index] for f in fields(cultures) if f.name != "line"},
        line=tuple(np.array(cultures.line)[index]),
    )


def disc(depth: float = 0.0, thickness: float = 0.5, particle: bool = False) -> View:
    """One flat-topped disc of radius 10 px in the middle of 81 x 81 px."""
    y, x = np.mgrid[-40:41, -40:41]
    body = np.clip(10.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return View(
        layers=(0 if particle else thickness) * body[None],
        particles=particle * body[None],
        depth=np.array([depth], np.float32),
        absorption=0 * body,
    )


FOCUS = dict(focus=0.0, power=0.4, refraction=0.0, density=0.0)
PHASE = dict(halo=0.8, reach=3.0, contrast=0.3, ring=1.0)


@pytest.mark.parametrize("culture", ["flat", "gel"])
def test_a_culture_depends_on_its_seed_and_line_alone(culture):
    together = grow_cultures(SEEDS[:4], SHAPE, NAMES[:4], culture, particles=True)
    alone = grow_cultures(SEEDS[2:3], SHAPE, NAMES[2:3], culture, particles=True)
    again = grow_cultures(SEEDS[:4], SHAPE, NAMES[:4], culture, particles=True)
    for f in fields(together):
        whole = getattr(together, f.name)
        np.testing.assert_array_equal(whole[2:3], getattr(alone, f.name), err_msg=f.name)
        np.testing.assert_array_equal(whole, getattr(again, f.name), err_msg=f.name)
    assert not np.array_equal(together.height[0], together.height[1])


@pytest.mark.parametrize("device", [*DEVICES, "random"])
def test_a_photograph_depends_on_its_seed_and_culture_alone(gel, device):
    def shoot(cultures, seeds):
        if device == "random":
            return photograph_by_random(cultures, seeds)
        return photograph_cultures(cultures, seeds, device)

    together = shoot(gel, SEEDS)
    assert together.dtype == np.uint8
    assert together.shape == (len(SEEDS), *SHAPE)
    order = np.array([7, 2])
    np.testing.assert_array_equal(shoot(rows(gel, order), SEEDS[order]), together[order])
    assert not np.array_equal(shoot(gel, SEEDS + 100), together)


@pytest.mark.parametrize("kind", ["flat", "gel"])
def test_instances_are_whole_cells_that_the_height_shows(kind, request):
    cultures = request.getfixturevalue(kind)
    for height, instances in zip(cultures.height, cultures.instances, strict=True):
        labels = np.unique(instances)
        np.testing.assert_array_equal(labels, np.arange(len(labels)))
        assert len(labels) > 1
        for label in labels[1:]:
            mask = instances == label
            assert mask.sum() >= MIN_PIXELS
            assert ndimage.label(mask, EIGHT)[1] == 1
        assert (height[instances > 0] > 0).all()
        # What rises beside the cells is debris: specks, far smaller in all than the cells.
        assert ((height > 0) & (instances == 0)).mean() < 0.02


def test_height_is_the_sum_of_the_layers(gel):
    np.testing.assert_allclose(gel.height, gel.layers.astype(np.float32).sum(1), atol=0.01)


def test_all_optics_see_the_same_cells(flat):
    """Photographs are rough where their own truth has cells, not where another's has."""
    bodies = flat.instances > 0
    for device in DEVICES:
        images = photograph_cultures(flat, SEEDS, device).astype(float)
        rough = np.stack([ndimage.gaussian_gradient_magnitude(i, 0.7) for i in images])
        own = np.array([r[b].mean() / r.mean() for r, b in zip(rough, bodies, strict=True)])
        other = np.array([r[b].mean() / r.mean() for r, b in zip(rough, bodies[::-1], strict=True)])
        assert (own > other).mean() > 0.8, device
        assert own.mean() > 1.08 * other.mean(), device


def test_lines_differ_in_size_in_their_order():
    cultures = grow_cultures(np.arange(18), (128, 128), tuple(LINES) * 3, "flat")
    areas = {name: [] for name in LINES}
    for name, instances in zip(cultures.line, cultures.instances, strict=True):
        areas[name].extend(np.bincount(instances.ravel())[1:])
    medians = [np.median(a) for a in areas.values()]
    assert medians == sorted(medians)
    assert medians[-1] > 3 * medians[len(SMALL)] > 0
    assert tuple(LINES)[: len(SMALL)] == SMALL


def test_flat_cultures_are_denser_than_gels(flat, gel):
    crowd, few = ((c.instances > 0).mean(axis=(1, 2)) for c in (flat, gel))
    assert 0.15 < crowd.mean() < 0.5
    assert 0.03 < few.min() < few.max() < 0.16


def test_cells_of_a_gel_lie_on_both_sides_of_focus(gel, flat):
    assert gel.layers.shape[1] == LAYERS
    assert (np.diff(gel.depth, axis=1) > 0).all()
    assert (gel.depth[:, 0] < 0).all()
    assert (gel.depth[:, -1] > 0).all()
    assert np.abs(gel.depth).max() <= DEPTH
    used = (gel.layers > 0).any(axis=(2, 3))
    assert (used.sum(axis=1) > 1).all()
    assert (flat.depth == 0).all()


def test_particles_of_two_sizes_change_nothing_but_themselves(gel):
    without = grow_cultures(SEEDS, SHAPE, ["spindle"] * len(SEEDS), "gel")
    for name in ("height", "absorption", "instances", "layers", "depth"):
        np.testing.assert_array_equal(getattr(gel, name), getattr(without, name), err_msg=name)
    assert not without.particles.any()
    areas = []
    for particles in gel.particles:
        pieces, count = ndimage.label(particles)
        areas.extend(ndimage.sum(particles, pieces, np.arange(1, count + 1)))
    whole = np.array(areas)
    small, large = np.pi * 2.1**2, np.pi * 3.9**2
    assert (np.abs(whole / small - 1) < 0.2).mean() > 0.3
    assert (np.abs(whole / large - 1) < 0.2).mean() > 0.1
    images = photograph_cultures(gel, SEEDS, "gel").astype(float)
    dark = images / images.mean(axis=(1, 2), keepdims=True)
    assert dark[gel.particles > 0.9].mean() < 0.75


def test_an_empty_culture_keeps_its_debris():
    empty = grow_cultures(SEEDS, SHAPE, NAMES, "flat", empty=True)
    assert not empty.instances.any()
    assert (empty.height > 0).any(axis=(1, 2)).all()
    assert photograph_cultures(empty, SEEDS, "phase").std(axis=(1, 2)).max() < 12


@pytest.mark.parametrize("sign", [1, -1])
def test_phase_contrast_has_a_halo_of_the_other_sign(sign):
    light = phase_contrast(disc(), sign=sign, **PHASE)
    assert light[0, 0] == pytest.approx(1, abs=1e-5)
    assert -sign * (light[40, 48] - 1) > 0.05  # just inside the rim
    assert sign * (light[40, 53] - 1) > 0.02  # just outside
    # Shade-off: the middle of a wide cell fades.
    assert abs(light[40, 40] - 1) < abs(light[40, 48] - 1)


def test_phase_contrast_of_a_thin_cell_follows_the_linear_model():
    """Yin, Kanade & Chen (2012): light is linear in the phase less its lowpass."""
    thin = disc(thickness=0.01)
    low = ndimage.gaussian_filter(thin.layers[0], 3.0, mode="nearest", truncate=3.0)
    expected = 1 - 0.3 * 2 * (thin.layers[0] - 0.8 * low)
    np.testing.assert_allclose(phase_contrast(thin, sign=1, **PHASE), expected, atol=1e-4)


def test_a_rounded_cell_shines_where_a_spread_one_is_dark():
    spread, rounded = (
        phase_contrast(disc(thickness=t), sign=1, **PHASE | {"halo": 0.3}) for t in (0.8, 3.0)
    )
    assert spread[40, 47] < 0.95
    assert rounded[40, 47] > 1.3


def test_interference_contrast_is_a_slope_along_the_shear():
    light = interference_contrast(disc(), angle=0.0, gain=0.5) - 1
    np.testing.assert_allclose(light.sum(axis=1), 0, atol=1e-4)
    assert light[40, 30] > 0.05
    assert light[40, 50] < -0.05
    back = interference_contrast(disc(), angle=np.pi, gain=0.5) - 1
    np.testing.assert_allclose(back, -light, atol=1e-5)
    across = interference_contrast(disc(), angle=np.pi / 2, gain=0.5) - 1
    np.testing.assert_allclose(across, light.T, atol=1e-5)


def test_defocus_turns_the_rim_over_and_spends_no_light():
    behind, before = (defocused(disc(d), **FOCUS) - 1 for d in (2.0, -2.0))
    assert behind[40, 48] > 0.03 > -0.03 > before[40, 48]
    assert behind[40, 52] < -0.03 < 0.03 < before[40, 52]
    np.testing.assert_allclose(behind, -before, atol=1e-5)
    assert abs(behind.sum()) < 1e-2
    np.testing.assert_allclose(defocused(disc(0.0), **FOCUS), 1, atol=1e-6)
    np.testing.assert_allclose(defocused(disc(0.0), **FOCUS | {"focus": 2.0}) - 1, behind)


def test_defocus_blurs_more_the_further_off():
    near, far = (defocused(disc(d), **FOCUS | {"power": 0.4 / d})[40] for d in (1.0, 6.0))
    assert np.abs(np.diff(near)).max() > 1.5 * np.abs(np.diff(far)).max()


def test_a_particle_is_dark_whatever_the_contrast():
    ball = disc(particle=True)
    for light in (
        phase_contrast(ball, sign=1, **PHASE),
        interference_contrast(ball, angle=0.0, gain=0.5),
        defocused(ball, **FOCUS),
    ):
        assert light[40, 40] < 0.5


def test_random_microscopes_surround_the_named_ones():
    def draw(assemble):
        return [assemble(np.random.default_rng([seed, 5])) for seed in range(300)]

    def within(theirs, wide, name):
        slack = 0.02 * np.ptp(wide)
        assert min(wide) - slack < min(theirs) <= max(theirs) < max(wide) + slack, name

    machines = draw(random_microscope)
    kinds = {m.contrast.func for m in machines}
    assert kinds == {phase_contrast, interference_contrast, defocused}
    for device in (DEVICES["gel"], DEVICES["phase"]):
        named = draw(device)
        for name in ("softness", "level", "gamma", "slant", "clouds", "mottle", "noise"):
            within([getattr(m, name) for m in named], [getattr(m, name) for m in machines], name)
        alike = [m.contrast for m in machines if m.contrast.func is named[0].contrast.func]
        for name in named[0].contrast.keywords:
            theirs = [m.contrast.keywords[name] for m in named]
            within(theirs, [contrast.keywords[name] for contrast in alike], name)


def test_blobs_are_small_round_and_dark():
    plain = np.full((8, 64, 64), 140, np.uint8)
    blotted = add_blobs(plain, SEEDS[:8])
    assert (plain == 140).all()
    assert (blotted <= 140).all()
    assert 0.005 < (blotted < 100).mean() < 0.06
    np.testing.assert_array_equal(add_blobs(plain[3:4], SEEDS[3:4])[0], blotted[3])


def test_the_smallest_field(flat):
    small = grow_cultures(SEEDS[:6], (32, 32), NAMES[:6], "gel", particles=True)
    assert photograph_cultures(small, SEEDS[:6], "gel").shape == (6, 32, 32)


def test_unknown_names_are_refused(flat):
    with pytest.raises(InputError, match=r"'HeLa' is unknown: choose one of round_small"):
        grow_cultures(SEEDS[:1], SHAPE, ["HeLa"], "flat")
    with pytest.raises(InputError, match="give every seed its line"):
        grow_cultures(SEEDS[:2], SHAPE, ["spindle"], "flat")
    with pytest.raises(InputError, match=r"'confocal' is unknown: choose one of phase"):
        photograph_cultures(flat, SEEDS, "confocal")
