"""The judge of structures: what its training shows it, and what it asks of it."""

import numpy as np
import pytest
import torch

from lib.models.segmentation import dice_loss, disturbed, moved


def discs(*places, side=40, radius=6):
    y, x = np.mgrid[:side, :side]
    masks = [(x - at[0]) ** 2 + (y - at[1]) ** 2 < radius**2 if at else 0 * x > 0 for at in places]
    return torch.from_numpy(np.stack(masks))


def test_a_small_structure_counts_as_much_as_a_large_one():
    large, small = discs((20, 20), radius=12), discs((10, 10), radius=3)
    wanted = torch.stack([large, small, small & False]).float()
    sure = 40 * (wanted - 0.5)
    assert dice_loss(sure, wanted) == pytest.approx(0, abs=1e-4)
    for missed in (0, 1):
        read = sure.clone()
        read[missed] = -20
        assert dice_loss(read, wanted) == pytest.approx(0.5, abs=1e-4)
    assert dice_loss(sure[2:], wanted[2:]) == 1  # there is none, and nothing to learn of it


def test_masks_move_with_their_image():
    torch.manual_seed(0)
    masks = discs((12, 20), (25, 14), (20, 20))[:, None]
    images = (masks * 200).to(torch.uint8)
    for _ in range(20):
        image, mask = moved(images, masks)
        assert torch.equal(image, mask * 200)
    assert not torch.equal(mask, masks.float())


def test_light_from_above_stays_above():
    torch.manual_seed(0)
    shaded = torch.linspace(200, 50, 40).view(1, 1, 40, 1).expand(2, 1, 40, 40)
    for _ in range(20):
        image, _ = moved(shaded, shaded)
        assert (image.diff(dim=2) <= 0).all()


def test_a_disturbance_leaves_each_image_where_it_is():
    torch.manual_seed(0)
    images = (discs(*[(20, 20)] * 64)[:, None] * 100).float() + 60
    shaken = disturbed(images)
    assert shaken.shape == images.shape
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    # A mean picture of all has the disc where it was, softer.
    mean = (shaken - shaken.mean((2, 3), keepdim=True)).mean((0, 1)).clamp_min(0)
    assert float((mean * x).sum() / mean.sum()) == pytest.approx(20, abs=0.3)
    assert float((mean * y).sum() / mean.sum()) == pytest.approx(20, abs=0.3)
    assert len({round(float(one.std()), 3) for one in shaken}) > 50
