"""The adversarial game over domains, held against plain versions of its parts."""

import copy
import math

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cdist
from sklearn.metrics import log_loss

from engine import fabric
from engine.checkpoints import Checkpoints
from engine.fabric import DivergedError
from lib.models.adaptation import METHODS, Opponents, rounds, train_adapted
from lib.models.adversarial import (
    LARGEST_PRODUCT,
    Multilinear,
    both_classes,
    domain_loss,
    entropy_weights,
    reversal_schedule,
    reverse_gradient,
)
from lib.models.networks import build_network
from lib.models.source_free import cluster_labels, train_source_free
from lib.studies.embryo import EmbryoParameters

TINY = dict(
    classifier="test_resnet", image_size=32, classifier_batch=8, adapted_epochs=3, threads=1,
    device="cpu", discriminator_width=16, folds=2, colour_folds=1,
)  # fmt: skip


def test_reversed_gradient_is_the_plain_one_times_minus_the_coefficient():
    x = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    weight = torch.randn(3, dtype=torch.double)
    (plain,) = torch.autograd.grad((x @ weight).sin().sum(), x)
    seen = reverse_gradient(x, 0.7)
    assert torch.equal(seen, x)
    (turned,) = torch.autograd.grad((seen @ weight).sin().sum(), x)
    torch.testing.assert_close(turned, -0.7 * plain)


def test_reversal_grows_from_nothing_as_published():
    assert reversal_schedule(0.0) == 0.0
    assert reversal_schedule(0.3) == pytest.approx(2 / (1 + math.exp(-3.0)) - 1)
    assert reversal_schedule(1.0) == pytest.approx(math.tanh(5.0))


def test_multilinear_is_every_product_of_a_feature_and_a_class():
    features, probabilities = torch.randn(4, 3), torch.rand(4, 2)
    joined = Multilinear(3, 2)(features, probabilities)
    assert joined.shape == (4, 6)
    for image in range(4):
        expected = np.outer(probabilities[image], features[image]).ravel()
        np.testing.assert_allclose(joined[image], expected, rtol=1e-6)


def test_random_multilinear_keeps_inner_products_in_expectation():
    """Long et al. 2018, section 3.3: the kernel of the projection is that of the products."""
    torch.manual_seed(0)
    features, probabilities = torch.randn(2, LARGEST_PRODUCT), torch.rand(2, 2)
    joined = Multilinear(LARGEST_PRODUCT, 2)
    made = joined(features, probabilities)
    assert joined.random
    assert made.shape == (2, LARGEST_PRODUCT)
    exact = (features @ features.T) * (probabilities @ probabilities.T)
    torch.testing.assert_close((made @ made.T).diag(), exact.diag(), rtol=0.15, atol=0.0)
    assert not Multilinear(LARGEST_PRODUCT // 2, 2).random


def test_entropy_weights_against_scipy():
    probabilities = both_classes(torch.tensor([-9.0, -1.0, 0.0, 3.0], dtype=torch.double))
    expected = 1 + np.exp(-scipy.stats.entropy(probabilities.numpy(), axis=1))
    np.testing.assert_allclose(entropy_weights(probabilities), expected, rtol=1e-9)
    sure = both_classes(torch.tensor([80.0, -80.0]))
    torch.testing.assert_close(entropy_weights(sure), torch.full((2,), 2.0))


def test_domain_loss_against_scikit_learn():
    source, target = torch.randn(6, dtype=torch.double), torch.randn(9, dtype=torch.double)
    weights = torch.rand(6, dtype=torch.double) + 1, torch.rand(9, dtype=torch.double) + 1

    def half(scores, real, own=None):
        return log_loss([real] * len(scores), scores.sigmoid(), sample_weight=own, labels=[0, 1])

    plain = (half(source, 1) + half(target, 0)) / 2
    assert domain_loss(source, target).item() == pytest.approx(plain)
    weighted = (half(source, 1, weights[0]) + half(target, 0, weights[1])) / 2
    assert domain_loss(source, target, weights).item() == pytest.approx(weighted)


@pytest.mark.parametrize("name", METHODS)
def test_the_game_pulls_features_against_the_discriminator(name):
    """Against the same loss computed plainly: same for the discriminator, reversed for features."""
    torch.manual_seed(0)
    method = METHODS[name]
    opponents = Opponents(build_network("test_resnet", 1, ""), method, 16).double()
    width = opponents.network.head_hidden_size
    parts = [
        (torch.randn(n, width, dtype=torch.double, requires_grad=True),
         torch.randn(n, dtype=torch.double, requires_grad=True))
        for n in (4, 5)
    ]  # fmt: skip
    weights = list(opponents.discriminator.parameters())
    game = opponents.game(*parts, 0.4)
    turned = torch.autograd.grad(game, [parts[0][0], parts[1][0], *weights])
    scores, own = [], []
    for features, logits in parts:
        classes = torch.stack([torch.sigmoid(-logits), torch.sigmoid(logits)], 1).detach()
        shown = torch.einsum("nk,nd->nkd", classes, features).flatten(1)
        scores.append(opponents.discriminator(shown if method.conditioned else features))
        own.append(1 + torch.exp((classes * classes.log()).sum(1)))
    losses = [
        F.softplus(-scores[0]) * (own[0] / own[0].mean() if method.weighted else 1),
        F.softplus(scores[1]) * (own[1] / own[1].mean() if method.weighted else 1),
    ]
    plain = (losses[0].mean() + losses[1].mean()) / 2
    expected = torch.autograd.grad(plain, [parts[0][0], parts[1][0], *weights])
    torch.testing.assert_close(game, plain)
    for place, (seen, wanted) in enumerate(zip(turned, expected, strict=True)):
        torch.testing.assert_close(seen, -0.4 * wanted if place < 2 else wanted)
    assert torch.autograd.grad(opponents.game(*parts, 0.4), parts[0][1], allow_unused=True) == (
        None,
    )


def test_a_round_has_every_image_once():
    torch.manual_seed(0)
    drawn = rounds(5, 12)
    assert len(drawn) == 12
    assert sorted(drawn[:5].tolist()) == sorted(drawn[5:10].tolist()) == list(range(5))


def images(seed, count, offset):
    """Class by a bright middle, domain by brightness and stripes; uint8 (N, 1, 32, 32)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    noise = rng.normal(offset, 12, (count, 1, 32, 32))
    noise[labels == 1, :, 8:24, 8:24] += 45
    if offset > 100:
        noise[:, :, np.arange(32) % 4 < 2] += 40
    return torch.from_numpy(noise.clip(0, 255).astype(np.uint8)), labels


def trained(name="dann", checkpoints=None, **changes):
    params = EmbryoParameters(**TINY | changes)
    stack, labels = images(0, 48, 90)
    target, _ = images(1, 30, 150)
    torch.manual_seed(5)
    network = build_network("test_resnet", 1, "")
    train, valid = np.arange(36), np.arange(36, 48)
    return train_adapted(
        network, stack, labels, train, valid, target, METHODS[name], params, 3, checkpoints
    )


def test_without_weight_the_game_leaves_no_trace_in_the_classifier():
    alone, _ = trained(adapted_weight=0.0)
    conditioned, _ = trained("cdan_e", adapted_weight=0.0)
    for name, weight in alone.named_parameters():
        torch.testing.assert_close(weight, conditioned.get_parameter(name))
    played, history = trained("cdan_e", adapted_weight=1.0)
    assert not torch.equal(played.get_classifier().weight, alone.get_classifier().weight)
    assert list(history["epoch"]) == [1, 2, 3]
    assert history["coefficient"].is_monotonic_increasing


def test_features_hide_the_domain_where_the_game_is_played():
    """Left alone the discriminator learns the stripes; played against it knows nothing (ln 2)."""
    changes = dict(adapted_epochs=20, discriminator_rate=3e-3)
    left_alone = trained(adapted_weight=0.0, **changes)[1]["game"].tail(4).mean()
    played = trained(adapted_weight=3.0, **changes)[1]["game"].tail(4).mean()
    assert left_alone < 0.62 < math.log(2) - 0.02 < played


class Stops(Checkpoints):
    def keep(self, step, parts, history):
        super().keep(step, parts, history)
        if step == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["dann", "mdnet", "mdnet_nos"])
def test_a_broken_off_adaptation_ends_with_the_same_bits(name, tmp_path):
    def train(checkpoints=None):
        if name != "mdnet_nos":
            return trained(name, checkpoints)
        torch.manual_seed(5)
        network = build_network("test_resnet", 1, "")
        params = EmbryoParameters(**TINY)
        return train_source_free(network, images(1, 30, 150)[0], params, 3, checkpoints)

    whole, history = train()
    with pytest.raises(KeyboardInterrupt):
        train(Stops(tmp_path, 0))
    again, rest = train(Checkpoints(tmp_path, 0))
    assert len(history) == len(rest) == 3
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_a_loss_that_explodes_names_the_rate(monkeypatch):
    monkeypatch.setattr(fabric, "LARGEST_LOSS", 1e-6)
    with pytest.raises(DivergedError, match=r"epoch 0: a loss explodes.*Lower mdnet_rate \(now"):
        trained("mdnet")


def test_clusters_against_a_plain_version():
    """SHOT's own steps: weighted centres, nearest by cosine, centres of those, nearest again."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 5)) + np.repeat([[2.0], [-1.0]], 20, 0)
    probabilities = scipy.special.softmax(rng.normal(size=(40, 2)), axis=1)
    unit = np.c_[features, np.ones(40)]
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    centres = probabilities.T @ unit / probabilities.sum(0)[:, None]
    first = cdist(unit, centres, "cosine").argmin(1)
    ones = np.eye(2)[first]
    expected = cdist(unit, ones.T @ unit / ones.sum(0)[:, None], "cosine").argmin(1)
    found = cluster_labels(torch.from_numpy(features), torch.from_numpy(probabilities))
    np.testing.assert_array_equal(found, expected)
    assert set(expected) == {0, 1}


def test_a_class_without_images_is_not_given():
    features = torch.ones(6, 3) + 0.01 * torch.randn(6, 3)
    sure = torch.tensor([[1.0, 0.0]]).repeat(6, 1)
    assert cluster_labels(features, sure).tolist() == [0] * 6


def test_without_source_nothing_but_the_target_is_learnt_from():
    target, labels = images(1, 40, 150)
    torch.manual_seed(5)
    network = build_network("test_resnet", 1, "")
    before = copy.deepcopy(network.state_dict())
    params = EmbryoParameters(**TINY)
    moved, history = train_source_free(network, target, params, 3)
    assert any(not torch.equal(before[key], value) for key, value in moved.state_dict().items())
    assert history["positive"].between(0, 1).all()
    assert len(labels) == 40
