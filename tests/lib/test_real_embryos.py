"""Real embryos by a simulated phone: registered, framed as phantoms are, and different in look."""

import numpy as np
import pytest
import torch

from lib.data.images import decode
from lib.data.real_embryos import through_phone
from lib.phantom.embryo import grow
from lib.phantom.optics import photograph
from lib.studies.embryo import EmbryoParameters

PARAMS = EmbryoParameters(phantom_width=128, image_size=64)


def check(pairs, count: int):
    assert pairs.truth.shape == pairs.look.shape == pairs.inside.shape == (count, 1, 64, 64)
    share = pairs.inside.float().mean().item()
    assert share == pytest.approx(np.pi / 4 / PARAMS.field_of_view**2, abs=0.01)
    # The well's dark outside lies beyond the embryo: the phone shows it brighter.
    assert (pairs.look.float() - pairs.truth.float()).abs().mean() > 5


def test_phantoms_of_the_good_device_stand_for_real_ones():
    seeds = np.arange(6)
    taken = photograph(grow(seeds, 256, 0.6), seeds, "ED4", 256)
    pairs = through_phone(list(taken.images), PARAMS)
    check(pairs, 6)
    edges = [
        x.float().diff(dim=-1)[..., 8:-8, 8:-8].abs().flatten(1) for x in (pairs.truth, pairs.look)
    ]
    likeness = torch.corrcoef(torch.cat(edges))[:6, 6:]
    assert (likeness.argmax(1) == torch.arange(6)).all()


def test_real_frames(shared_data):
    paths = sorted((shared_data / "embryo_embryoscope_stork" / "images").glob("*_f+00.jpg"))
    check(through_phone([decode(path) for path in paths], PARAMS), len(paths))
