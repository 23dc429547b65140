"""GANs of tissue: losses against plain formulas, classes, and a training taken up again."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.checkpoints import Checkpoints
from engine.errors import InputError
from lib.models.gan import KINDS, ImageDiscriminator, ImageGenerator
from lib.models.gan_parameters import AugmentationParameters
from lib.models.gan_training import (
    ClassRounds,
    generate,
    generator_loss,
    gradient_penalty,
    judge_loss,
    train_gan,
    turned_each,
)
from lib.models.gan_variants import VARIANTS

PARAMS = AugmentationParameters(
    study="stain", gan_filters=4, gan_latent=4, gan_steps=4, gan_batch=4, gan_critic_steps=2,
    device="cpu", threads=1,
)  # fmt: skip
REAL, FAKE = torch.tensor([0.3, -1.2, 2.0]), torch.tensor([-0.7, 1.5, 0.1])


@pytest.fixture(scope="module")
def tiles():
    rng = np.random.default_rng(0)
    stack = torch.from_numpy(rng.integers(0, 256, (12, 3, 16, 16)).astype(np.uint8))
    return stack, np.repeat([0, 1], 6)


def chance(scores):
    return 1 / (1 + np.exp(-scores.numpy().astype(float)))


def test_cross_entropy_calls_real_images_by_the_smoothed_label_and_fake_ones_nothing():
    real, fake = chance(REAL), chance(FAKE)
    for label in (1.0, 0.9):
        plain = -(label * np.log(real) + (1 - label) * np.log(1 - real)).mean()
        plain -= np.log(1 - fake).mean()
        assert judge_loss(REAL, FAKE, KINDS["dcgan"], label).item() == pytest.approx(plain)
    assert generator_loss(FAKE, KINDS["dcgan"]).item() == pytest.approx(-np.log(fake).mean())


def test_hinge_and_wasserstein_follow_their_equations():
    real, fake = REAL.numpy(), FAKE.numpy()
    hinge = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    assert judge_loss(REAL, FAKE, KINDS["sngan"]).item() == pytest.approx(hinge)
    assert judge_loss(REAL, FAKE, KINDS["wgan_gp"]).item() == pytest.approx(
        fake.mean() - real.mean(), abs=1e-6
    )
    for kind in ("sngan", "wgan_gp"):
        assert generator_loss(FAKE, KINDS[kind]).item() == pytest.approx(-fake.mean())


class Linear(nn.Module):
    """A critic whose slope is known: the sum of the image times ``slope``."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, images, labels):
        return (images * self.slope).sum((1, 2, 3))[:, None], None


@pytest.mark.parametrize("slope", [0.1, 1.0])
def test_the_penalty_is_the_squared_distance_of_the_slope_from_one(slope):
    critic, images = Linear(slope), torch.rand(5, 3, 4, 4)
    penalty = gradient_penalty(critic, images, torch.rand(5, 3, 4, 4), torch.zeros(5))
    norm = slope * np.sqrt(3 * 4 * 4)
    assert penalty.item() == pytest.approx((norm - 1) ** 2, rel=1e-5)
    penalty.backward()  # it has a gradient of its own
    assert critic.slope.grad.item() == pytest.approx(2 * (norm - 1) * np.sqrt(48), rel=1e-4)


def test_spectral_norm_holds_the_largest_singular_value_at_one():
    torch.manual_seed(0)
    judge = ImageDiscriminator(4, 2, KINDS["sngan"]).train()
    images, classes = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 0, 1])
    for _ in range(60):  # each pass is a step of the power iteration
        judge(images, classes)
    layers = [m for m in judge.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) > 2
    for layer in layers:
        largest = torch.linalg.svdvals(layer.weight.flatten(1))[0].item()
        assert largest == pytest.approx(1.0, abs=0.02)


def test_batches_hold_as_many_of_each_class_and_every_image_once_a_round():
    labels = np.array([0] * 8 + [1] * 4)
    rounds = ClassRounds(labels, 4, torch.Generator().manual_seed(0))
    seen = torch.cat([rounds.take() for _ in range(4)])
    assert labels[seen.numpy()].tolist() == [0, 0, 1, 1] * 4
    ours = seen[labels[seen.numpy()] == 0]
    assert sorted(ours.tolist()) == list(range(8))


def test_turns_keep_the_pixels_and_depend_on_their_generator_alone():
    images = torch.arange(2 * 3 * 16).reshape(2, 3, 4, 4)
    first, again = (turned_each(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(first.flatten(1).sort(1).values, images.flatten(1).sort(1).values)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_trains_and_makes_the_class_that_it_is_asked_for(kind, tiles):
    generator, history = train_gan(*tiles, kind, PARAMS, seed=0)
    assert len(history) == PARAMS.gan_steps
    assert np.isfinite(history.to_numpy()).all()
    one, same, other = (generate(generator, np.array(y), 16, 5) for y in ([0, 1], [0, 1], [1, 1]))
    assert one.shape == (2, 3, 16, 16)
    assert one.dtype == torch.uint8
    assert torch.equal(one, same)
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], other[0])
    assert not torch.equal(one, generate(generator, np.array([0, 1]), 16, 6))


def test_a_training_that_was_broken_off_ends_with_the_same_weights(tiles, tmp_path):
    whole, _ = train_gan(*tiles, "sngan", PARAMS, seed=1)
    checkpoints = Checkpoints(tmp_path, seconds=0.0)
    train_gan(*tiles, "sngan", PARAMS.model_copy(update=dict(gan_steps=2)), 1, checkpoints)
    resumed, history = train_gan(
        *tiles, "sngan", PARAMS, 1, checkpoints=Checkpoints(tmp_path, seconds=0.0)
    )
    assert history["step"].tolist() == list(range(4))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_sides_that_cannot_be_halved_and_missing_classes_are_refused(tiles):
    stack, labels = tiles
    with pytest.raises(InputError, match="multiple of 8 px"):
        train_gan(stack[..., :12, :12], labels, "dcgan", PARAMS, 0)
    with pytest.raises(InputError, match="one is missing"):
        train_gan(stack, np.repeat([0, 2], 6), "dcgan", PARAMS, 0)


def test_every_variant_changes_one_thing_of_dcgan_or_is_a_kind():
    for name, variant in VARIANTS.items():
        changes = variant.changes(PARAMS)
        assert set(changes) <= set(AugmentationParameters.model_fields)
        assert (variant.kind == "dcgan") == bool(changes) or name in (*KINDS, "spectral")


def test_a_generator_makes_images_of_any_side_that_its_places_make():
    generator = ImageGenerator(4, 4, 2).eval()
    with torch.inference_mode():
        made = generator(torch.randn(1, 4, 3, 5), torch.tensor([1]))
    assert made.shape == (1, 3, 24, 40)
    assert made.abs().max() <= 1
