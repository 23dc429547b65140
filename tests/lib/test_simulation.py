"""A translator that learns in simulation: from true pairs, the same again, without the target."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine import fabric
from engine.checkpoints import Checkpoints
from engine.fabric import DivergedError
from lib.data.random_looks import Looks
from lib.models import simulation
from lib.models.fitting import SimulatedRecipe, fit_translators
from lib.models.networks import build_network
from lib.models.texture import energy_loss
from lib.studies.embryo import EmbryoParameters

TINY = dict(base_filters=4, blocks=1, simulated_batch=2, simulated_steps=6, simulated_phantoms=8,
            simulated_looks=2)  # fmt: skip


def looks_of(seed: int, count: int = 8) -> Looks:
    """Two random looks whose truth is the look's negative."""
    rng = np.random.default_rng(seed)
    others = rng.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8).repeat(8, 2).repeat(8, 3)
    return Looks(255 - torch.from_numpy(others), torch.from_numpy(others).repeat(1, 2, 1, 1))


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_what_the_pairs_have_in_common():
    params = EmbryoParameters(**TINY | dict(simulated_steps=150, simulated_rate=5e-3))
    networks, history = simulation.train_simulated(looks_of(0), energy_loss, params, seed=0)
    assert history["truth"].tail(10).mean() < 0.5 * history["truth"].head(10).mean()
    unseen = looks_of(1)
    taken = unseen.others[:, :1] / 127.5 - 1
    with torch.no_grad():
        made = networks.to_source(taken)
    true = unseen.home / 127.5 - 1
    assert (made - true).abs().mean() < 0.5 * (taken - true).abs().mean()


def test_pairs_are_mirrored_together():
    pairs = simulation.Pairs(looks_of(2), 64, torch.Generator().manual_seed(0))
    taken, true = pairs.draw()
    assert torch.allclose(taken, -true, atol=1e-6)


def test_the_texture_loss_compares_with_the_truth_and_follows_its_rule():
    params = EmbryoParameters(**TINY | dict(simulated_texture_weight=0.0))
    seen = []

    def watched(made, true):
        seen.append(true.clone())
        return energy_loss(made, true)

    looks = looks_of(0)
    without = simulation.train_simulated(looks, None, params, seed=0)[0]
    weightless, history = simulation.train_simulated(looks, watched, params, seed=0)
    assert same(without, weightless)  # logged, at no weight
    assert (history["texture"] > 0).all()
    true = {image.numpy().tobytes() for image in (looks.home / 127.5 - 1)}
    mirrored = {image.flip(-1).numpy().tobytes() for image in (looks.home / 127.5 - 1)}
    assert {image.numpy().tobytes() for batch in seen for image in batch} <= true | mirrored
    strong = EmbryoParameters(**TINY | dict(simulated_texture_weight=5.0))
    assert not same(without, simulation.train_simulated(looks, energy_loss, strong, seed=0)[0])


def test_the_same_seed_gives_the_same_weights_another_gives_others():
    params = EmbryoParameters(**TINY)
    first, again, other = (
        simulation.train_simulated(looks_of(0), energy_loss, params, seed)[0] for seed in (3, 3, 4)
    )
    assert same(first, again)
    assert not same(first, other)


def test_a_training_that_was_broken_off_ends_with_the_same_weights(tmp_path):
    params = EmbryoParameters(**TINY)
    whole, history = simulation.train_simulated(looks_of(0), energy_loss, params, seed=0)

    class Killed(Exception):
        pass

    class Dying(Checkpoints):
        def keep(self, step, *state):
            super().keep(step, *state)
            if step == 3:
                raise Killed

    with pytest.raises(Killed):
        simulation.train_simulated(looks_of(0), energy_loss, params, 0, Dying(tmp_path, 0))
    rest, whole_history = simulation.train_simulated(
        looks_of(0), energy_loss, params, 0, Checkpoints(tmp_path, 0)
    )
    assert same(whole, rest)
    assert whole_history.equals(history)


def test_no_image_of_a_target_is_read(dataset):
    """It is the same whatever the target's images are, and where they cannot be read at all."""

    class Guarded:
        def __init__(self, source):
            self.source = source

        def __getattr__(self, name):
            return getattr(self.source, name)

        def read_many(self, ids, *more):
            assert not [id for id in ids if not id.startswith("ED4")], "a target image is read"
            return self.source.read_many(ids, *more)

    small = dataset.with_params(**TINY)
    guarded = replace(small, source=Guarded(small.source))
    judge = build_network(small.params.classifier, 1, "")
    networks, history = fit_translators(guarded, {"simulated": SimulatedRecipe()}, judge)[
        "simulated"
    ]
    assert len(history) == TINY["simulated_steps"]
    again = fit_translators(small, {"simulated": SimulatedRecipe()}, judge)["simulated"][0]
    assert same(networks, again)


def test_real_images_are_photographed_again(dataset):
    """Where no phantom can stand in for the objects, the source's own training images do."""

    class Real(type(dataset.params)):
        data_kind: str = "table"

    params = Real(**dataset.params.model_dump() | TINY | dict(data_kind="table", data_dir="x"))
    real = replace(dataset, params=params)
    looks = simulation.training_looks(real)
    home = dataset.stack(dataset.rows(params.source_domain, "train"))
    assert torch.equal(looks.home, home)
    assert looks.others.shape == (len(home), 2, *home.shape[2:])
    assert not torch.equal(looks.others[:, :1], looks.others[:, 1:])


def test_a_loss_that_explodes_is_named(monkeypatch):
    params = EmbryoParameters(**TINY)
    monkeypatch.setattr(fabric, "LARGEST_LOSS", 1e-3)
    with pytest.raises(DivergedError, match=r"step 0 in simulation.*simulated_rate"):
        simulation.train_simulated(looks_of(0), energy_loss, params, seed=0)
