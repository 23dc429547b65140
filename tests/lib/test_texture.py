"""Texture losses against plain versions, and the rules of their weight."""

import math

import numpy as np
import pytest
import timm
import torch
from skimage import data
from skimage.transform import resize
from torch import nn

from engine.errors import InputError
from engine.parameters import check_params
from lib.models import texture
from lib.models.fitting import check_networks
from lib.models.imagenet import imagenet_network
from lib.studies.embryo import EmbryoParameters


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", in_chans=1, num_classes=1).eval()


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.rand(2, 1, 32, 32, generator=generator) * 2 - 1 for _ in range(2))


def loss_named(name: str, classifier: nn.Module) -> texture.TextureLoss:
    return texture.LOSSES[name](
        classifier, lambda: timm.create_model("test_resnet", in_chans=3, num_classes=1)
    )


@pytest.mark.parametrize("name", texture.LOSSES)
def test_zero_for_equal_images_positive_for_others_and_trainable(name, classifier, images):
    loss = loss_named(name, classifier)
    first, second = images
    assert loss(first, first).item() == pytest.approx(0.0, abs=1e-6)
    moving = second.clone().requires_grad_()
    value = loss(moving, first)
    assert value.ndim == 0
    assert value.item() > 1e-6
    value.backward()
    assert moving.grad.abs().sum() > 0


FEATURES = ["efficientnet", "random", "imagenet_early", "imagenet_middle", "classifier", "gram"]


@pytest.mark.parametrize("name", FEATURES)
def test_feature_losses_leave_their_network_alone(name, classifier, images):
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    loss = loss_named(name, classifier)
    moving = images[0].clone().requires_grad_()
    loss(moving, images[1]).backward()
    assert all(torch.equal(before[key], value) for key, value in classifier.state_dict().items())
    assert not any(weight.requires_grad for weight in loss.network.parameters())


def test_last_features_are_those_of_three_equal_channels(images):
    network = timm.create_model("test_resnet", in_chans=3, num_classes=1).eval()
    loss = texture.LastFeatures(network, channels=3)
    first, second = images
    maps = [network.forward_features(torch.cat([x, x, x], 1)) for x in images]
    plain = (maps[0] - maps[1]).square().mean()
    assert loss(first, second).item() == pytest.approx(plain.item(), rel=1e-5)


@pytest.mark.parametrize(("name", "stages"), [("imagenet_early", {1: 4, 2: 8}),
                                              ("imagenet_middle", {2: 8, 4: 16})])  # fmt: skip
def test_imagenet_features_against_the_stages_of_a_network_of_three_channels(name, stages, images):
    """``stages``: timm's blocks and their strides."""
    network = imagenet_network(channels=3).eval()
    kept = {}
    for stage in stages:
        network.blocks[stage].register_forward_hook(
            lambda _, given, made, stage=stage: kept.setdefault(stage, []).append(made.numpy())
        )
    with torch.no_grad():
        for batch in images:
            network(torch.cat([batch] * 3, 1))
        found = loss_named(name, nn.Identity())(*images).item()
    plain = []
    for stage, stride in stages.items():
        for maps in kept[stage]:
            assert maps.shape[-1] == 32 // stride
            for flat in maps.reshape(-1, *maps.shape[-2:]):
                flat[:] = (flat - flat.mean()) / np.sqrt(flat.var() + 1e-5)
        plain.append(np.square(kept[stage][0] - kept[stage][1]).mean())
    assert found == pytest.approx(np.mean(plain), rel=1e-4)


def test_brightness_and_contrast_mislead_the_last_map_and_not_early_ones():
    picture = resize(data.camera(), (64, 64), anti_aliasing=True)[None, None] * 1.4 - 0.7
    picture = torch.from_numpy(picture).float()

    def misled(loss):
        """Loss of a paler and brighter copy over that of the mirror image."""
        with torch.no_grad():
            return (loss(0.6 * picture + 0.2, picture) / loss(picture.flip(-1), picture)).item()

    assert misled(loss_named("imagenet_early", nn.Identity())) < 0.1
    assert misled(loss_named("imagenet_middle", nn.Identity())) < 0.1
    assert misled(texture.LastFeatures(imagenet_network(channels=3), channels=3)) > 0.5


def test_random_features_are_of_one_seed():
    params = EmbryoParameters(texture_loss="random", texture_network="test_resnet")

    def weights(params):
        return texture.build_texture_loss("random", nn.Identity(), params).network.state_dict()

    torch.manual_seed(1)
    first = weights(params)
    torch.manual_seed(2)
    again = weights(params.model_copy(update=dict(seed=5)))
    assert next(iter(first.values())).shape[1] == 3
    assert all(torch.equal(first[name], weight) for name, weight in again.items())


def test_the_published_loss_without_weights_is_refused_and_random_is_not():
    given = dict(texture_network="test_resnet", texture_network_weights="")
    with pytest.raises(InputError, match=r"take random") as refused:
        check_params(dict(texture_loss="efficientnet", **given), "mine")
    assert "tf_efficientnet_lite0" in str(refused.value)
    check_networks(check_params(dict(texture_loss="random", classifier="test_resnet", **given), ""))


def test_gram_matrix_against_loops():
    maps = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    gram = texture.gram_matrix(maps)
    for n in range(2):
        for i in range(3):
            for j in range(3):
                plain = sum(maps[n, i, y, x] * maps[n, j, y, x] for y in range(4) for x in range(5))
                assert gram[n, i, j].item() == pytest.approx(plain.item() / 20)


def test_gram_ignores_where_a_texture_lies():
    maps = torch.rand(1, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(texture.gram_matrix(maps), texture.gram_matrix(maps.roll(2, -1)))


def test_gradient_consistency_against_numpy_correlation(images):
    first, second = (image[:1].double() for image in images)
    plain = []
    for axis in (-1, -2):
        a, b = (np.diff(x[0, 0].numpy(), axis=axis).ravel() for x in (first, second))
        plain.append(np.corrcoef(a, b)[0, 1])
    assert texture.gradient_consistency(first, second).item() == pytest.approx(1 - np.mean(plain))


def test_gradient_consistency_is_blind_to_brightness_and_contrast_not_to_polarity(images):
    image = images[0]
    dimmed, inverted = 0.3 * image + 0.2, -image
    assert texture.gradient_consistency(dimmed, image).item() == pytest.approx(0, abs=1e-5)
    assert texture.gradient_consistency(inverted, image).item() == pytest.approx(2, abs=1e-5)


def test_mind_against_loops():
    image = torch.rand(1, 1, 9, 9, dtype=torch.float64)
    radius, distance = 1, 2
    found = texture.mind_descriptor(image, radius, distance)
    x = np.pad(image[0, 0].numpy(), distance, mode="edge")
    shifts = [(-distance, 0), (distance, 0), (0, -distance), (0, distance)]
    squares = np.stack(
        [
            (x[distance + dy : distance + dy + 9, distance + dx : distance + dx + 9]
             - x[distance:-distance, distance:-distance]) ** 2
            for dy, dx in shifts
        ]
    )  # fmt: skip
    patches = np.zeros_like(squares)
    for k in range(4):
        for i in range(9):
            for j in range(9):
                near = squares[k, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
                patches[k, i, j] = near.mean()
    variance = patches.mean(0)
    variance = np.maximum(variance, 1e-3 * variance.mean() + 1e-6)
    descriptor = np.exp(-patches / variance)
    descriptor /= descriptor.max(0)
    np.testing.assert_allclose(found[0].numpy(), descriptor, rtol=1e-9)


def test_mind_is_blind_to_contrast_and_polarity(images):
    image = images[0]
    for other in (0.4 * image, -image, image + 0.3):
        assert texture.mind_loss(other, image).item() < 1e-3
    assert texture.mind_loss(image.roll(4, -1), image).item() > 0.05


def layer_and_losses(adversarial_pull: float, texture_pull: float):
    last = nn.Parameter(torch.ones(4))
    return last, (adversarial_pull * last).sum(), (texture_pull * last).sum()


def weight_of(rule: str, weight: float, **extra) -> texture.TextureWeight:
    return texture.TextureWeight(rule, weight, 11, **extra)


def test_constant_and_linear_weights():
    constant = weight_of("constant", 0.7)
    linear = weight_of("linear", 1.0, final=0.1)
    last, adversarial, kept = layer_and_losses(1.0, 1.0)
    assert {constant.update(step, kept, adversarial, last) for step in range(11)} == {0.7}
    values = [linear.update(step, kept, adversarial, last) for step in range(11)]
    np.testing.assert_allclose(values, np.linspace(1.0, 0.1, 11))


def test_gradient_ratio_makes_both_losses_pull_equally():
    weight = weight_of("gradient_ratio", 1.0)
    last, adversarial, kept = layer_and_losses(6.0, 2.0)
    value = weight.update(0, kept, adversarial, last)
    assert value == pytest.approx(3.0)
    pull = torch.autograd.grad(value * kept, last)[0].norm()
    assert pull.item() == pytest.approx(6.0 * math.sqrt(4))


def test_gradient_ratio_measures_now_and_then_and_smooths():
    weight = weight_of("gradient_ratio", 1.0)
    last, adversarial, kept = layer_and_losses(6.0, 2.0)
    weight.update(0, kept, adversarial, last)
    last, adversarial, kept = layer_and_losses(2.0, 2.0)
    assert weight.update(1, kept, adversarial, last) == pytest.approx(3.0)
    assert weight.update(10, kept, adversarial, last) == pytest.approx(3.0 + 0.3 * (1.0 - 3.0))


def test_constrained_multiplier_holds_the_loss_at_its_bound():
    """A toy: the loss falls as its weight grows; the multiplier finds where they meet."""
    weight = weight_of("constrained", 1.0, bound=0.1)
    for step in range(3000):
        loss = torch.tensor(0.5 / weight.value)
        weight.update(step, loss, loss, loss)
    assert 0.5 / weight.value == pytest.approx(0.1, rel=0.02)


def test_texture_energy_is_the_strength_of_detail_band_by_band():
    """A wave of one wavelength has the root mean square of what the band's filter leaves of it."""
    x = torch.arange(64, dtype=torch.float32)
    for length, band in ((4, 0), (8, 0), (8, 1)):
        wave = 0.5 * torch.sin(2 * math.pi * x / length + 0.3).expand(1, 1, 64, 64)
        found = texture.texture_energy(wave, window=2 * length + 1)[band].mean()
        omega = 2 * math.pi / length
        low = (6 + 8 * math.cos(omega) + 2 * math.cos(2 * omega)) / 16  # of 1 4 6 4 1
        # Before the second band: smoothed, then the mean of two neighbours at half the rate.
        rest = 1.0 if band == 0 else low * math.cos(omega / 2)
        twice = (6 + 8 * math.cos(2 * omega) + 2 * math.cos(4 * omega)) / 16
        kept = (1 - low) if band == 0 else (1 - twice) * rest
        assert found.item() == pytest.approx(0.5 * abs(kept) / math.sqrt(2), rel=0.12)


def test_energy_loss_minds_how_much_grain_there_is_and_not_which():
    generator = torch.Generator().manual_seed(4)
    first, second = (0.2 * torch.randn(1, 1, 64, 64, generator=generator) for _ in range(2))
    smooth = torch.zeros(1, 1, 64, 64)
    other_pattern = texture.energy_loss(first, second)
    assert other_pattern < 0.35 * texture.energy_loss(smooth, first)
    assert torch.nn.functional.l1_loss(first, second) > torch.nn.functional.l1_loss(smooth, first)
