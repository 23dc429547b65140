"""A translator that never sees the target: from random microscopes to the good one, on true pairs.

In simulation the good device's photograph of the same object is known, so a translation is held
against the truth and not against the old look, which it must leave. What is learnt holds for a real
device as far as the random ones surround it (domain randomisation, Tobin et al. 2017,
arXiv:1703.06907; supervised translation with a conditional judge, Isola et al. 2017,
arXiv:1611.07004).
"""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import LARGEST_LOSS, DivergedError, make_fabric, number_kind
from engine.jobs import Job
from engine.progress import progress
from lib.data.dataset import Dataset
from lib.data.random_looks import Looks, random_looks, taken_again
from lib.models.cyclegan import (
    Generator,
    PatchDiscriminator,
    adversarial_loss,
    discriminator_loss,
    draw_weights,
)
from lib.models.parameters import TranslatorParameters, chosen_settings
from lib.models.translation import linear_decay, polynomial_average


class Simulated(nn.Module):
    """The generator to the source, and the judge of pairs: what was taken, what it became."""

    def __init__(self, params: TranslatorParameters, channels: int = 1) -> None:
        super().__init__()
        style = (params.blocks, params.padding, params.upsampling)
        self.to_source = Generator(channels, params.base_filters, *style)
        self.judge = PatchDiscriminator(2 * channels, params.base_filters)
        draw_weights(self)


class Pairs:
    """Batches of true pairs in [-1, 1]: a photograph by a random machine, and by the good device.

    Every second pair is mirrored left to right, as light from above allows.
    """

    def __init__(self, looks: Looks, batch: int, generator: torch.Generator) -> None:
        self.looks, self.batch, self.generator = looks, batch, generator

    def draw(self) -> tuple[Tensor, Tensor]:
        """Two times (batch, 1, H, W)."""
        count, machines = self.looks.others.shape[:2]
        rows, look = (
            torch.randint(most, (self.batch,), generator=self.generator)
            for most in (count, machines)
        )
        mirrored = torch.rand(self.batch, generator=self.generator) < 0.5
        both = self.looks.others[rows, look][:, None], self.looks.home[rows]
        taken, true = (images / 127.5 - 1.0 for images in both)
        for images in (taken, true):
            images[mirrored] = images[mirrored].flip(-1)
        return taken, true


def train_simulated(
    looks: Looks, params: TranslatorParameters, seed: int, checkpoints: Checkpoints | None = None
) -> tuple[Simulated, pd.DataFrame]:
    """Train a generator to give the good device's photograph of what any other took.

    Returns
    -------
    The networks in evaluation mode, the generator with its weights averaged over the steps; and the
    history: step, truth (mean absolute error, images in [-1, 1]), adversarial, discriminator, rate.

    Raises
    ------
    DivergedError
        A loss grows beyond all measure.
    """
    fabric = make_fabric(params)
    fabric.seed_everything(seed, verbose=False)
    kind = number_kind(fabric, params)
    order = torch.Generator().manual_seed(seed)
    pairs = Pairs(looks, params.simulated_batch, order)
    networks = Simulated(params).to(**kind).train()
    averaged = copy.deepcopy(networks.to_source)
    steps = params.simulated_steps
    optimisers = {
        name: torch.optim.Adam(part.parameters(), rate, betas=(0.5, 0.999), fused=True)
        for name, part, rate in (
            ("generator", networks.to_source, params.simulated_rate),
            ("discriminator", networks.judge, 0.5 * params.simulated_rate),
        )
    }
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimisers["generator"], lambda step: linear_decay(step, steps, params.rate_decay_start)
    )
    parts = dict(networks=networks, averaged=averaged, order=order, rate=rate, **optimisers)
    checkpoints = checkpoints or Checkpoints()
    done, history = checkpoints.resume(parts)
    for step in progress(range(done, steps), label="steps in simulation"):
        taken, true = (images.to(**kind) for images in pairs.draw())
        with fabric.autocast():
            made = networks.to_source(taken)
            networks.judge.requires_grad_(False)
            losses = dict(
                truth=F.l1_loss(made, true),
                adversarial=adversarial_loss(networks.judge(torch.cat([made, taken], 1)), True),
            )
            networks.judge.requires_grad_(True)
            total = losses["truth"] + params.simulated_adversarial_weight * losses["adversarial"]
        _step(optimisers["generator"], total)
        with fabric.autocast():
            shown = (torch.cat([images, taken], 1) for images in (true, made.detach()))
            losses["discriminator"] = discriminator_loss(networks.judge, *shown)
        _step(optimisers["discriminator"], losses["discriminator"])
        polynomial_average(list(averaged.parameters()), list(networks.to_source.parameters()), step)
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        if not (np.abs(list(values.values())) < LARGEST_LOSS).all():
            raise DivergedError(
                f"step {step} in simulation: a loss explodes ({values}). Lower simulated_rate (now "
                f"{params.simulated_rate}); {checkpoints}."
            )
        history.append(dict(step=step, **values, rate=rate.get_last_lr()[0]))
        rate.step()
        checkpoints.keep(step + 1, parts, history)
    networks.to_source.load_state_dict(averaged.state_dict())
    return networks.eval(), pd.DataFrame(history)


def training_looks(dataset: Dataset) -> Looks:
    """What a translator learns from in simulation; no image of a target is among it.

    Phantoms that no run meets, where images are phantoms; else the source's own training images,
    photographed again.
    """
    params = dataset.params
    count, machines = params.simulated_phantoms, params.simulated_looks
    if params.data_kind != "phantom":
        home = dataset.stack(dataset.rows(params.source_domain, "train"))
        return Looks(home, taken_again(home, machines, params.seed))
    names = {"source_domain", "image_size", "phantom_width", "field_of_view", "positive_share"}
    ingredients = dict(
        params.model_dump(include=names), count=count, machines=machines, seed=params.seed
    )

    def draw() -> Tensor:
        looks = random_looks(params, count, machines, params.seed)
        return torch.cat([looks.home, looks.others], dim=1)

    both = dataset.store.arrays("looks", ingredients, draw, ("lib.data.random_looks",))
    return Looks(both[:, :1], both[:, 1:])


def simulated_training(dataset: Dataset) -> Job:
    """The training of the simulated arm, as a job for the store."""
    params, looks = dataset.params, training_looks(dataset)
    names = ["simulated_", "base_", "blocks", "padding", "upsampling", "rate_decay", "precision"]
    ingredients = dict(
        home=looks.home.numpy(), others=looks.others.numpy(), seed=params.seed,
        settings=chosen_settings(params, names),
    )  # fmt: skip
    train = partial(train_simulated, looks, params, params.seed)
    return Job("simulated", ("lib.models.simulation",), ingredients, train)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
