"""Where a training computes: every precision on every processor, and a word where it is slow."""

import warnings

import numpy as np
import pytest
import torch

from engine.fabric import has_library_convolutions, layout_of, make_fabric
from lib.models.classifier import predict_logits, train_classifier
from lib.models.networks import build_network
from lib.models.segmentation import segment, train_segmenter
from lib.models.translation import train_translator
from lib.studies.embryo import EmbryoParameters

CPU = torch.device("cpu")
PRECISIONS = ("32-true", "bf16-mixed", "64-true")
TINY = dict(
    image_size=32, base_filters=4, blocks=1, translator_batch=2, classifier_batch=8, threads=1,
    device="cpu", classifier_epochs=1,
)  # fmt: skip


def stack(count):
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 1, 32, 32), generator=generator, dtype=torch.uint8)


def classifier(params):
    labels, rows = np.arange(24) % 2, np.arange(24)
    network = build_network("test_resnet", 1, "")
    trained, history = train_classifier(network, stack(24), labels, rows[:16], rows[16:], params, 0)
    return history, predict_logits(trained, stack(4))


def segmenter(params):
    trained, history = train_segmenter(stack(40), stack(40) > 127, params, 0, [1.0])
    return history, segment(trained, stack(4)).numpy()


def translator(params):
    trained, history = train_translator(stack(5), stack(7), None, params, 2, 0)
    return history, trained.to_source.last.weight.detach().float().numpy()


@pytest.fixture(params=[True, False], ids=["library", "plain"])
def library(request):
    """With and without oneDNN: the flag of torch is taken at once, in this process."""
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(request.param)
    yield request.param
    torch._C._set_mkldnn_enabled(enabled)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("train", [classifier, segmenter, translator])
def test_every_precision_trains_with_the_library_and_without(train, precision, library):
    history, made = train(EmbryoParameters(**TINY, precision=precision))
    assert np.isfinite(history.select_dtypes("number").to_numpy()).all()
    assert np.isfinite(made).all()


def test_layout_follows_what_torch_would_choose(library):
    for number in (torch.float32, torch.bfloat16, torch.float64):
        fast = has_library_convolutions(CPU, number)
        assert not (fast and not library)
        expected = torch.channels_last if fast else torch.contiguous_format
        assert layout_of(CPU, number) == expected
    assert has_library_convolutions(CPU, torch.float32) == library
    assert not has_library_convolutions(CPU, torch.float64)


@pytest.mark.parametrize(("precision", "slow"), [("32-true", False), ("bf16-mixed", True)])
def test_slow_numbers_are_told(precision, slow, monkeypatch):
    monkeypatch.setattr("engine.fabric.has_library_convolutions", lambda device, number: False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        make_fabric(EmbryoParameters(**TINY, precision=precision))
    words = [str(one.message) for one in told if "Set precision to 32-true" in str(one.message)]
    assert len(words) == int(slow)
