"""The training loop of the translator, read from top to bottom, and its use."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from engine.allocator import keep_freed_memory
from engine.checkpoints import Checkpoints
from engine.fabric import make_fabric, number_kind, stop_if_diverged
from engine.pair import Pair
from engine.processes import Ranks
from engine.progress import progress
from lib.models.classifier import from_unit, to_unit
from lib.models.cyclegan import (
    CycleGAN,
    Direction,
    Generator,
    ImagePool,
    adversarial_loss,
    cycle_loss,
    discriminator_loss,
    fastest_layout,
    identity_loss,
)
from lib.models.parameters import TranslatorParameters
from lib.models.rounds import Rounds
from lib.models.texture import TextureLoss, TextureWeight

Losses = dict[str, Tensor]
LOSS_NAMES = ("adversarial", "cycle", "identity", "texture", "discriminator")


class Batches(Rounds):
    """Batches in [-1, 1] from a uint8 stack, each image once in a shuffled round, for ever.

    With ``flips`` every second image is mirrored left to right, as light from above allows. Only
    ``part`` of each batch is read, the rest is for other processes.
    """

    def __init__(
        self, stack: Tensor, batch: int, flips: bool, generator: torch.Generator, part: slice
    ) -> None:
        super().__init__(len(stack), batch, generator)
        self.stack, self.flips, self.part = stack, flips, part

    def draw(self) -> Tensor:
        """This process's part of the next batch, float32 (N, C, H, W)."""
        images = to_unit(self.stack[self.take()[self.part]])
        if self.flips:
            mirrored = (torch.rand(self.batch, generator=self.generator) < 0.5)[self.part]
            images[mirrored] = images[mirrored].flip(-1)
        return images


def linear_decay(step: int, steps: int, start: float) -> float:
    """Factor of the learning rate: 1 until ``start`` (share of the steps), then linear to 0."""
    first = start * steps
    return 1.0 if step < first else (steps - step) / max(1.0, steps - first)


@torch.no_grad()
def polynomial_average(means: list[Tensor], new: list[Tensor], count: int) -> None:
    """Update means of weights over the steps, in place; step t counts as t, ``count`` were seen.

    Polynomial-decay averaging with eta = 1 (Shamir & Zhang 2013, arXiv:1212.1824, eq. 1). The
    two players of a GAN circle around their equilibrium; a mean lies nearer to it than the last
    step does (Yazici et al. 2019, arXiv:1806.04498). This one needs no time constant.
    """
    torch._foreach_lerp_(means, new, 2.0 / (count + 2.0))


@torch.no_grad()
def add_gradients(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    """Add gradients, one for each of ``parameters``, to those that they have."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        whole = gradient if parameter.grad is None else parameter.grad + gradient
        # Fused Adam reads gradients in the order of the weights, whatever their strides say.
        if whole.stride() != parameter.stride():
            whole = torch.empty_like(parameter).copy_(whole)
        parameter.grad = whole


def direction_losses(
    direction: Direction,
    real: Tensor,
    native: Tensor,
    texture: TextureLoss | None,
    params: TranslatorParameters,
    pulls: bool = True,
) -> tuple[Tensor, Losses]:
    """The translated batch and the generators' losses of one direction, unweighted.

    ``real`` (N, C, H, W) in [-1, 1] is translated; ``native`` images are of the other domain. A
    texture loss that does not pull is watched, and has no gradient.
    """
    images = direction.translate(real, native if params.identity_weight else None)
    losses = dict(
        adversarial=adversarial_loss(direction.judge(images["fake"]), True),
        cycle=cycle_loss(images["cycled"], real),
        identity=torch.zeros(()),
        texture=torch.zeros(()),
    )
    if params.identity_weight:
        losses["identity"] = identity_loss(images["same"], native)
    if texture is not None:
        with torch.set_grad_enabled(pulls):
            losses["texture"] = texture(images["fake"].to(real), real)
    return images["fake"].detach(), losses


def train_translator(
    target: Tensor, source: Tensor, texture: TextureLoss | None, params: TranslatorParameters,
    steps: int, seed: int, checkpoints: Checkpoints | None = None,
) -> tuple[CycleGAN, pd.DataFrame]:  # fmt: skip
    """Train a CycleGAN between two unpaired uint8 stacks (N, 1, H, W).

    Parameters
    ----------
    texture
        Compares a translated image with its original, in both directions; None leaves it out. At
        ``texture_weight`` 0 it is watched: in the history, and without a trace in the weights.
    checkpoints
        Where the training goes on from, and keeps its states; None keeps none.

    Returns
    -------
    The networks in evaluation mode, generators averaged if asked, and the history: one row a step
    with every loss, the texture weight and the learning rate.

    Raises
    ------
    DivergedError
        A loss is not finite or explodes; the message gives step, losses and last checkpoint.
    """
    keep_freed_memory()
    fabric = make_fabric(params)
    fabric.seed_everything(seed, verbose=False)
    order = torch.Generator().manual_seed(seed)
    kind = number_kind(fabric, params)
    with fabric.autocast():
        layout = fastest_layout(fabric.device)
    networks = CycleGAN(params, channels=target.shape[1]).to(**kind, memory_format=layout)
    generators = nn.ModuleList([networks.to_source, networks.to_target])
    judges = nn.ModuleList([networks.judge_source, networks.judge_target])
    to_source, to_target = networks.directions
    # Lists of weights: to walk through the modules at every step would take milliseconds.
    translating = list(generators.parameters())
    judging = [list(judge.parameters()) for judge in judges]
    weights = [*translating, *judging[0], *judging[1]]
    adam = torch.optim.Adam(weights, params.translator_rate, betas=(0.5, 0.999), fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda step: linear_decay(step, steps, params.rate_decay_start)
    )
    optimiser = fabric.setup_optimizers(adam)
    if isinstance(texture, nn.Module):
        texture.to(**kind)
    pools = [ImagePool(params.pool_size, order) for _ in range(2)]
    weight = TextureWeight(
        params.texture_rule, params.texture_weight, steps, params.texture_final_weight,
        params.texture_bound,
    )  # fmt: skip
    ranks = Ranks(fabric)
    together = params.translator_batch * ranks.count  # images in a batch of all processes
    batches = [
        Batches(stack, together, params.translator_flips, order, ranks.part(together))
        for stack in (target, source)
    ]
    networks.train()
    averaged = copy.deepcopy(generators)
    means = list(averaged.parameters())
    if params.translator_compile:
        for network in networks.children():
            # Inductor mistakes the layout of padding's gradient where it may choose layouts.
            network.compile(options={"layout_optimization": False})
    checkpoints = checkpoints or Checkpoints()
    parts = dict(
        networks=networks, averaged=averaged, optimiser=adam, rate=rate, order=order, weight=weight
    )
    for name, pair in dict(pool=pools, batches=batches).items():
        parts |= {f"{name}_{place}": part for place, part in enumerate(pair)}

    done, history = checkpoints.resume(parts)
    ranks.wait()  # until all have read it
    accumulation = params.translator_accumulation

    def translated(direction: Direction, real: Tensor, native: Tensor) -> tuple[Tensor, Losses]:
        with fabric.autocast():
            return direction_losses(direction, real, native, texture, params, weight.pulls)

    # One update changes all weights, after both gradients: no discriminator sees what the
    # generators become by it, and so each half of a step runs through on its thread.
    def learned(
        losses: Losses, way: int, real: Tensor, fake: Tensor
    ) -> tuple[Sequence[Tensor], Sequence[Tensor], Tensor]:
        # Generators: deceive the judge, return from the round trip, keep the texture.
        total = (
            params.adversarial_weight * losses["adversarial"]
            + params.cycle_weight * losses["cycle"]
            + params.identity_weight * losses["identity"]
            + weight.value * losses["texture"]
        )
        pulls = torch.autograd.grad(total / accumulation, translating)
        # Discriminators: tell real from fake, also from the fakes of some steps ago.
        with fabric.autocast():
            loss = discriminator_loss(judges[way], real, fake)
        return pulls, torch.autograd.grad(loss / accumulation, judging[way]), loss.detach()

    # Two threads that compile at once may wait for each other for ever.
    with Pair(fabric.device, at_once=not params.translator_compile) as both:
        for step in progress(range(done, steps), label="translator steps"):
            optimiser.zero_grad()
            values = []
            for number in range(accumulation):
                real_target, real_source = (images.draw().to(**kind) for images in batches)
                # Compiled, the judges would compute gradients of theirs too, for nothing.
                judges.requires_grad_(False)
                (fake_source, there), (fake_target, back) = both(
                    translated,
                    (to_source, real_target, real_source),
                    (to_target, real_source, real_target),
                )
                losses = {name: there[name] + back[name] for name in there}
                if texture is not None and weight.pulls and number == 0:
                    last = networks.to_source.last.weight
                    weight.update(step, losses["texture"], losses["adversarial"], last, ranks.mean)
                seen = [
                    pool.exchange(ranks.whole(fake))[ranks.part(together)]
                    for pool, fake in zip(pools, (fake_source, fake_target), strict=True)
                ]
                judges.requires_grad_(True)
                (ours, first, verdict), (theirs, second, other) = both(
                    learned, (there, 0, real_source, seen[0]), (back, 1, real_target, seen[1])
                )
                add_gradients(weights, [*torch._foreach_add(ours, theirs), *first, *second])
                losses["discriminator"] = verdict + other
                values.append([loss.detach() for loss in losses.values()])
            ranks.mean_gradients(weights)
            optimiser.step()
            if params.average_weights:
                polynomial_average(means, translating, step)

            kept = torch.stack([torch.stack([loss.to(**kind) for loss in own]) for own in values])
            losses = dict(zip(LOSS_NAMES, ranks.mean(kept.mean(0)).tolist(), strict=True))
            remedy = (
                f"Lower translator_rate (now {params.translator_rate}) or texture_weight (now "
                f"{params.texture_weight})"
            )
            stop_if_diverged(losses, f"translator step {step}", remedy, checkpoints)
            history.append(
                dict(step=step, **losses, texture_weight=0.0 if texture is None else weight.value,
                     rate=rate.get_last_lr()[0])
            )  # fmt: skip
            rate.step()
            checkpoints.keep(step + 1, parts, history)
    if params.average_weights:
        generators.load_state_dict(averaged.state_dict())
    networks = networks.to(memory_format=torch.contiguous_format)
    return networks.eval(), pd.DataFrame(history)


@torch.inference_mode()
def translate(generator: Generator, stack: Tensor, batch: int = 32) -> Tensor:
    """Translate a uint8 stack (N, C, H, W); uint8 of the same shape."""
    device = next(generator.parameters()).device
    parts = []
    for part in stack.split(batch):
        image = generator(to_unit(part.to(device)))
        parts.append(from_unit(image).cpu())
    return torch.cat(parts)
