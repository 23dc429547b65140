"""Losses of a GAN, its training from top to bottom, and images drawn from it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.allocator import keep_freed_memory
from engine.checkpoints import Checkpoints
from engine.errors import InputError
from engine.fabric import begin_training, stop_if_diverged
from engine.progress import progress
from lib.models.classifier import from_unit, to_unit
from lib.models.gan import HALVINGS, KINDS, ImageDiscriminator, ImageGenerator, Kind
from lib.models.gan_parameters import GanParameters
from lib.models.rounds import Rounds
from lib.models.translation import polynomial_average

PENALTY = 10.0  # weight of the gradient penalty, as Gulrajani et al. 2017


def judge_loss(real: Tensor, fake: Tensor, kind: Kind, real_label: float = 1.0) -> Tensor:
    """Loss of a discriminator by its scores of real and of fake images, each of any shape.

    Cross-entropy: real ones are to be called ``real_label``, fake ones 0, so that smoothing is
    one-sided (Salimans et al. 2016, arXiv:1606.03498, section 3.4). Hinge: Miyato et al. 2018,
    arXiv:1802.05957, eq. 16. Wasserstein: Gulrajani et al. 2017, arXiv:1704.00028, eq. 3 without
    its penalty.
    """
    if kind.loss == "hinge":
        return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()
    if kind.loss == "wasserstein":
        return fake.mean() - real.mean()
    called = F.binary_cross_entropy_with_logits(real, torch.full_like(real, real_label))
    return called + F.softplus(fake).mean()


def generator_loss(fake: Tensor, kind: Kind) -> Tensor:
    """Loss of a generator by the scores of its images: -log D, or the score itself."""
    return F.softplus(-fake).mean() if kind.loss == "cross_entropy" else -fake.mean()


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
    """Mean of (|gradient| - 1)^2 of the critic's score at images between real and fake ones.

    Gulrajani et al. 2017, eq. 3; every pair (N, C, H, W) is mixed in its own proportion. The score
    of an image is the mean over its places.
    """
    share = torch.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
    between = torch.lerp(fake.detach(), real, share).requires_grad_()
    score, _ = critic(between, labels)
    (slope,) = torch.autograd.grad(score.flatten(1).mean(1).sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1.0).square().mean()


def turned_each(images: Tensor, generator: torch.Generator) -> Tensor:
    """Squares (N, C, S, S), each mirrored and turned by quarters by itself: tissue has no up."""
    ways = torch.randint(8, (len(images),), generator=generator).tolist()
    found = (torch.rot90(image, way % 4, (1, 2)) for image, way in zip(images, ways, strict=True))
    return torch.stack(
        [image.flip(2) if way >= 4 else image for image, way in zip(found, ways, strict=True)]
    )


class ClassRounds:
    """Batches of rows in which every class has its share, each class in rounds of its own.

    ``labels`` (N,) are 0 to K - 1.
    """

    def __init__(self, labels: np.ndarray, batch: int, generator: torch.Generator) -> None:
        self.rows = [torch.from_numpy(np.flatnonzero(labels == k)) for k in np.unique(labels)]
        share = batch // len(self.rows)
        self.rounds = [Rounds(len(rows), share, generator) for rows in self.rows]
        self.labels = torch.arange(len(self.rows)).repeat_interleave(share)

    def take(self) -> Tensor:
        """The next rows, the first class's before the second's; their classes are ``labels``."""
        return torch.cat(
            [rows[own.take()] for rows, own in zip(self.rows, self.rounds, strict=True)]
        )

    def state_dict(self) -> dict[str, Any]:
        """What is left of every class's round."""
        return {str(place): own.state_dict() for place, own in enumerate(self.rounds)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        for place, own in enumerate(self.rounds):
            own.load_state_dict(state[str(place)])


def draw_latent(count: int, generator: ImageGenerator, side: int, order: torch.Generator) -> Tensor:
    """Normal numbers for ``count`` images of ``side`` px, float32 (count, latent, h, w)."""
    places = side // 2**HALVINGS
    return torch.randn(count, generator.latent, places, places, generator=order)


def train_gan(
    stack: Tensor, labels: np.ndarray, name: str, params: GanParameters, seed: int,
    checkpoints: Checkpoints | None = None,
) -> tuple[ImageGenerator, pd.DataFrame]:  # fmt: skip
    """Train a GAN on uint8 images (N, 3, S, S) of classes ``labels`` (N,), 0 to K - 1.

    Parameters
    ----------
    name : key of ``gan.KINDS``

    Returns
    -------
    The generator in evaluation mode, its weights averaged over the steps, and the history: one row
    a step with both losses, and the discriminator's mean score of real and of fake images (logits,
    of cross-entropy).

    Raises
    ------
    InputError
        A class has no image, or the side is no multiple of 8 px.
    DivergedError
        A loss is not finite or explodes.
    """
    side, classes = stack.shape[-1], int(labels.max()) + 1
    if side % 2**HALVINGS:
        raise InputError(f"image_size {side}: a GAN needs a multiple of 8 px. Set it to one.")
    if len(np.unique(labels)) < classes:
        raise InputError(f"classes {np.unique(labels).tolist()}: one is missing. Add its images.")
    keep_freed_memory()
    fabric, number, layout = begin_training(params, seed)
    kind = KINDS[name]
    generator = ImageGenerator(params.gan_filters, params.gan_latent, classes)
    judge = ImageDiscriminator(params.gan_filters, classes, kind)
    generator, judge = (
        network.to(**number, memory_format=layout).train() for network in (generator, judge)
    )
    fabric.seed_everything(seed, verbose=False)  # the same images whatever else was drawn
    order = torch.Generator().manual_seed(seed)
    rows = ClassRounds(labels, params.gan_batch, order)
    of_class = rows.labels.to(fabric.device)
    rates = (params.gan_rate, params.gan_rate * params.gan_rate_ratio)
    generating, judging = (
        torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.999), fused=True)
        for network, rate in zip((generator, judge), rates, strict=True)
    )
    averaged = copy.deepcopy(generator)
    means, moving = list(averaged.parameters()), list(generator.parameters())
    updates = params.gan_critic_steps if kind.loss == "wasserstein" else 1
    checkpoints = checkpoints or Checkpoints()
    parts = dict(
        generator=generator, judge=judge, generating=generating, judging=judging, order=order,
        rows=rows, averaged=averaged,
    )  # fmt: skip

    def named(logits: Tensor | None) -> Tensor | float:
        return 0.0 if logits is None else F.cross_entropy(logits, of_class)

    done, history = checkpoints.resume(parts)
    for step in progress(range(done, params.gan_steps), label="GAN steps"):
        judge.requires_grad_(True)
        for _ in range(updates):
            real = to_unit(turned_each(stack[rows.take()], order)).to(**number)
            real = real.contiguous(memory_format=layout)
            with fabric.autocast():
                latent = draw_latent(len(real), generator, side, order)
                fake = generator(latent.to(**number), of_class)
                scores, classed = judge(real, of_class)
                others, other_classed = judge(fake.detach(), of_class)
                verdict = judge_loss(scores, others, kind, params.gan_real_label)
                verdict = verdict + named(classed) + named(other_classed)
                if kind.loss == "wasserstein":
                    verdict = verdict + PENALTY * gradient_penalty(judge, real, fake, of_class)
            judging.zero_grad()
            verdict.backward()
            judging.step()
        # The same images again, before the discriminator that has just seen them.
        judge.requires_grad_(False)
        with fabric.autocast():
            deceived, classed = judge(fake, of_class)
            loss = generator_loss(deceived, kind) + named(classed)
        generating.zero_grad()
        loss.backward()
        generating.step()
        polynomial_average(means, moving, step)
        values = dict(generator=loss, discriminator=verdict, real=scores.mean(), fake=others.mean())
        found = {part: value.item() for part, value in values.items()}
        remedy = f"Lower gan_rate (now {params.gan_rate})"
        stop_if_diverged(found, f"{name}, step {step}", remedy, checkpoints)
        history.append(dict(step=step, **found))
        checkpoints.keep(step + 1, parts, history)
    averaged = averaged.to(memory_format=torch.contiguous_format)
    _measure_statistics(averaged, side, classes, order)
    return averaged.eval(), pd.DataFrame(history)


@torch.inference_mode()
def _measure_statistics(
    generator: ImageGenerator, side: int, classes: int, order: torch.Generator
) -> None:
    """Give the batch norms of averaged weights the statistics of their own images."""
    for layer in generator.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean over all batches
    weight = next(generator.parameters())
    labels = (torch.arange(64) % classes).to(weight.device)
    for _ in range(16):
        generator.train()(draw_latent(64, generator, side, order).to(weight), labels)


@torch.inference_mode()
def generate(
    generator: ImageGenerator, labels: np.ndarray, side: int, seed: int, batch: int = 64
) -> Tensor:
    """Images of classes ``labels`` (N,), uint8 (N, 3, side, side); another seed gives others."""
    weight = next(generator.parameters())
    latent = draw_latent(len(labels), generator, side, torch.Generator().manual_seed(seed))
    chosen = torch.from_numpy(labels).long().to(weight.device)
    parts = [
        generator(z.to(weight), own)
        for z, own in zip(latent.split(batch), chosen.split(batch), strict=True)
    ]
    return from_unit(torch.cat(parts).float()).cpu()
