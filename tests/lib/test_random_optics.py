"""Microscopes drawn at random: true pairs, the same at every call, and as various as they claim."""

import numpy as np
import pytest
import torch

from lib.data.random_looks import random_looks
from lib.data.seed_ranges import FIRST_SIMULATED
from lib.phantom.embryo import grow
from lib.phantom.optics import DEVICES, photograph
from lib.phantom.random_optics import random_machine, rephotograph_at_random
from lib.studies.embryo import EmbryoParameters

PARAMS = EmbryoParameters(phantom_width=128, image_size=64, threads=2)


@pytest.fixture(scope="module")
def looks():
    return random_looks(PARAMS, 20, 3, seed=0)


def edges(images: torch.Tensor) -> torch.Tensor:
    """Strength of edges of either sign, (N, H - 1, W - 1), without the well around the embryo."""
    across, down = images.float().diff(dim=-1)[:, :-1], images.float().diff(dim=-2)[..., :-1]
    return (across.abs() + down.abs())[:, 12:-12, 12:-12]


def test_looks_of_an_embryo_are_registered(looks):
    """Edges of an embryo lie where they lie in its own true photograph, not in another's."""
    for look in range(3):
        own, other = edges(looks.home[:, 0]), edges(looks.others[:, look])
        likeness = torch.corrcoef(torch.cat([own.flatten(1), other.flatten(1)]))[:20, 20:]
        assert (likeness.argmax(1) == torch.arange(20)).float().mean() > 0.8


def test_looks_repeat_themselves_and_follow_the_seed(looks):
    again = random_looks(PARAMS.model_copy(update={"threads": 1}), 20, 3, seed=0)
    assert torch.equal(again.home, looks.home)
    assert torch.equal(again.others, looks.others)
    other = random_looks(PARAMS, 20, 3, seed=1)
    assert not torch.equal(other.home, looks.home)


def test_more_phantoms_leave_the_first_ones_as_they_are(looks):
    few = random_looks(PARAMS, 12, 3, seed=0)
    assert torch.equal(few.home, looks.home[:12])
    assert torch.equal(few.others, looks.others[:12])


def test_no_phantom_of_a_run_is_among_them():
    largest = (300_000 - 1 + 1) * 3 * 1_000_000
    assert largest < FIRST_SIMULATED


def test_machines_surround_the_devices():
    """The phone and the clinic's microscope lie within what is drawn: blur, noise, compression."""
    rng = np.random.default_rng(0)
    machines = [random_machine(rng) for _ in range(300)]
    for device in (DEVICES["ED1"], DEVICES["ED3"]):
        softness = [machine.lens.keywords["softness"] for machine in machines]
        assert min(softness) < device.lens.keywords["softness"] < max(softness)
        noise = [machine.noise.keywords["sigma"][1] for machine in machines]
        assert min(noise) < device.noise.keywords["sigma"][0]
        assert max(noise) > device.noise.keywords["sigma"][1]
        quality = [machine.file.keywords["quality"] for machine in machines]
        assert min(low for low, _ in quality) < device.file.keywords["quality"][0]
        assert max(high for _, high in quality) >= device.file.keywords["quality"][1]


def test_machines_show_one_embryo_differently():
    embryo = grow(np.array([5]), 64, 0.5)
    rng = np.random.default_rng(1)
    seen = [photograph(embryo, np.array([5]), "random", 64, random_machine(rng)) for _ in range(40)]
    greys = np.array([taken.images.mean() for taken in seen])
    assert greys.std() > 15
    sizes = np.array([taken.radius[0] / taken.images.shape[1] for taken in seen])
    assert sizes.min() < 0.3 < 0.4 < sizes.max()
    for taken in seen:  # the embryo lies within the photograph, but for a rim
        assert taken.masks["embryo"].mean() > 0.1


def test_a_photograph_taken_again_keeps_its_place_and_follows_its_seed():
    image = np.full((48, 48), 60, np.uint8)
    image[16:32, 16:32] = 200
    once, again = (rephotograph_at_random(image, seed=3) for _ in range(2))
    assert once.shape == (48, 48, 3)
    assert (once == again).all()
    others = np.stack([rephotograph_at_random(image, seed) for seed in range(30)]).mean(3)
    inside = others[:, 20:28, 20:28].mean((1, 2))
    outside = np.concatenate([others[:, :8], others[:, -8:]], 1).mean((1, 2))
    assert (inside > outside).mean() > 0.9
    assert np.std(inside - outside) > 10
