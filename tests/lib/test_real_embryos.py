"""Real embryos by a simulated phone: registered, framed as phantoms are, and different in look."""

import numpy as np
import pytest

from lib.data.images import decode
from lib.data.real_embryos import through_phone
from lib.evaluation.fidelity import likeness
from lib.phantom.embryo import grow
from lib.phantom.optics import photograph
from lib.studies.embryo import EmbryoParameters

PARAMS = EmbryoParameters(phantom_width=128, image_size=64)


def check(pairs, count: int):
    shape = (count, 1, 64, 64)
    assert all(stack.shape == shape for stack in vars(pairs).values())
    share = pairs.inside.float().mean().item()
    assert share == pytest.approx(np.pi / 4 / PARAMS.field_of_view**2, abs=0.01)
    # The phone's look is another one, and the good device's own comes back.
    ssim = [
        likeness(pairs.truth, look, pairs.inside)["inside_ssim"].mean()
        for look in (pairs.look, pairs.again)
    ]
    assert ssim[0] < 0.3
    assert ssim[1] > 0.7


def test_phantoms_of_the_good_device_stand_for_real_ones():
    seeds = np.arange(6)
    taken = photograph(grow(seeds, 256, 0.6), seeds, "ED4", 256)
    pairs = through_phone(list(taken.images), PARAMS)
    check(pairs, 6)
    nearest = [
        [likeness(truth[None], look[None], inside[None])["inside_error"].item()
         for truth, inside in zip(pairs.truth, pairs.inside, strict=True)]
        for look in pairs.again
    ]  # fmt: skip
    assert (np.argmin(nearest, axis=1) == np.arange(6)).all()


def test_real_frames(shared_data):
    paths = sorted((shared_data / "embryo_embryoscope_stork" / "images").glob("*_f+00.jpg"))
    check(through_phone([decode(path) for path in paths], PARAMS), len(paths))
