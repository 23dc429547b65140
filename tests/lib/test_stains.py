"""Staining and scanning of phantom tissue: Beer and Lambert, and the look of each domain."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import InputError
from lib.phantom.scanners import (
    DEVICES,
    FIRST,
    SECOND,
    photograph_by_random,
    photograph_tissue,
    random_scanner,
    scan,
)
from lib.phantom.stains import (
    DYES,
    ONE,
    TWO,
    UPTAKE,
    random_staining,
    stain_tissue,
    staining_run,
)
from lib.phantom.tissue import LABELS, MATTER, grow_tissue

SEEDS = np.arange(12)
SLIDES = SEEDS // 3


@pytest.fixture(scope="module")
def tissue():
    return grow_tissue(SEEDS, 64, 0.75, LABELS * 6)


@pytest.fixture(scope="module")
def photographs(tissue):
    return {d: photograph_tissue(tissue, SLIDES, d).astype(float) for d in DEVICES}


def with_matter(tissue, **amounts):
    """Tissue that holds ``amounts`` everywhere and nothing else."""
    shape = tissue.instances.shape
    return replace(tissue, **{n: np.full(shape, amounts.get(n, 0.0), np.float32) for n in MATTER})


def rows(tissue, index):
    """Some fields of a tissue."""
    names = ("seeds", "instances", "her2", *MATTER)
    return replace(
        tissue,
        **{name: getattr(tissue, name)[index] for name in names},
        labels=tuple(np.array(tissue.labels)[index]),
    )


def positives(tissue):
    """Pixels of Ki67-positive and of negative nuclei."""
    shown = np.zeros(tissue.instances.shape, bool)
    for image, table in tissue.nuclei[tissue.nuclei["positive"]].groupby("image"):
        shown[image] = np.isin(tissue.instances[image], table["number"])
    return shown, (tissue.instances > 0) & ~shown


@pytest.mark.parametrize("protocol", UPTAKE)
def test_densities_of_matter_add_up(tissue, protocol):
    """Beer-Lambert: light through two things is the product of the light through each."""
    run = staining_run(protocol, TWO, np.random.default_rng(3))
    both = dict(chromatin=0.7, cytoplasm=0.4, nuclear_antigen=0.3, membrane_antigen=0.8)
    together = stain_tissue(with_matter(tissue, **both), 0, run)
    alone = [stain_tissue(with_matter(tissue, **{n: a}), 0, run) for n, a in both.items()]
    np.testing.assert_allclose(10**-together, np.prod([10**-d for d in alone], axis=0), rtol=1e-5)
    thick = stain_tissue(with_matter(tissue, **both), 0, replace(run, thickness=2 * run.thickness))
    np.testing.assert_allclose(10**-thick, 10 ** (-2 * together), rtol=1e-5)


def test_density_of_one_dye_is_its_amount_along_its_vector(tissue):
    run = replace(
        staining_run("ki67", TWO, np.random.default_rng(0)),
        vectors=np.array([[0.6, 0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.6, 0.8]]),
        strength=np.array([0.5, 0.5, 2.0]),
        thickness=1.0,
    )
    density = stain_tissue(with_matter(tissue, nuclear_antigen=0.25), 0, run)
    np.testing.assert_allclose(density[:, 5, 5], [0.0, 0.3, 0.4], atol=1e-6)


def test_uptake_names_matter_and_dyes():
    for protocol, dyes in UPTAKE.items():
        assert protocol in DEVICES
        assert set(dyes) <= set(DYES)
        assert set().union(*dyes.values()) <= set(MATTER)


@pytest.mark.parametrize("scanner", [FIRST, SECOND])
def test_an_empty_slide_is_the_white_of_the_scanner(scanner):
    image = scan(np.zeros((3, 64, 64), np.float32), scanner, 0.75, np.random.default_rng(0))
    np.testing.assert_allclose(image.mean(axis=(1, 2)), 255 * scanner.white, atol=0.5)
    assert image.std() < 1.5 * scanner.noise + 4


def test_a_perfect_scanner_shows_ten_to_the_minus_density():
    plain = replace(
        FIRST, white=np.ones(3), colour=np.eye(3), gamma=1.0, softness=1e-3, sharpening=0.0,
        noise=0.0,
    )  # fmt: skip
    density = np.linspace(0, 2, 3 * 16 * 16, dtype=np.float32).reshape(3, 16, 16)
    image = scan(density, plain, 0.75, np.random.default_rng(0))
    np.testing.assert_allclose(image, 255 * 10**-density, atol=0.51)


def test_blur_is_as_wide_in_um_at_any_pixel_size():
    soft = replace(FIRST, colour=np.eye(3), gamma=1.0, softness=1.0, sharpening=0.0, noise=0.0)
    for um in (0.5, 0.25):
        edge = np.zeros((3, 64, 64), np.float32)
        edge[..., 32:] = 2.0
        profile = scan(edge, soft, um, np.random.default_rng(0))[1, 30].astype(float)
        step = -np.diff(profile)
        at = (np.arange(63) + 1) * um
        spread = np.sqrt((step * (at - 32 * um) ** 2).sum() / step.sum())
        assert spread == pytest.approx(1.0, rel=0.08)


def test_more_antigen_is_darker_and_browner(tissue):
    images = []
    for amount in (0.0, 0.3, 0.6, 1.0):
        changed = with_matter(tissue, chromatin=0.6, ground=1.0, nuclear_antigen=amount)
        images.append(photograph_tissue(changed, SLIDES, "ki67").mean(axis=(0, 2, 3)))
    red, green, blue = np.array(images).T
    for channel in (red, green, blue):
        assert (np.diff(channel) < 0).all()
    assert (np.diff(red - blue) > 0)[:2].all()
    assert blue[0] > red[0] + 10  # without it, blue
    assert red[-1] > blue[-1] + 10


def test_each_domain_sees_its_own_antigen_alone(tissue):
    for domain, blind in {
        "he": ("nuclear_antigen", "membrane_antigen"),
        "ki67": ("membrane_antigen",),
        "her2": ("nuclear_antigen",),
    }.items():
        without = replace(tissue, **{n: 0 * getattr(tissue, n) for n in blind})
        np.testing.assert_array_equal(
            photograph_tissue(tissue, SLIDES, domain), photograph_tissue(without, SLIDES, domain)
        )
    without = replace(tissue, nuclear_antigen=0 * tissue.nuclear_antigen)
    assert not np.array_equal(
        photograph_tissue(tissue, SLIDES, "ki67"), photograph_tissue(without, SLIDES, "ki67")
    )


def test_the_same_nuclei_are_dark_in_all_domains(tissue, photographs):
    photographs = {**photographs, "random": photograph_by_random(tissue, SEEDS).astype(float)}
    assert photographs["he"].shape == (12, 3, 64, 64)
    plain = np.flatnonzero(tissue.her2 == 0)  # membranes are darker than nuclei
    for domain, images in photographs.items():
        for image in plain:
            red, inside = images[image, 0], tissue.instances[image] > 0
            assert red[inside].mean() < red[~inside].mean() - 2, domain


def test_stroma_is_pink_in_he_and_nearly_colourless_in_ihc(tissue, photographs):
    stroma = (tissue.fibres > 0.3) & (tissue.cytoplasm < 0.01) & (tissue.chromatin < 0.01)
    colour = {
        d: images.transpose(0, 2, 3, 1)[stroma].mean(axis=0) for d, images in photographs.items()
    }
    red, green, blue = colour["he"]
    assert red > blue > green + 20
    for domain in ("ki67", "her2"):
        assert np.ptp(colour[domain]) < 20
        assert colour[domain].min() > 185


def test_negative_nuclei_are_pale_blue_and_positive_ones_brown(tissue, photographs):
    yes, no = (m & (tissue.chromatin > 0.3) for m in positives(tissue))
    images = photographs["ki67"].transpose(0, 2, 3, 1)
    rest = tissue.instances == 0
    blueness = images[..., 2] - images[..., 0]
    assert blueness[no].mean() > max(5, blueness[rest].mean() + 15)
    assert images[yes][:, 0].mean() > images[yes][:, 2].mean() + 10
    assert images[yes].mean() < images[no].mean() - 40
    purple = photographs["he"].transpose(0, 2, 3, 1)[no]
    assert purple.mean() < images[no].mean() - 30
    assert purple[:, 1].mean() < purple[:, 0].mean() < purple[:, 2].mean()


def test_texture_of_positive_nuclei_hides_the_chromatin(tissue):
    """Two chromatins under one antigen: what differs in H&E hardly does where DAB is."""
    blank = replace(tissue, chromatin=np.minimum(tissue.chromatin, 0.4))
    shown = positives(tissue)[0] & (tissue.nuclear_antigen > 0.7)
    gap = {}
    for domain in ("he", "ki67"):
        one, two = (photograph_tissue(t, SLIDES, domain).astype(float) for t in (tissue, blank))
        gap[domain] = np.abs(one - two).mean(axis=1)[shown].mean()
    assert gap["ki67"] < 0.35 * gap["he"]


@pytest.mark.parametrize("domain", [*DEVICES, "random"])
def test_a_photograph_depends_on_its_field_and_slide_alone(tissue, domain):
    def shoot(fields, seeds):
        if domain == "random":
            return photograph_by_random(fields, seeds)
        return photograph_tissue(fields, seeds, domain)

    together = shoot(tissue, SLIDES)
    assert together.dtype == np.uint8
    order = np.array([7, 2])
    np.testing.assert_array_equal(shoot(rows(tissue, order), SLIDES[order]), together[order])
    assert not np.array_equal(shoot(tissue, SLIDES + 50), together)


def test_fields_of_a_slide_share_their_staining_and_slides_differ(tissue):
    flat = with_matter(tissue, chromatin=0.8, cytoplasm=0.4, ground=1.0)
    for domain in DEVICES:
        slides = np.repeat([1, 2, 3], 4)
        means = photograph_tissue(flat, slides, domain).mean(axis=(2, 3)).reshape(3, 4, 3)
        assert means.std(axis=1).max() < 0.5
        assert means.std(axis=0).max() > 2.0


def test_runs_keep_to_their_laboratory():
    for laboratory in (ONE, TWO):
        runs = [staining_run("he", laboratory, np.random.default_rng(s)) for s in range(200)]
        vectors = np.array([r.vectors for r in runs])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1)
        middle = vectors.mean(axis=0)
        own = np.array(laboratory.vectors)
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        angles = np.degrees(np.arccos((middle * own).sum(1) / np.linalg.norm(middle, axis=1)))
        assert angles.max() < 1.5
        turned = np.degrees(np.arccos(np.minimum((vectors * own).sum(axis=2), 1)))
        assert 0.5 < turned.mean() < 4


def test_random_devices_surround_the_named_ones():
    def within(theirs, wide, name):
        theirs, wide = np.asarray(theirs), np.asarray(wide)
        assert (theirs.min(axis=0) >= wide.min(axis=0)).all(), name
        assert (theirs.max(axis=0) <= wide.max(axis=0)).all(), name

    rngs = [np.random.default_rng([s, 9]) for s in range(600)]
    scanners = [random_scanner(rng) for rng in rngs]
    for name in ("white", "colour", "gamma", "softness", "sharpening", "noise"):
        within([getattr(s, name) for s in (FIRST, SECOND)],
               [getattr(s, name) for s in scanners], name)  # fmt: skip
    stainings = [random_staining(rng) for rng in rngs]
    assert {s.protocol for s in stainings} == set(UPTAKE)
    for device in DEVICES.values():
        runs = [
            staining_run(device.protocol, device.laboratory, np.random.default_rng(s))
            for s in range(60)
        ]
        for name in ("vectors", "strength", "thickness"):
            within([getattr(r, name) for r in runs], [getattr(s, name) for s in stainings], name)


def test_unknown_domains_are_refused(tissue):
    with pytest.raises(InputError, match=r"'pas' is unknown: choose one of he, ki67, her2"):
        photograph_tissue(tissue, SLIDES, "pas")
    with pytest.raises(InputError, match="give every field its slide"):
        photograph_tissue(tissue, SLIDES[:3], "he")
