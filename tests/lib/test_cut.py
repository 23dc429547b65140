"""CUT and FastCUT: the contrastive loss against plain loops, the training, and its use."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from engine import fabric
from engine.checkpoints import Checkpoints
from engine.fabric import DivergedError
from lib.models import cut
from lib.models.bundle import Bundle, load_bundle, save_bundle
from lib.models.cut import CUT, draw_places, generator_losses, patch_nce, train_cut, vectors_at
from lib.models.cut_parameters import CutParameters
from lib.models.cyclegan import CycleGAN
from lib.models.fitting import CutRecipe, fit_translators
from lib.models.networks import build_network
from lib.models.simulation import Simulated
from lib.models.translation import translate
from lib.studies.embryo import EmbryoParameters

TINY = dict(base_filters=4, blocks=1, translator_batch=2, threads=1, device="cpu")
BOTH = pytest.mark.parametrize("fast", [False, True], ids=["CUT", "FastCUT"])


def shift(count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Squares at random places: dark on light in the target, light on dark in the source."""
    rng = np.random.default_rng(0)
    stacks = []
    for ground, square in ((200, 60), (50, 190)):
        images = np.full((count, 1, 32, 32), ground) + rng.normal(0, 6, (count, 1, 32, 32))
        for image, (y, x) in zip(images, rng.integers(2, 20, (count, 2)), strict=True):
            image[0, y : y + 10, x : x + 10] += square - ground
        stacks.append(torch.from_numpy(images.clip(0, 255).astype(np.uint8)))
    return stacks[0], stacks[1]


def same(a: nn.Module, b: nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def two_layers() -> tuple[list[torch.Tensor], list[torch.Tensor], list]:
    """Queries and keys, at places of two layers of three images, and heads; float64."""
    torch.manual_seed(0)
    shapes = [(3, 4, 2), (3, 2, 4)]
    queries, keys = ([torch.randn(shape).double() for shape in shapes] for _ in range(2))
    heads = [
        nn.Sequential(nn.Linear(shape[2], 7), nn.ReLU(), nn.Linear(7, 5)).double()
        for shape in shapes
    ]
    return queries, keys, heads


def test_contrast_of_patches_is_that_of_plain_loops():
    queries, keys, heads = two_layers()
    expected = []
    for image in range(3):
        layers = []
        for query, key, head in zip(queries, keys, heads, strict=True):

            def unit(vector, head=head):
                weights = [part.detach().numpy() for part in head.parameters()]
                hidden = np.maximum(weights[0] @ vector.numpy() + weights[1], 0)
                out = weights[2] @ hidden + weights[3]
                return out / np.sqrt((out**2).sum())

            losses = []
            for place, vector in enumerate(query[image]):
                like = [np.exp(unit(vector) @ unit(other) / 0.07) for other in key[image]]
                losses.append(-np.log(like[place] / sum(like)))
            layers.append(np.mean(losses))
        expected.append(np.mean(layers))
    found = patch_nce(queries, keys, heads).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_gradients_go_to_queries_and_heads_and_not_to_keys():
    queries, keys, heads = two_layers()
    for vectors in (*queries, *keys):
        vectors.requires_grad_()
    patch_nce(queries, keys, heads).sum().backward()
    assert all((vectors.grad.abs().sum(2) > 0).all() for vectors in queries)
    assert all(vectors.grad is None for vectors in keys)
    assert all(weight.grad.abs().sum() > 0 for head in heads for weight in head.parameters())


def test_negatives_are_places_of_the_same_image_only():
    queries, keys, heads = two_layers()
    first = patch_nce(queries, keys, heads)
    for vectors in (*queries, *keys):
        vectors[1] = torch.randn_like(vectors[1])
    other = patch_nce(queries, keys, heads)
    assert torch.equal(first[[0, 2]], other[[0, 2]])
    assert first[1] != other[1]
    keys[0][0, 3] += 1.0  # a negative of the three others
    assert (patch_nce(queries, keys, heads) != other).tolist() == [True, False, False]


def everywhere(networks: CUT, images: torch.Tensor) -> list[torch.Tensor]:
    return [torch.arange(height * width) for height, width in networks.sizes(images)]


@pytest.mark.parametrize("blocks", [1, 2, 9])
def test_features_are_those_of_the_paper(blocks):
    """The image, both downsamplings, the first and the middle residual block."""
    params = CutParameters(base_filters=4, blocks=blocks)
    networks = CUT(params, channels=3)
    images = torch.rand(2, 3, 24, 32)
    places = everywhere(networks, images)
    vectors = networks.encode(images, places)
    inner = [(48, 16)] * (1 if blocks == 1 else 2)
    assert [tuple(part.shape[1:]) for part in vectors] == [(768, 3), (768, 8), (192, 16), *inner]
    assert networks.layers == [3, 6, 9, 9 + blocks // 2][: len(vectors) - 1]
    made, maps = networks.translate(images, places)
    torch.testing.assert_close(made, networks.to_source(images))
    for one, other in zip(maps, vectors, strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(vectors[0], images.flatten(2).transpose(1, 2))
    block = networks.to_source.body[:10](images).flatten(2).transpose(1, 2)
    torch.testing.assert_close(vectors[3], block)
    assert networks.heads[-1](vectors[-1]).shape == (2, 48, 256)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_a_downsampling_is_compared_before_it_leaves_places_out(padding):
    params = CutParameters(base_filters=4, blocks=1, padding=padding)
    networks, images = CUT(params).double(), torch.rand(2, 1, 24, 32).double()
    vectors = networks.encode(images, everywhere(networks, images))
    for number, found, (height, width) in ((3, vectors[1], (24, 32)), (6, vectors[2], (12, 16))):
        layer, before = networks.to_source.body[number], networks.to_source.body[:number](images)
        whole = found.transpose(1, 2).unflatten(2, (height, width))
        torch.testing.assert_close(whole[..., ::2, ::2], layer(before))
        layer.stride = (1, 1)
        torch.testing.assert_close(whole, layer(before))
        layer.stride = (2, 2)
    some = [places[torch.randperm(len(places))[:7]] for places in everywhere(networks, images)]
    for place, found, part in zip(some, vectors, networks.encode(images, some), strict=True):
        torch.testing.assert_close(part, found[:, place])


def test_places_are_256_at_most_and_none_is_drawn_twice():
    places = draw_places([(20, 20), (10, 10)], torch.Generator().manual_seed(0))
    assert [len(chosen.unique()) for chosen in places] == [256, 100]
    assert int(places[0].max()) > 256


@BOTH
def test_every_weight_of_generator_and_heads_is_pulled(fast):
    torch.manual_seed(0)
    networks = CUT(CutParameters(**TINY)).double()
    real, native = torch.rand(2, 2, 1, 32, 32).double() * 2 - 1
    order = torch.Generator().manual_seed(0)
    fake, losses = generator_losses(networks, real, None if fast else native, False, order)
    assert not fake.requires_grad
    losses["nce"].backward()
    for part in (networks.to_source, networks.heads):
        for name, weight in part.named_parameters():
            if name.endswith("weight"):
                assert weight.grad.abs().sum() > 0, name
    assert (losses["identity"] == 0) == fast


def test_the_identity_shares_passes_and_is_what_it_is_alone():
    torch.manual_seed(0)
    networks = CUT(CutParameters(**TINY)).double()
    real, native = torch.rand(2, 2, 1, 32, 32).double() * 2 - 1

    def losses(*images):
        return generator_losses(networks, *images, False, torch.Generator().manual_seed(0))[1]

    both = losses(real, native)
    torch.testing.assert_close(both["nce"], losses(real, None)["nce"])
    torch.testing.assert_close(both["identity"], losses(native, None)["nce"])


class Halved(CUT):
    """Its translation is the image at half the contrast, its features are the image."""

    def __init__(self) -> None:
        super().__init__(CutParameters(**TINY), channels=3)
        self.heads = nn.ModuleList([nn.Identity()])

    def sizes(self, images):
        return [tuple(images.shape[2:])]

    def encode(self, images, places):
        return [vectors_at(images, places[0])]

    def translate(self, images, places):
        return 0.5 * images, self.encode(images, places)


def test_a_mirrored_translation_is_compared_where_the_original_lies():
    torch.manual_seed(0)
    networks, real = Halved(), torch.randn(2, 3, 24, 32)

    def losses(mirrored):
        order = torch.Generator().manual_seed(0)
        return generator_losses(networks, real, None, mirrored, order)

    (plain, straight), (turned, mirrored) = losses(False), losses(True)
    torch.testing.assert_close(plain, 0.5 * real)
    torch.testing.assert_close(turned, 0.5 * real.flip(-1))
    torch.testing.assert_close(mirrored["nce"], straight["nce"])
    # Places that do not lie where the original has them are told apart badly.
    places = draw_places(networks.sizes(real), torch.Generator().manual_seed(0))
    there, here = networks.encode(real.flip(-1), places), networks.encode(real, places)
    assert patch_nce(there, here, networks.heads).mean() > 2 * straight["nce"]


@BOTH
def test_fastcut_mirrors_half_of_the_batches_and_has_no_identity(fast, monkeypatch):
    seen = []

    def watched(networks, real, native, mirrored, order):
        seen.append((native is None, mirrored))
        return generator_losses(networks, real, native, mirrored, order)

    monkeypatch.setattr(cut, "generator_losses", watched)
    _, history = train_cut(*shift(), CutParameters(**TINY), 16, seed=0, fast=fast)
    assert {identity for identity, _ in seen} == {fast}
    turned = sum(mirrored for _, mirrored in seen)
    assert 4 <= turned <= 12 if fast else turned == 0
    assert (history["identity"] == 0).all() == fast


@BOTH
def test_training_keeps_places_apart_and_moves_towards_the_source(fast):
    target, source = shift()
    params = CutParameters(**TINY, cut_rate=3e-3, cut_weight=0.5, cut_fast_weight=1.0)
    networks, history = train_cut(target, source, params, 40, seed=1, fast=fast)
    assert list(history.columns) == [
        "step", "adversarial", "nce", "identity", "discriminator", "rate",
    ]  # fmt: skip
    assert history["step"].tolist() == list(range(40))
    assert history["nce"].tail(10).mean() < 0.96 * history["nce"][1:11].mean()
    made = translate(networks.to_source, target)
    assert made.dtype == torch.uint8
    assert made.shape == target.shape
    ground, before, wanted = (x[:, :, :2].float().mean() for x in (made, target, source))
    assert abs(ground - wanted) < 0.7 * abs(before - wanted)
    assert history["rate"].iloc[0] == pytest.approx(3e-3)
    assert history["rate"].iloc[-1] < 3e-4


@BOTH
def test_the_same_seed_gives_the_same_weights_another_gives_others(fast):
    first, again, other = (
        train_cut(*shift(), CutParameters(**TINY), 2, seed, fast)[0] for seed in (3, 3, 4)
    )
    assert same(first, again)
    assert not same(first, other)


@BOTH
def test_a_training_that_was_broken_off_ends_with_the_same_weights(fast, tmp_path):
    params = CutParameters(**TINY)
    whole, history = train_cut(*shift(), params, 4, 0, fast)

    class Killed(Exception):
        pass

    class Dying(Checkpoints):
        def keep(self, step, *state):
            super().keep(step, *state)
            if step == 2:
                raise Killed

    with pytest.raises(Killed):
        train_cut(*shift(), params, 4, 0, fast, Dying(tmp_path, 0))
    rest, whole_history = train_cut(*shift(), params, 4, 0, fast, Checkpoints(tmp_path, 0))
    assert same(whole, rest)
    assert whole_history.equals(history)


def test_a_loss_that_explodes_is_named(monkeypatch):
    monkeypatch.setattr(fabric, "LARGEST_LOSS", 1e-3)
    with pytest.raises(DivergedError, match=r"CUT step 0.*cut_rate.*no checkpoint"):
        train_cut(*shift(), CutParameters(**TINY), 3, seed=0)


def test_bfloat16_trains_as_float32_does():
    histories = [
        train_cut(*shift(), CutParameters(**TINY, precision=precision), 2, seed=0)[1]
        for precision in ("32-true", "bf16-mixed")
    ]
    pd.testing.assert_frame_equal(*histories, rtol=0.1)


def test_who_has_a_way_back_says_so():
    params = EmbryoParameters(**TINY)
    for networks in (CycleGAN(params), Simulated(params), CUT(params)):
        assert networks.has_way_back == hasattr(networks, "to_target")


@pytest.fixture
def with_cut(dataset):
    """The images, with a short training of CUT."""
    return replace(dataset, params=dataset.params.model_copy(update=dict(cut_steps=2)))


def test_recipes_are_trained_kept_and_told_apart(with_cut, monkeypatch):
    judge = build_network(with_cut.params.classifier, 1, "")
    here = ["ED1"]
    recipes = {
        "cut": CutRecipe(here),
        "fastcut": CutRecipe(here, fast=True),
        "longer": CutRecipe(here, changes={"cut_steps": 3}),
        "both": CutRecipe(["ED1", "ED3"]),
    }
    fits = fit_translators(with_cut, recipes, judge)
    assert [len(history) for _, history in fits.values()] == [2, 2, 3, 2]
    networks = [network for network, _ in fits.values()]
    assert not any(same(networks[0], other) for other in networks[1:])
    assert not networks[0].training

    monkeypatch.setattr("lib.models.recipes.train_cut", None)
    # What FastCUT alone reads makes no other CUT, nor does another classifier.
    other = build_network(with_cut.params.classifier, 1, "")
    kept = fit_translators(with_cut, {"a": CutRecipe(here, False, {"cut_fast_weight": 3.0})}, other)
    assert same(kept["a"][0], networks[0])
    with pytest.raises(TypeError):
        fit_translators(with_cut, {"a": CutRecipe(here, True, {"cut_fast_weight": 3.0})}, judge)


def test_a_kept_translator_translates_elsewhere_as_here(with_cut, tmp_path, finished_run):
    judge = build_network(with_cut.params.classifier, 1, "")
    networks, _ = fit_translators(with_cut, {"cut": CutRecipe(["ED1"])}, judge)["cut"]
    gate = load_bundle(next(finished_run.rglob("cyclegan.safetensors"))).gate
    path = tmp_path / "cut.safetensors"
    save_bundle(path, Bundle(with_cut.params, "ED1", "cut", networks.to_source, gate))
    read = load_bundle(path)
    stack = with_cut.stack(with_cut.rows("ED1", "holdout"))
    assert torch.equal(translate(read.generator, stack), translate(networks.to_source, stack))
    assert read.params == with_cut.params
