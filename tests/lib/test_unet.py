"""The U-Net that finds cells, the discriminator at its places, its training, pixel shuffle."""

import copy

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from engine import fabric
from engine.checkpoints import Checkpoints
from engine.errors import InputError
from engine.fabric import DivergedError
from engine.parameters import check_params
from lib.evaluation.overlap import dice
from lib.models.cell_parameters import CellParameters
from lib.models.cyclegan import Generator
from lib.models.imagenet import NETWORK, imagenet_network
from lib.models.rounds import Rounds
from lib.models.segmentation import dice_loss
from lib.models.unet import PLACES, Opponents, PretrainedUNet, UNet
from lib.models.unet_training import (
    CHANGES,
    THRESHOLDS,
    best_threshold,
    chances,
    mean_dice,
    train_unet,
    turned,
)

TINY = dict(
    study="cells", unet_filters=4, unet_steps=20, unet_batch=4, reversal_hidden=8, image_size=32,
    threads=1, device="cpu",
)  # fmt: skip


def discs(count, seed, bright=200):
    """Bright discs on grey with noise: uint8 and bool (N, 1, 32, 32)."""
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(8, 24, (2, count, 1, 1))
    radius = rng.uniform(4, 8, (count, 1, 1))
    rows, columns = np.ogrid[:32, :32]
    masks = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    images = np.where(masks, bright, 90) + rng.normal(0, 8, masks.shape)
    return (
        torch.from_numpy(images.clip(0, 255).astype(np.uint8))[:, None],
        torch.from_numpy(masks)[:, None],
    )


def trained(steps=20, checkpoints=None, seed=3, **changes):
    params = CellParameters(**TINY | dict(unet_steps=steps))
    if changes.get("place"):
        changes["target"] = discs(12, 5, bright=30)[0]
    return train_unet(
        *discs(24, 0), discs(8, 1), params, seed, checkpoints=checkpoints, **changes
    )  # fmt: skip


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# --- networks -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (8, 20), (5, 3)])
def test_logits_have_the_size_of_the_images(size):
    assert UNet(4)(torch.zeros(2, 1, *size)).shape == (2, 1, *size)


def test_pretrained_logits_have_the_size_of_the_images():
    network = PretrainedUNet().eval()
    for size in ((32, 32), (40, 23)):
        assert network(torch.zeros(1, 1, *size)).shape == (1, 1, *size)


def test_what_is_beyond_the_image_changes_none_of_its_upper_left_size():
    """Of sides that are no multiple of 8 the edge goes on; the image stays where it is."""
    torch.manual_seed(0)
    network, image = UNet(4).eval(), torch.randn(1, 1, 29, 27)
    wide = F.pad(image, [0, 5, 0, 3], mode="replicate")
    torch.testing.assert_close(network(image), network(wide)[..., :29, :27])


def test_maps_grow_from_the_bottom_to_the_output():
    maps = UNet(4).maps(torch.zeros(2, 1, 40, 24))
    assert tuple(maps) == PLACES == ("bottom", "up_1", "up_2", "last")
    assert [tuple(m.shape[1:]) for m in maps.values()] == [
        (32, 5, 3), (16, 10, 6), (8, 20, 12), (4, 40, 24),
    ]  # fmt: skip


def test_pretrained_way_down_computes_what_the_imagenet_network_does():
    torch.manual_seed(0)
    images = torch.rand(2, 1, 64, 64) * 2 - 1
    encoder = PretrainedUNet().eval().body.encoder
    original = imagenet_network(channels=1).eval()
    random = timm.create_model(NETWORK, in_chans=1).eval()
    with torch.inference_mode():
        x = original.bn1(original.conv_stem(images))
        expected = [x]
        for stage in original.blocks:
            x = stage(x)
            expected.append(x)
        found = encoder(images)
        other = random.blocks[0](random.bn1(random.conv_stem(images)))
    for level, maps in enumerate(found[1:]):
        alike = [torch.equal(maps, one) for one in expected if one.shape == maps.shape]
        assert any(alike), level
    assert not torch.allclose(expected[1], other)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("side", [32, 44])
def test_discriminator_judges_maps_of_the_size_of_the_bottoms(place, side):
    network = UNet(4)
    opponents = Opponents(network, place, 8, side)
    judged = {}
    flat = next(m for m in opponents.discriminator if isinstance(m, nn.Flatten))
    flat.register_forward_hook(lambda _, given, __: judged.update(shape=given[0].shape))
    logits, loss = opponents(torch.zeros(5, 1, side, side), 2, 1.0)
    bottom = network.maps(torch.zeros(1, 1, side, side))["bottom"]
    assert judged["shape"] == (5, *bottom.shape[1:])
    assert logits.shape == (2, 1, side, side)
    assert loss.shape == ()
    linear = [m for m in opponents.discriminator if isinstance(m, nn.Linear)]
    assert [m.out_features for m in linear] == [8, 1]  # one hidden layer


@pytest.mark.parametrize("place", PLACES)
def test_gradient_of_the_features_is_reversed_and_the_discriminators_own_is_not(place):
    torch.manual_seed(0)
    opponents = Opponents(UNet(4), place, 8, 16).double()
    images = torch.randn(5, 1, 16, 16, dtype=torch.double)
    plain = copy.deepcopy(opponents)
    _, game = opponents(images, 2, 0.3)
    game.backward()
    scores = plain.discriminator(plain.network.maps(images)[place])
    # Sources are 1; both domains count the same.
    loss = (F.softplus(-scores[:2]).mean() + F.softplus(scores[2:]).mean()) / 2
    loss.backward()
    torch.testing.assert_close(game, loss)
    for name, weight in plain.named_parameters():
        seen = dict(opponents.named_parameters())[name].grad
        if name.startswith("discriminator"):
            torch.testing.assert_close(seen, weight.grad)
        elif weight.grad is None:  # above the place the game reaches nothing
            assert seen is None
        else:
            torch.testing.assert_close(seen, -0.3 * weight.grad)
    assert opponents.network.down[0][0].weight.grad.abs().max() > 0


def test_logits_of_a_game_are_the_networks_own():
    torch.manual_seed(0)
    opponents = Opponents(UNet(4), "up_1", 8, 20).eval()
    images = torch.randn(3, 1, 20, 20)
    torch.testing.assert_close(opponents(images, 2, 1.0)[0], opponents.network(images[:2]))


# --- what an image meets --------------------------------------------------------------------


def test_masks_turn_with_their_images():
    images = torch.arange(2 * 64, dtype=torch.uint8).reshape(2, 1, 8, 8)
    masks = images % 3 == 0
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        found, mask = turned(images, masks)
        assert torch.equal(mask, found % 3 == 0)
        assert torch.equal(found.flatten(1).sort(1).values, images.flatten(1))
        seen.add(found.numpy().tobytes())
    assert len(seen) == 8  # all turns and mirrors of a square


@pytest.mark.parametrize("name", CHANGES)
def test_changes_keep_kind_and_place_and_differ_by_image_and_seed(name):
    stack, masks = discs(6, 0)
    stack = stack[:1].repeat(6, 1, 1, 1)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(CHANGES[name](stack))
    first, again, other = results
    assert (first.dtype, first.shape) == (torch.uint8, stack.shape)
    assert torch.equal(first, again)
    if name == "turned":
        assert torch.equal(first, stack)
        return
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    # The disc stays where its mask is: the grey inside and outside still differ most there.
    inside = masks[0, 0]
    for image in first[:, 0].float():
        spread = image.std()
        assert (image[inside].mean() - image[~inside].mean()).abs() > 0.5 * spread


def test_a_round_of_rows_has_every_index_once():
    rows = Rounds(7, 3, torch.Generator().manual_seed(0))
    drawn = torch.cat([rows.take() for _ in range(14)])
    for start in range(0, 42, 7):
        assert sorted(drawn[start : start + 7].tolist()) == list(range(7))
    assert not torch.equal(drawn[:7], drawn[7:14])
    rows.take()
    other = Rounds(7, 3, torch.Generator().set_state(rows.generator.get_state()))
    other.load_state_dict(rows.state_dict())
    for _ in range(3):
        assert torch.equal(rows.take(), other.take())


# --- training -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain():
    """Trained on the images as they are."""
    return trained()[0]


def test_bright_discs_are_found_within_a_hundred_steps():
    network, history = trained(steps=100)
    images, masks = discs(16, 9)
    chance = chances(network, images, batch=5)
    assert chance.shape == images.shape
    assert mean_dice(chance >= 0.5, masks) > 0.9
    assert history["step"].tolist() == list(range(10, 101, 10))
    assert history["valid_dice"].iloc[-1] > 0.9
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert (history["game"] == 0).all()
    assert not network.training


def test_loss_is_cross_entropy_and_dice_of_each_image():
    """One step at one batch of all images: its first loss is computed plainly."""
    params = CellParameters(**TINY | dict(unet_steps=1, unet_batch=24))
    stack, masks = discs(24, 0)
    _, history = train_unet(stack, masks, discs(8, 1), params, 3)
    torch.manual_seed(3)
    network = UNet(4)
    torch.manual_seed(3)
    images, wanted = turned(stack, masks)
    logits, truth = network(images.float() / 127.5 - 1)[:, 0], wanted[:, 0].float()
    p = torch.sigmoid(logits)
    cross = -(truth * p.log() + (1 - truth) * (1 - p).log()).mean()
    both, total = (p * truth).sum((1, 2)), p.sum((1, 2)) + truth.sum((1, 2))
    overlap = 1 - (2 * both / total).mean()
    assert dice_loss(logits[:, None], truth[:, None]).item() == pytest.approx(
        overlap.item(), abs=0.01
    )
    assert history["loss"].item() == pytest.approx((cross + overlap).item(), rel=0.01)


@pytest.mark.parametrize("place", ["", *PLACES])
def test_a_training_depends_on_its_seed_and_place_alone(place, plain):
    torch.manual_seed(11)
    first, history = trained(place=place)
    torch.manual_seed(12)
    again, _ = trained(place=place)
    assert same(first, again)
    assert not same(first, trained(place=place, seed=4)[0])
    assert same(first, plain) == (not place)
    assert isinstance(first, UNet)
    assert np.isfinite(history.to_numpy()).all()
    assert (history["game"] > 0).all() == bool(place)


def test_changes_and_weights_of_imagenet_reach_the_training(plain):
    for name in ("noisy", "randomised"):
        assert not same(plain, trained(changes=name)[0])
    network, _ = trained(steps=1, pretrained=True)
    assert isinstance(network, PretrainedUNet)
    given = imagenet_network(channels=1).get_parameter("blocks.1.0.conv_pw.weight")
    weight = network.body.encoder.model.get_parameter("blocks.1.0.conv_pw.weight")
    # After one step of Adam no weight is further from ImageNet's than the rate.
    assert 0 < (weight - given).abs().max() < 1.1e-3


class Stops(Checkpoints):
    def keep(self, step, parts, history):
        super().keep(step, parts, history)
        if step == 10:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("place", "changes"), [("", "randomised"), ("up_2", "noisy")])
def test_a_broken_off_training_ends_with_the_same_bits(place, changes, tmp_path):
    whole, history = trained(place=place, changes=changes)
    with pytest.raises(KeyboardInterrupt):
        trained(place=place, changes=changes, checkpoints=Stops(tmp_path, 0))
    torch.manual_seed(99)
    again, rest = trained(place=place, changes=changes, checkpoints=Checkpoints(tmp_path, 0))
    assert same(whole, again)
    assert history.equals(rest)


def test_a_loss_that_explodes_names_the_rate(monkeypatch):
    monkeypatch.setattr(fabric, "LARGEST_LOSS", 1e-6)
    with pytest.raises(DivergedError, match=r"U-Net, step 1: .*Lower unet_rate \(now 0.001\)"):
        trained()


# --- thresholds -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_best_threshold_against_a_plain_search(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((5, 1, 6, 6)) < rng.uniform(0, 0.5, (5, 1, 1, 1))  # images count alike
    chance = np.clip(rng.normal(0.3 + 0.2 * masks, 0.2), 0, 1).astype(np.float32)

    def plain(threshold):
        return np.mean(
            [dice(c >= np.float32(threshold), m) for c, m in zip(chance, masks, strict=True)]
        )

    best = best_threshold(torch.from_numpy(chance), torch.from_numpy(masks))
    assert best in THRESHOLDS
    assert plain(best) == pytest.approx(max(map(plain, THRESHOLDS)), abs=1e-6)
    found = torch.from_numpy(chance >= np.float32(0.3))
    assert mean_dice(found, torch.from_numpy(masks)) == pytest.approx(plain(0.3))


def test_of_equal_thresholds_the_middle_one_is_taken():
    masks = torch.eye(8, dtype=torch.bool)[None, None]
    assert best_threshold(masks.float(), masks) == 0.5
    assert best_threshold(masks * 0.42 + 0.33, masks) == pytest.approx(0.55)
    assert mean_dice(~masks & masks, ~masks & masks) == 1


# --- pixel shuffle --------------------------------------------------------------------------


def test_shuffled_generator_has_the_published_decoder():
    """Aarnio et al. 2022, 3.7: 512, 256 and 1 features, pixel shuffle between."""
    with torch.device("meta"):
        generator = Generator(1, 64, 3, "reflect", "shuffle")
    convolutions = [m for m in generator.modules() if isinstance(m, nn.Conv2d)]
    widths = [(m.in_channels, m.out_channels, *m.kernel_size) for m in convolutions]
    encoder = [(1, 64, 7, 7), (64, 128, 3, 3), (128, 256, 3, 3)]
    decoder = [(256, 512, 3, 3), (128, 256, 3, 3), (64, 1, 7, 7)]
    assert widths == [*encoder, *[(256, 256, 3, 3)] * 6, *decoder]
    assert {m.padding_mode for m in convolutions} == {"reflect"}
    assert [m.upscale_factor for m in generator.modules() if isinstance(m, nn.PixelShuffle)] == [
        2, 2,
    ]  # fmt: skip


@pytest.mark.parametrize("size", [(32, 32), (20, 28)])
def test_shuffled_generator_keeps_the_size(size):
    made = Generator(1, 4, 1, "reflect", "shuffle")(torch.zeros(2, 1, *size))
    assert made.shape == (2, 1, *size)
    assert made.abs().max() <= 1


def test_places_are_those_that_the_parameters_allow():
    for place in PLACES:
        assert CellParameters(**TINY, reversal_place=place).reversal_place == place
    with pytest.raises(InputError, match="reversal_place"):
        check_params(TINY | dict(reversal_place="top"), "here")
