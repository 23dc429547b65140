"""Which losses know an object across devices: the matrix, and what is read from it."""

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F

from lib.evaluation.identification import identification, loss_matrix
from lib.models import texture


def stack(seed: int, count: int = 5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (count, 1, 32, 32), dtype=np.uint8))


@pytest.mark.parametrize("name", texture.LOSSES)
def test_every_loss_is_compared_pair_by_pair(name):
    """Computed at once, it is what single pairs give."""
    torch.manual_seed(0)
    classifier = timm.create_model("test_resnet", in_chans=1, num_classes=1).eval()
    loss = texture.LOSSES[name](
        classifier, lambda: timm.create_model("test_resnet", in_chans=3, num_classes=1)
    )
    looks, truth = stack(0), stack(1)
    found = loss_matrix(loss, looks, truth)
    for row in (0, 3):
        for column in (0, 4):
            pair = (x / 127.5 - 1 for x in (truth[column][None], looks[row][None]))
            with torch.no_grad():
                assert found[row, column] == pytest.approx(float(loss(*pair)), rel=1e-3, abs=1e-6)


def test_a_loss_that_sees_the_object_finds_it_and_one_that_sees_the_look_does_not():
    truth = stack(2, 12)
    looks = 255 - truth // 2  # another look of the same objects
    by_object = loss_matrix(lambda a, b: 1 - F.cosine_similarity(
        (a - a.mean()).flatten(), (b.mean() - b).flatten(), dim=0), looks, truth)  # fmt: skip
    by_look = loss_matrix(lambda a, b: (a.mean() - b.mean()).square() + 1, looks, truth)
    table = identification({"object": by_object, "look": by_look}).set_index(["loss", "measure"])
    assert table.loc[("object", "first"), "value"] == 1
    assert table.loc[("object", "ratio"), "value"] < 0.1
    assert table.loc[("look", "first"), "value"] < 0.5
    assert table.loc[("look", "ratio"), "value"] == pytest.approx(1, abs=0.05)


def test_shares_and_ratios_are_those_of_the_matrix():
    matrix = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [4.0, 4.0, 1.0]])
    table = identification({"loss": matrix}).set_index("measure")
    assert table.loc["first", "value"] == pytest.approx(2 / 3)
    assert table.loc["ratio", "value"] == pytest.approx(np.mean([1 / 2, 2 / 2, 1 / 3]))
    assert (table["n"] == 3).all()
