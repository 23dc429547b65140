"""Both halves of a step at once: the same bits, and torch is left as it was."""

import threading
import time

import pytest
import torch

from engine.pair import Pair
from lib.models.texture import mind_loss
from lib.models.translation import train_translator
from lib.studies.embryo import EmbryoParameters


@pytest.fixture
def threads():
    """Set torch's threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_a_translator_of_two_threads_is_that_of_one_to_the_bit(threads):
    """Gradients of both halves are added in a fixed order; every kernel has one thread."""
    params = EmbryoParameters(
        image_size=32, base_filters=4, blocks=1, translator_batch=2, device="cpu",
        texture_rule="constant", texture_weight=0.1, translator_accumulation=2,
    )  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    target, source = (
        torch.randint(0, 256, (6, 1, 32, 32), generator=draw, dtype=torch.uint8) for _ in range(2)
    )
    weights = []
    for count in (1, 2, 2):
        threads(count)
        networks, _ = train_translator(target, source, mind_loss, params, 6, seed=0)
        weights.append(networks.state_dict())
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name])
        assert torch.equal(tensor, weights[2][name])


def test_each_half_has_half_of_the_threads_and_torch_gets_them_back(threads):
    threads(4)
    layer = torch.nn.Conv2d(1, 2, 3)

    def half(scale):
        torch.autograd.grad(layer(torch.ones(1, 1, 8, 8) * scale).sum(), [layer.weight])
        return scale, torch.get_num_threads()

    with Pair(torch.device("cpu")) as both:
        for _ in range(3):
            assert both(half, (1,), (2,)) == ((1, 2), (2, 2))
    assert torch.get_num_threads() == 4


def test_a_half_stays_on_its_thread(threads):
    """Autograd's order of adding gradients is the thread's."""
    threads(2)

    def slow(seconds):
        time.sleep(seconds)
        return threading.get_ident()

    with Pair(torch.device("cpu")) as both:
        seen = {both(slow, (0.02 * (n % 2),), (0.02 * (n % 3),)) for n in range(6)}
    assert len(seen) == 1
    assert len(set(*seen)) == 2


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_in_a_half_is_raised(threads, count):
    threads(count)
    with Pair(torch.device("cpu")) as both:
        with pytest.raises(ZeroDivisionError):
            both(lambda number: 1 / number, (1,), (0,))
        assert both(lambda number: 1 / number, (1,), (2,)) == (1, 0.5)
    assert torch.get_num_threads() == count
