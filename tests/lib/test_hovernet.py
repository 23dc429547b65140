"""The small HoVer-Net, its losses, its training and its use."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine import fabric
from engine.checkpoints import Checkpoints
from engine.fabric import DivergedError
from lib.models import hovernet_training
from lib.models.hovernet import HoVerNet
from lib.models.hovernet_parameters import HoVerNetParameters
from lib.models.hovernet_training import (
    CHANGES,
    THRESHOLDS,
    best_threshold,
    find_nuclei,
    network_maps,
    offsets_loss,
    slopes,
    stained,
    train_hovernet,
)
from lib.models.nuclei_maps import hover_maps, matched_centroids, nuclei_from_maps, whole_nuclei
from lib.models.unet_training import turned

UM_PER_PX = 0.75
TINY = dict(
    hovernet_filters=4, hovernet_steps=20, hovernet_batch=4, hovernet_rate=0.01, threads=1,
    device="cpu",
)  # fmt: skip


def pairs_of_discs(count, seed, side=32):
    """Purple discs on pink, always two that touch: uint8 (N, 3, S, S), int32 (N, 1, S, S)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    nuclei = np.zeros((count, 1, side, side), np.int32)
    for own in nuclei[:, 0]:
        way, (y, x) = rng.uniform(0, 2 * np.pi), rng.uniform(10, side - 10, 2)
        for number, sign in ((1, -1), (2, 1)):
            down, right = 4.4 * sign * np.sin(way), 4.4 * sign * np.cos(way)
            own[(rows - y - down) ** 2 + (columns - x - right) ** 2 <= 4.6**2] = number
    colours = np.array([[235, 190, 215], [120, 80, 150]])
    images = colours[(nuclei[:, 0] > 0).astype(int)].transpose(0, 3, 1, 2)
    images = images + rng.normal(0, 8, images.shape)
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8)), torch.from_numpy(nuclei)


def trained(steps=20, checkpoints=None, seed=3, changes="turned"):
    params = HoVerNetParameters(**TINY | dict(hovernet_steps=steps))
    return train_hovernet(
        *pairs_of_discs(24, 0), pairs_of_discs(8, 1), params, seed, changes=changes,
        checkpoints=checkpoints,
    )  # fmt: skip


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# --- network --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (8, 20), (5, 3)])
def test_logits_and_offsets_have_the_size_of_the_images(size):
    logits, offsets = HoVerNet(4)(torch.zeros(2, 3, *size))
    assert logits.shape == (2, 1, *size)
    assert offsets.shape == (2, 2, *size)


def test_what_is_beyond_the_image_changes_none_of_its_upper_left_size():
    torch.manual_seed(0)
    network, image = HoVerNet(4).eval(), torch.randn(1, 3, 29, 27)
    wide = F.pad(image, [0, 5, 0, 3], mode="replicate")
    for own, other in zip(network(image), network(wide), strict=True):
        torch.testing.assert_close(own, other[..., :29, :27])


def test_both_branches_share_the_way_down_and_no_more():
    network = HoVerNet(4)
    logits, offsets = network(torch.randn(2, 3, 16, 16))
    reached = []
    for part in (logits, offsets):
        network.zero_grad()
        part.sum().backward(retain_graph=True)
        reached.append({n for n, p in network.named_parameters() if p.grad is not None})
    starts = [{name.split(".")[0] for name in names} for names in reached]
    assert starts == [{"stem", "down", "pixels"}, {"stem", "down", "offsets"}]
    assert set.union(*reached) == {name for name, _ in network.named_parameters()}


# --- what an image meets --------------------------------------------------------------------


def test_stains_change_each_image_by_itself_and_without_jitter_nothing(monkeypatch):
    images = pairs_of_discs(1, 0)[0].repeat(6, 1, 1, 1)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(stained(images))
    first, again, other = results
    assert (first.dtype, first.shape) == (torch.uint8, images.shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    monkeypatch.setattr(hovernet_training, "JITTER", 0.0)
    assert (stained(images).int() - images.int()).abs().max() <= 1
    assert torch.equal(CHANGES["turned"](images), images)


def test_stains_are_changed_in_amount_and_not_in_colour(monkeypatch):
    """Of pure haematoxylin, a factor on the amount alone makes pure haematoxylin again."""
    vector = torch.tensor([0.65, 0.70, 0.29])
    vector = vector / vector.norm()
    amounts = torch.linspace(0.1, 1.0, 16)
    shown = (256 * 10 ** -(amounts * vector[:, None]) - 1).round().to(torch.uint8)
    images = shown.reshape(1, 3, 4, 4).repeat(50, 1, 1, 1)

    drawn = torch.rand(2, 50, 3, 1, 1)
    drawn[1] = 0.5  # nothing added
    monkeypatch.setattr(hovernet_training.torch, "rand", lambda *_: drawn)
    density = -torch.log10((stained(images).float() + 1) / 256)
    factors = density.flatten(2)[:, :, 4:].mean(2) / (amounts[4:].mean() * vector)
    assert (factors.std(1) < 0.03).all()
    assert factors.mean(1).min() < 0.85
    assert factors.mean(1).max() > 1.15


# --- losses ---------------------------------------------------------------------------------


def test_slopes_of_ramps_and_against_sums_over_neighbours():
    right = torch.arange(12.0).expand(12, 12)
    ramps = torch.stack([0.3 * right, 0.2 * right.T])[None]
    found = slopes(ramps)[..., 2:-2, 2:-2]
    torch.testing.assert_close(found[:, 0], torch.full_like(found[:, 0], 0.3))
    torch.testing.assert_close(found[:, 1], torch.full_like(found[:, 1], 0.2))
    assert slopes(ramps.flip(1))[..., 2:-2, 2:-2].abs().max() < 1e-5  # across their own direction
    offsets = torch.randn(2, 2, 9, 9)
    wide = F.pad(offsets, [2, 2, 2, 2])
    expected, weights = torch.zeros_like(offsets), 0.0
    for down in range(-2, 3):
        for along in range(-2, 3):
            if not down and not along:
                continue
            far = down**2 + along**2
            part = wide[..., 2 + down : 11 + down, 2 + along : 11 + along]
            expected += part * torch.tensor([along, down])[:, None, None] / far
            weights += along**2 / far
    torch.testing.assert_close(slopes(offsets), expected / weights)


def test_offsets_are_judged_everywhere_and_their_slopes_inside_nuclei():
    torch.manual_seed(0)
    offsets, wanted = torch.randn(2, 3, 2, 10, 10)
    nuclear = (torch.rand(3, 1, 10, 10) < 0.4).float()
    squares = (slopes(offsets) - slopes(wanted)).square()
    inside = squares[nuclear.expand(-1, 2, -1, -1) > 0]
    expected = (offsets - wanted).square().mean() + 2 * inside.mean()
    torch.testing.assert_close(offsets_loss(offsets, wanted, nuclear), expected)
    nothing = offsets_loss(offsets, wanted, torch.zeros_like(nuclear))
    torch.testing.assert_close(nothing, (offsets - wanted).square().mean())


def test_losses_of_a_training_are_those_of_its_images():
    """One step at one batch of all images: its first losses are computed plainly."""
    params = HoVerNetParameters(**TINY | dict(hovernet_steps=1, hovernet_batch=24))
    images, nuclei = pairs_of_discs(24, 0)
    _, history = train_hovernet(images, nuclei, pairs_of_discs(8, 1), params, 3)
    torch.manual_seed(3)
    network = HoVerNet(4)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3))
    shown, truth = turned(images[order], nuclei[order])
    logits, offsets = network(shown.float() / 127.5 - 1)
    p, inside = torch.sigmoid(logits), (truth > 0).float()
    cross = -(inside * p.log() + (1 - inside) * (1 - p).log()).mean()
    both, total = (p * inside).sum((1, 2, 3)), (p + inside).sum((1, 2, 3))
    overlap = 1 - (2 * both / total).mean()
    assert history["pixels"].item() == pytest.approx((cross + overlap).item(), rel=1e-3)
    wanted = torch.from_numpy(hover_maps(truth[:, 0].numpy()))
    expected = offsets_loss(offsets, wanted, inside)
    assert history["offsets"].item() == pytest.approx(expected.item(), rel=1e-3)


# --- training -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain():
    """Trained on the images as they are."""
    return trained()[0]


def test_nuclei_that_touch_are_found_apart():
    network, history = trained(steps=120)
    images, nuclei = pairs_of_discs(16, 9)
    found = find_nuclei(network, images, UM_PER_PX)
    assert (found.dtype, found.shape) == (torch.int32, nuclei.shape)
    counts = found.amax((1, 2, 3))
    assert (counts == 2).sum() >= 15
    hits = sum(
        matched_centroids(own, truth, 3.0)  # two pixels at most
        for own, truth in zip(found[:, 0].numpy(), nuclei[:, 0].numpy(), strict=True)
    )
    assert hits >= 30
    assert history["step"].tolist() == list(range(12, 121, 12))
    assert history["valid_dice"].iloc[-1] > 0.9
    for name in ("pixels", "offsets"):
        assert history[name].iloc[-1] < 0.5 * history[name].iloc[0]
    assert not network.training


@pytest.mark.parametrize("changes", CHANGES)
def test_a_training_depends_on_its_seed_and_changes_alone(changes, plain):
    torch.manual_seed(11)
    first, history = trained(changes=changes)
    torch.manual_seed(12)
    again, _ = trained(changes=changes)
    assert same(first, again)
    assert not same(first, trained(changes=changes, seed=4)[0])
    assert same(first, plain) == (changes == "turned")
    assert np.isfinite(history.to_numpy()).all()


class Stops(Checkpoints):
    def keep(self, step, parts, history):
        super().keep(step, parts, history)
        if step == 10:
            raise KeyboardInterrupt


def test_a_broken_off_training_ends_with_the_same_bits(tmp_path):
    whole, history = trained(changes="stained")
    with pytest.raises(KeyboardInterrupt):
        trained(changes="stained", checkpoints=Stops(tmp_path, 0))
    torch.manual_seed(99)
    again, rest = trained(changes="stained", checkpoints=Checkpoints(tmp_path, 0))
    assert same(whole, again)
    assert history.equals(rest)


def test_a_loss_that_explodes_names_the_rate(monkeypatch):
    monkeypatch.setattr(fabric, "LARGEST_LOSS", 1e-6)
    with pytest.raises(DivergedError, match=r"HoVer-Net, step 1: .*Lower hovernet_rate \(now 0\."):
        trained()


# --- use ------------------------------------------------------------------------------------


def test_maps_do_not_depend_on_the_batch(plain):
    images = pairs_of_discs(5, 2)[0]
    chance, offsets = network_maps(plain, images, batch=2)
    logits, expected = plain(images.float() / 127.5 - 1)
    torch.testing.assert_close(chance, logits.sigmoid().detach())
    torch.testing.assert_close(offsets, expected.detach())


def test_best_threshold_against_a_plain_search(plain):
    images, nuclei = pairs_of_discs(12, 4)
    nuclei[0] = 0  # a field of which all that is found is wrong
    chance, offsets = (part.numpy() for part in network_maps(plain, images))
    scores = []
    for threshold in THRESHOLDS:
        found = nuclei_from_maps(chance[:, 0], offsets, UM_PER_PX, threshold)
        truth = [whole_nuclei(own, UM_PER_PX) for own in nuclei[:, 0].numpy()]
        hits = sum(matched_centroids(*pair, UM_PER_PX) for pair in zip(found, truth, strict=True))
        every = sum(own.max() for own in found) + sum(own.max() for own in truth)
        scores.append(2 * hits / every)
    best = best_threshold(plain, images, nuclei, UM_PER_PX)
    assert best in THRESHOLDS
    assert scores[THRESHOLDS.tolist().index(best)] == pytest.approx(max(scores))
    assert max(scores) > min(scores)


def test_of_equal_thresholds_the_middle_one_is_taken():
    """A network that is sure of everything: all thresholds find the same."""

    class Sure(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            nuclear = images[:, :1] < 0
            maps = torch.from_numpy(hover_maps(nuclear[:, 0].int().numpy()))
            return torch.where(nuclear, 20.0, -20.0), maps

    images = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    images[:, :, 8:16, 8:16] = 0
    nuclei = (images[:, :1] == 0).int()
    assert torch.equal(find_nuclei(Sure(), images, UM_PER_PX), nuclei)
    assert best_threshold(Sure(), images, nuclei, UM_PER_PX) == 0.5
