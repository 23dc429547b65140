"""The training loop of the translator, read from top to bottom, and its use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lib.models.classifier import to_unit
from lib.models.cyclegan import (
    CycleGAN,
    Generator,
    ImagePool,
    adversarial_loss,
    cycle_loss,
    discriminator_loss,
    identity_loss,
)
from lib.models.texture import TextureLoss, TextureWeight
from lib.models.training import DivergedError, make_fabric
from lib.params import Params
from lib.progress import progress


def _endless_batches(
    stack: Tensor, batch: int, flips: bool, generator: torch.Generator
) -> Iterator[Tensor]:
    """Batches in [-1, 1], each image once in a shuffled round, for ever.

    With ``flips`` every second image is mirrored left to right, as light from above allows.
    """
    queue = torch.empty(0, dtype=torch.long)
    while True:
        while len(queue) < batch:
            queue = torch.cat([queue, torch.randperm(len(stack), generator=generator)])
        images = to_unit(stack[queue[:batch]])
        if flips:
            mirrored = torch.rand(batch, generator=generator) < 0.5
            images[mirrored] = images[mirrored].flip(-1)
        yield images
        queue = queue[batch:]


def linear_decay(step: int, steps: int, start: float) -> float:
    """Factor of the learning rate: 1 until ``start`` (share of the steps), then linear to 0."""
    first = start * steps
    return 1.0 if step < first else (steps - step) / max(1.0, steps - first)


@torch.no_grad()
def polynomial_average(means: list[Tensor], new: list[Tensor], count: Tensor) -> None:
    """Update means of weights over the steps, in place; step t counts as t, ``count`` were seen.

    Polynomial-decay averaging with eta = 1 (Shamir & Zhang 2013, arXiv:1212.1824, eq. 1). The
    two players of a GAN circle around their equilibrium; a mean lies nearer to it than the last
    step does (Yazici et al. 2019, arXiv:1806.04498). This one needs no time constant.
    """
    torch._foreach_lerp_(means, new, 2.0 / (float(count) + 2.0))


def train_translator(
    target: Tensor, source: Tensor, texture: TextureLoss | None, params: Params, steps: int,
    seed: int,
) -> tuple[CycleGAN, pd.DataFrame]:  # fmt: skip
    """Train a CycleGAN between two unpaired uint8 stacks (N, 1, H, W).

    Parameters
    ----------
    texture
        Compares a translated image with its original, in both directions; None leaves it out.

    Returns
    -------
    The networks in evaluation mode, generators averaged if asked, and the history: one row a step
    with every loss, the texture weight and the learning rate.

    Raises
    ------
    DivergedError
        A loss is not finite; the message gives the step and the losses.
    """
    fabric = make_fabric(params)
    fabric.seed_everything(seed, verbose=False)
    order = torch.Generator().manual_seed(seed)
    networks = CycleGAN(params, channels=target.shape[1]).to(fabric.device)
    generators = nn.ModuleList([networks.to_source, networks.to_target])
    judges = nn.ModuleList([networks.judge_source, networks.judge_target])
    optimisers, rates = [], []
    for part in (generators, judges):
        optimiser = torch.optim.Adam(
            part.parameters(), params.translator_rate, betas=(0.5, 0.999), fused=True
        )
        rates.append(
            torch.optim.lr_scheduler.LambdaLR(
                optimiser, lambda step: linear_decay(step, steps, params.rate_decay_start)
            )
        )
        optimisers.append(fabric.setup_optimizers(optimiser))
    if isinstance(texture, nn.Module):
        texture.to(fabric.device)
    pools = [ImagePool(params.pool_size, order) for _ in range(2)]
    weight = TextureWeight(params, steps)
    batches = zip(
        _endless_batches(target, params.translator_batch, params.translator_flips, order),
        _endless_batches(source, params.translator_batch, params.translator_flips, order),
        strict=True,
    )
    networks.train()
    averaged = AveragedModel(generators, multi_avg_fn=polynomial_average)

    history = []
    for step in progress(range(steps), label="translator steps"):
        real_target, real_source = (batch.to(fabric.device) for batch in next(batches))

        # Generators: deceive both judges, return from the round trip, keep the texture.
        judges.requires_grad_(False)
        with fabric.autocast():
            images = networks.translate_both(
                real_target, real_source, identity=params.identity_weight > 0
            )
            adversarial = adversarial_loss(
                networks.judge_source(images["fake_source"]), True
            ) + adversarial_loss(networks.judge_target(images["fake_target"]), True)
            cycle = cycle_loss(images, real_target, real_source)
            identity = torch.zeros(())
            if params.identity_weight:
                identity = identity_loss(images, real_target, real_source)
            total = (
                params.adversarial_weight * adversarial
                + params.cycle_weight * cycle
                + params.identity_weight * identity
            )
            kept = torch.zeros(())
            if texture is not None:
                kept = texture(images["fake_source"].float(), real_target)
                kept = kept + texture(images["fake_target"].float(), real_source)
        if texture is not None:
            last = networks.to_source.last.weight
            total = total + weight.update(step, kept, adversarial, last) * kept
        optimisers[0].zero_grad()
        fabric.backward(total)
        optimisers[0].step()
        if params.average_weights:
            averaged.update_parameters(generators)

        # Discriminators: tell real from fake, also from the fakes of some steps ago.
        judges.requires_grad_(True)
        old_source = pools[0].exchange(images["fake_source"].detach())
        old_target = pools[1].exchange(images["fake_target"].detach())
        with fabric.autocast():
            judged = discriminator_loss(
                networks.judge_source, real_source, old_source
            ) + discriminator_loss(networks.judge_target, real_target, old_target)
        optimisers[1].zero_grad()
        fabric.backward(judged)
        optimisers[1].step()

        losses = dict(
            adversarial=adversarial.item(), cycle=cycle.item(), identity=identity.item(),
            texture=kept.item(), discriminator=judged.item(),
        )  # fmt: skip
        if not np.isfinite(list(losses.values())).all():
            raise DivergedError(
                f"translator step {step}: a loss is not finite ({losses}). Lower translator_rate "
                f"(now {params.translator_rate}) or texture_weight (now {params.texture_weight})."
            )
        texture_weight = weight.value if texture is not None else 0.0
        history.append(
            dict(step=step, **losses, texture_weight=texture_weight, rate=rates[0].get_last_lr()[0])
        )
        for rate in rates:
            rate.step()
    if params.average_weights:
        generators.load_state_dict(averaged.module.state_dict())
    return networks.eval(), pd.DataFrame(history)


@torch.inference_mode()
def translate(generator: Generator, stack: Tensor, batch: int = 32) -> Tensor:
    """Translate a uint8 stack (N, C, H, W); uint8 of the same shape."""
    device = next(generator.parameters()).device
    parts = []
    for part in stack.split(batch):
        image = generator(to_unit(part.to(device)))
        parts.append(((image + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu())
    return torch.cat(parts)
