"""Training, on images so small that it takes a second."""

import shutil

import numpy as np
import pandas as pd
import pytest
import timm
import torch

from engine.errors import InputError
from engine.fabric import DivergedError
from engine.keys import import_closure
from lib.models import texture
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble, predict_logits, to_unit, train_classifier
from lib.models.fitting import CLASSIFIER_CODE, check_networks
from lib.models.gate import Gate
from lib.models.networks import build_network
from lib.models.translation import linear_decay, polynomial_average, train_translator, translate
from lib.studies.embryo import EmbryoParameters

TINY = dict(
    image_size=32, base_filters=4, blocks=1, translator_batch=2, classifier_batch=8, threads=1,
    device="cpu",
)  # fmt: skip


def blobs(count: int, seed: int, dark: bool = False) -> tuple[torch.Tensor, np.ndarray]:
    """Discs of two sizes on a plain ground; the label is the size."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    y, x = np.mgrid[:32, :32] - 15.5
    disc = np.hypot(x, y)[None] < np.where(labels, 12.0, 6.0)[:, None, None]
    image = np.where(disc, 40, 200) if dark else np.where(disc, 200, 40)
    image = image + rng.normal(0, 8, image.shape)
    return torch.from_numpy(image.clip(0, 255).astype(np.uint8))[:, None], labels


def test_classifier_learns_and_repeats_to_the_bit():
    stack, labels = blobs(48, 0)
    p = EmbryoParameters(**TINY, classifier_epochs=4, classifier_rate=3e-3)
    train, valid = np.arange(32), np.arange(32, 48)

    def fit():
        torch.manual_seed(0)
        network = build_network("test_resnet", 1, "")
        return train_classifier(network, stack, labels, train, valid, p, seed=3)

    (first, history), (second, _) = fit(), fit()
    assert history["valid_auc"].iloc[-1] > 0.9
    assert list(history["epoch"]) == [1, 2, 3, 4]
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_classifier_never_sees_validation():
    stack, labels = blobs(48, 0)
    p = EmbryoParameters(**TINY, classifier_epochs=1)
    spoiled = stack.clone()
    spoiled[32:] = 255 - spoiled[32:]
    weights = []
    for images in (stack, spoiled):
        torch.manual_seed(0)
        network = build_network("test_resnet", 1, "")
        network, _ = train_classifier(
            network, images, labels, np.arange(32), np.arange(32, 48), p, seed=0
        )
        weights.append(network.state_dict())
    for a, b in zip(weights[0].values(), weights[1].values(), strict=True):
        assert torch.equal(a, b)


def test_classes_weigh_the_same_whatever_their_counts():
    """With one image in eight positive, an untrained bias would call everything negative."""
    stack, labels = blobs(128, 1)
    keep = np.concatenate([np.flatnonzero(labels == 0)[:56], np.flatnonzero(labels == 1)[:8]])
    p = EmbryoParameters(**TINY, classifier_epochs=6, classifier_rate=3e-3)
    torch.manual_seed(0)
    network, _ = train_classifier(
        build_network("test_resnet", 1, ""), stack, labels, keep, np.arange(100, 128), p, seed=0
    )
    rest = np.setdiff1d(np.arange(128), keep)
    called = predict_logits(network, stack[torch.as_tensor(rest)]) > 0
    assert called[labels[rest] == 1].mean() > 0.7


def test_translator_moves_towards_the_source_and_repeats():
    target, _ = blobs(16, 0, dark=True)
    source, _ = blobs(16, 1)
    p = EmbryoParameters(**TINY, translator_rate=2e-3, cycle_weight=1.0, identity_weight=0.0)
    runs = [train_translator(target, source, None, p, 40, seed=1) for _ in range(2)]
    (first, history), (second, _) = runs
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert len(history) == 40
    ground = translate(first.to_source, target)[:, :, :2].float().mean()
    assert abs(ground - 40) < abs(target[:, :, :2].float().mean() - 40)
    assert history["rate"].iloc[0] == pytest.approx(2e-3)
    assert history["rate"].iloc[-1] < 2e-4


def test_texture_loss_keeps_the_original_where_it_rules():
    target, _ = blobs(16, 0, dark=True)
    source, _ = blobs(16, 1)
    p = EmbryoParameters(**TINY, translator_rate=2e-3, cycle_weight=1.0, identity_weight=0.0,
               texture_rule="constant", texture_weight=50.0)  # fmt: skip
    kept = {}
    for name, loss in (("none", None), ("gradient", texture.gradient_consistency)):
        networks, _ = train_translator(target, source, loss, p, 40, seed=1)
        moved = to_unit(translate(networks.to_source, target))
        kept[name] = float(texture.gradient_consistency(moved, to_unit(target)))
    assert kept["gradient"] < 0.5 * kept["none"]


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_is_not_finite_stops_the_training_by_name():
    target, _ = blobs(8, 0)
    p = EmbryoParameters(**TINY)

    def broken(translated, original):
        return (translated - original).mean() * float("nan")

    with pytest.raises(DivergedError, match=r"step 0.*translator_rate"):
        train_translator(target, target, broken, p, 3, seed=0)


def test_decay_is_flat_then_linear_to_zero():
    assert [linear_decay(step, 10, 0.5) for step in (0, 4, 5)] == [1.0, 1.0, 1.0]
    assert linear_decay(9, 10, 0.5) == pytest.approx(0.2)
    assert linear_decay(9, 10, 1.0) == 1.0
    assert linear_decay(0, 10, 0.0) == 1.0


def test_average_weighs_every_step_by_its_number():
    steps = torch.arange(1, 21, dtype=torch.float)
    values = torch.randn(20)
    mean = torch.full((), 9.0)  # what it starts from counts for nothing
    for seen, value in enumerate(values):
        polynomial_average([mean], [value], seen)
    expected = (steps * values).sum() / steps.sum()
    torch.testing.assert_close(mean, expected, atol=1e-6, rtol=1e-5)


def test_averaging_changes_what_is_returned_and_not_the_training():
    target, _ = blobs(8, 0, dark=True)
    source, _ = blobs(8, 1)
    last, plain = train_translator(target, source, None, EmbryoParameters(**TINY), 6, seed=0)
    mean, history = train_translator(
        target, source, None, EmbryoParameters(**TINY, average_weights=True), 6, seed=0
    )
    assert history.equals(plain)
    assert not torch.equal(last.to_source.last.weight, mean.to_source.last.weight)
    assert torch.equal(last.judge_source.body[0].weight, mean.judge_source.body[0].weight)


@pytest.mark.parametrize("loss", [texture.mind_loss, "classifier"])
def test_a_texture_loss_that_is_watched_changes_no_bit(loss):
    torch.manual_seed(0)
    target, source = (torch.randint(0, 256, (6, 1, 32, 32), dtype=torch.uint8) for _ in range(2))
    if loss == "classifier":
        loss = texture.ClassifierFeatures(build_network("test_resnet", 1, ""))
    p = EmbryoParameters(**TINY, texture_rule="constant", texture_weight=0.0)
    plain, silent = train_translator(target, source, None, p, 4, seed=0)
    watched, history = train_translator(target, source, loss, p, 4, seed=0)
    for a, b in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert (silent["texture"] == 0).all()
    assert (history["texture"] > 0).all()
    assert (history["texture_weight"] == 0).all()
    told = [name for name in history if name != "texture"]
    assert history[told].equals(silent[told])


def test_batches_that_are_accumulated_are_one_large_batch():
    """In double precision, where Adam's first steps do not blow rounding up."""
    target, _ = blobs(12, 0, dark=True)
    source, _ = blobs(12, 1)
    kind = dict(
        translator_flips=False, pool_size=0, precision="64-true", texture_rule="gradient_ratio",
        texture_weight=0.0, device="cpu",
    )  # fmt: skip
    ended = [
        train_translator(
            target,
            source,
            texture.gradient_consistency,
            EmbryoParameters(**{**TINY, **kind, **own}),
            6,
            1,
        )
        for own in (
            dict(translator_batch=4),
            dict(translator_batch=2, translator_accumulation=2),
        )
    ]
    (whole, history), (parts, other) = ended
    pd.testing.assert_frame_equal(history, other, rtol=1e-9)
    for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize(("precision", "rtol"), [("32-true", 1e-4), ("bf16-mixed", 0.05)])
def test_compiled_networks_train_as_the_plain_ones(precision, rtol):
    target, _ = blobs(4, 0, dark=True)
    source, _ = blobs(4, 1)
    tiny = {**TINY, "precision": precision}
    histories = [
        train_translator(
            target, source, None, EmbryoParameters(**tiny, translator_compile=compiled), 2, seed=0
        )[1]
        for compiled in (False, True)
    ]
    pd.testing.assert_frame_equal(*histories, rtol=rtol)


def test_translate_equals_one_image_at_a_time():
    stack, _ = blobs(5, 0)
    torch.manual_seed(0)
    from lib.models.cyclegan import Generator

    generator = Generator(1, 4, 1, "reflect", "resize").eval()
    whole = translate(generator, stack, batch=2)
    single = torch.cat([translate(generator, image[None]) for image in stack])
    assert whole.dtype == torch.uint8
    assert (whole.int() - single.int()).abs().max() <= 1


def test_a_network_that_has_predicted_still_carries_gradients():
    """Texture losses are made of the classifier's features."""
    stack, _ = blobs(4, 0)
    network = build_network("test_resnet", 1, "").requires_grad_(False)
    ensemble = FoldEnsemble([network], [Calibration(1.0, 0.0, 0.0, 0.5, 1.0)])
    predict_logits(network, stack)
    Gate.fit(ensemble, torch.cat([stack] * 4), np.arange(16) % 2).read(stack)
    images = to_unit(stack).requires_grad_()
    network.forward_features(images).sum().backward()
    assert images.grad.abs().sum() > 0


def test_unknown_network_is_named_with_near_ones():
    with pytest.raises(InputError, match="resnet"):
        build_network("resnet51x", 1, "")


def test_local_weights_are_read_and_the_stem_summed(tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    colour = timm.create_model("test_resnet", in_chans=3, num_classes=10)
    path = tmp_path / "weights.safetensors"
    save_file(colour.state_dict(), path)
    grey = build_network("test_resnet", 1, str(path))
    stem = next(name for name, w in colour.state_dict().items() if w.ndim == 4)
    torch.testing.assert_close(
        grey.state_dict()[stem], colour.state_dict()[stem].sum(1, keepdim=True)
    )


def test_wrong_weights_are_refused_by_name(tmp_path):
    from safetensors.torch import save_file

    missing = tmp_path / "none.safetensors"
    with pytest.raises(InputError, match=r"none\.safetensors"):
        build_network("test_resnet", 1, str(missing))
    pickled = tmp_path / "weights.pth"
    pickled.write_bytes(b"x")
    with pytest.raises(InputError, match=r"\.safetensors"):
        build_network("test_resnet", 1, str(pickled))
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    with pytest.raises(InputError, match=r"not the weights of .test_resnet.*missing"):
        build_network("test_resnet", 1, str(other))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"broken\.safetensors"):
        build_network("test_resnet", 1, str(broken))


def test_weights_that_cannot_be_downloaded_are_named(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import lib.models.networks as module

    def offline(*args, **kwargs):
        raise OSError("offline")

    monkeypatch.setattr(module.timm, "create_model", offline)
    with pytest.raises(InputError, match="pretrained weights cannot be had"):
        build_network("test_resnet", 1, "timm")


def test_networks_are_checked_before_a_run(tmp_path):
    missing = str(tmp_path / "none.safetensors")
    small = dict(classifier="test_resnet")
    check_networks(EmbryoParameters(**small))
    with pytest.raises(InputError, match=r"none\.safetensors"):
        check_networks(EmbryoParameters(**small, classifier_weights=missing))
    with pytest.raises(InputError, match=r"none\.safetensors"):
        check_networks(
            EmbryoParameters(**small, texture_loss="efficientnet", texture_network_weights=missing)
        )
    with pytest.raises(InputError, match="resnet51x"):
        check_networks(EmbryoParameters(**small, compared_classifiers="resnet51x"))


def test_classifiers_do_not_grow_stale_with_the_translators_code():
    files = {path.name for path in import_closure(CLASSIFIER_CODE)}
    assert "classifier.py" in files
    assert not files & {"texture.py", "structure.py", "translation.py", "optics.py"}
