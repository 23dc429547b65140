"""A translator that never sees the target: from random microscopes to the good one, on true pairs.

In simulation the good device's photograph of the same object is known, so a translation is held
against the truth and not against the old look, which it must leave. What is learnt holds for a real
device as far as the random ones surround it (domain randomisation, Tobin et al. 2017,
arXiv:1703.06907).
"""

from __future__ import annotations

from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import make_fabric, number_kind, stop_if_diverged
from engine.jobs import Job
from engine.progress import progress
from lib.data.dataset import Dataset
from lib.data.random_looks import Looks, random_looks, taken_again
from lib.models.cyclegan import Generator, draw_weights
from lib.models.networks import weights_of
from lib.models.parameters import TranslationParameters, TranslatorParameters, chosen_settings
from lib.models.texture import OF_CLASSIFIER, TextureLoss, TextureWeight, build_texture_loss
from lib.models.translation import linear_decay


class Simulated(nn.Module):
    """The generator to the source, where a CycleGAN has it, too."""

    has_way_back = False

    def __init__(self, params: TranslatorParameters, channels: int = 1) -> None:
        super().__init__()
        style = (params.blocks, params.padding, params.upsampling)
        self.to_source = Generator(channels, params.base_filters, *style)
        draw_weights(self)


class Pairs:
    """Batches of true pairs in [-1, 1]: a photograph by a random machine, and by the good device.

    Every second pair is mirrored left to right, as light from above allows.
    """

    def __init__(self, looks: Looks, batch: int, generator: torch.Generator) -> None:
        self.looks, self.batch, self.generator = looks, batch, generator

    def draw(self) -> tuple[Tensor, Tensor]:
        """Two times (batch, C, H, W)."""
        count, machines = self.looks.others.shape[:2]
        rows, look = (
            torch.randint(most, (self.batch,), generator=self.generator)
            for most in (count, machines)
        )
        mirrored = torch.rand(self.batch, generator=self.generator) < 0.5
        true = self.looks.home[rows]
        both = self.looks.others[rows, look].view_as(true), true
        taken, true = (images / 127.5 - 1.0 for images in both)
        for images in (taken, true):
            images[mirrored] = images[mirrored].flip(-1)
        return taken, true


def train_simulated(
    looks: Looks, texture: TextureLoss | None, params: TranslatorParameters, seed: int,
    checkpoints: Checkpoints | None = None,
) -> tuple[Simulated, pd.DataFrame]:  # fmt: skip
    """Train a generator to give the good device's photograph of what any other took.

    The mean absolute error alone makes images smooth: where the grain lies cannot be known from a
    blurred photograph, and the mean over all that it might be is none. A texture loss asks for as
    much of it as there truly is.

    Parameters
    ----------
    texture
        Compares what was made with the truth; None leaves it out.

    Returns
    -------
    The network in evaluation mode; and the history: step, truth (mean absolute error, images in
    [-1, 1]), texture, texture_weight, rate.

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
    network = Simulated(params, channels=looks.home.shape[1]).to(**kind).train()
    steps = params.simulated_steps
    optimiser = torch.optim.Adam(
        network.parameters(), params.simulated_rate, betas=(0.5, 0.999), fused=True
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: linear_decay(step, steps, params.rate_decay_start)
    )
    weight = TextureWeight(
        params.simulated_texture_rule, params.simulated_texture_weight, steps,
        params.texture_final_weight, params.texture_bound,
    )  # fmt: skip
    parts = dict(network=network, optimiser=optimiser, order=order, rate=rate, weight=weight)
    if isinstance(texture, nn.Module):
        texture.to(**kind)
    checkpoints = checkpoints or Checkpoints()
    done, history = checkpoints.resume(parts)
    for step in progress(range(done, steps), label="steps in simulation"):
        taken, true = (images.to(**kind) for images in pairs.draw())
        with fabric.autocast():
            made = network.to_source(taken)
            losses = dict(truth=F.l1_loss(made, true), texture=torch.zeros(()))
            if texture is not None:
                losses["texture"] = texture(made.to(true), true)
                weight.update(
                    step, losses["texture"], losses["truth"], network.to_source.last.weight
                )
        optimiser.zero_grad()
        (losses["truth"] + weight.value * losses["texture"]).backward()
        optimiser.step()
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        remedy = f"Lower simulated_rate (now {params.simulated_rate})"
        stop_if_diverged(values, f"step {step} in simulation", remedy, checkpoints)
        history.append(
            dict(step=step, **values, texture_weight=0.0 if texture is None else weight.value,
                 rate=rate.get_last_lr()[0])
        )  # fmt: skip
        rate.step()
        checkpoints.keep(step + 1, parts, history)
    return network.eval(), pd.DataFrame(history)


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
    names = {
        "source_domain",
        "image_size",
        "phantom_width",
        "field_of_view",
        "positive_share",
        "phantom_label",
    }
    ingredients = dict(
        params.model_dump(include=names), count=count, machines=machines, seed=params.seed
    )

    def draw() -> Tensor:
        looks = random_looks(params, count, machines, params.seed)
        return torch.cat([looks.home, looks.others], dim=1)

    both = dataset.store.arrays("looks", ingredients, draw, ("lib.data.random_looks",))
    return Looks(both[:, :1], both[:, 1:])


def _train(
    looks: Looks, classifier: nn.Module, params: TranslationParameters,
    checkpoints: Checkpoints | None = None,
) -> tuple[Simulated, pd.DataFrame]:  # fmt: skip
    loss = build_texture_loss(params.simulated_texture_loss, classifier, params)
    return train_simulated(looks, loss, params, params.seed, checkpoints)


def simulated_training(dataset: Dataset, classifier: nn.Module) -> Job:
    """The training of the simulated arm, as a job for the store.

    ``classifier`` is the grey source classifier, for texture losses made of its features.
    """
    params, looks = dataset.params, training_looks(dataset)
    names = ["simulated_", "texture_", "base_", "blocks", "padding", "upsampling", "rate_decay",
             "precision"]  # fmt: skip
    of_classifier = params.simulated_texture_loss in OF_CLASSIFIER
    ingredients = dict(
        home=looks.home.numpy(), others=looks.others.numpy(), seed=params.seed,
        settings=chosen_settings(params, names),
        classifier=weights_of(classifier) if of_classifier else None,
    )  # fmt: skip
    train = partial(_train, looks, classifier, params)
    return Job("simulated", ("lib.models.simulation",), ingredients, train)
