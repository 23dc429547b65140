"""The encoder of structure: how it was made, what it tells apart, and the loss made of it."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from engine.errors import InputError
from lib.data.random_looks import Looks, random_looks
from lib.evaluation.identification import identification, loss_matrix
from lib.models import structure
from lib.studies.embryo import EmbryoParameters


def test_weights_state_how_they_were_made():
    with safe_open(structure.WEIGHTS, framework="pt") as file:
        assert json.loads(file.metadata()["parameters"]) == structure.recipe()
    assert structure.WEIGHTS.stat().st_size < 150_000


def test_training_repeats_itself_and_learns(monkeypatch):
    monkeypatch.setattr(structure, "BATCH", 2)
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    looks = Looks(images[:, :1], images[:, 1:])
    first, second = (structure.train(looks, seed=1, steps=2).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = structure.train(looks, seed=2, steps=2).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_missing_weights_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(structure, "WEIGHTS", tmp_path / "none.safetensors")
    structure.load_structure_encoder.cache_clear()
    with pytest.raises(InputError, match=r"none\.safetensors.*lib\.models\.structure"):
        structure.load_structure_encoder()


def test_contrast_over_places_is_that_of_a_plain_version():
    rng = torch.Generator().manual_seed(0)
    a, b = (F.normalize(torch.randn(2, 4, 5, 5, generator=rng), dim=1) for _ in range(2))
    places = torch.stack([torch.randperm(25, generator=rng)[:7] for _ in range(2)])
    total = []
    for image in range(2):
        for place in places[image].tolist():
            row, column = divmod(place, 5)
            own = a[image, :, row, column]
            like = [float(own @ b[image, :, other // 5, other % 5]) / 0.1 for other in
                    places[image].tolist()]  # fmt: skip
            right = float(own @ b[image, :, row, column]) / 0.1
            total.append(np.log(np.exp(like).sum()) - right)
    found = structure.place_contrast(a, b, places, 0.1).item()
    assert found == pytest.approx(np.mean(total), rel=1e-5)


def test_turned_images_are_described_by_turned_maps_of_unit_vectors():
    images = torch.rand(2, 1, 64, 64) * 2 - 1
    maps = structure.load_structure_encoder()(images)
    assert maps.shape == (2, structure.OUTPUTS, 32, 32)
    assert torch.allclose(maps.norm(dim=1), torch.ones(2, 32, 32), atol=1e-5)


def test_it_knows_unseen_embryos_before_unseen_machines():
    """The claim that it stands for: of 24 embryos, the same one is nearest, whatever took it."""
    params = EmbryoParameters(threads=2)
    looks = random_looks(params, 24, 1, seed=12)
    matrix = loss_matrix(structure.StructureLoss(), looks.others, looks.home)
    table = identification({"structure": matrix}).set_index("measure")
    assert table.loc["first", "low"] > 0.8
    assert table.loc["ratio", "high"] < 0.5
