"""The training loop of the translator, read from top to bottom, and its use."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lib.models.checkpoint import Checkpoints
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
from lib.models.ranks import Ranks
from lib.models.texture import TextureLoss, TextureWeight
from lib.models.training import LARGEST_LOSS, DivergedError, make_fabric
from lib.params import Params
from lib.progress import progress


class Batches:
    """Batches in [-1, 1] from a uint8 stack, each image once in a shuffled round, for ever.

    With ``flips`` every second image is mirrored left to right, as light from above allows. Only
    ``part`` of each batch is read, the rest is for other processes.
    """

    def __init__(
        self, stack: Tensor, batch: int, flips: bool, generator: torch.Generator, part: slice
    ) -> None:
        self.stack, self.batch, self.flips, self.generator = stack, batch, flips, generator
        self.part = part
        self.queue = torch.empty(0, dtype=torch.long)

    def draw(self) -> Tensor:
        """This process's part of the next batch, float32 (N, C, H, W)."""
        while len(self.queue) < self.batch:
            order = torch.randperm(len(self.stack), generator=self.generator)
            self.queue = torch.cat([self.queue, order])
        images = to_unit(self.stack[self.queue[: self.batch][self.part]])
        if self.flips:
            mirrored = (torch.rand(self.batch, generator=self.generator) < 0.5)[self.part]
            images[mirrored] = images[mirrored].flip(-1)
        self.queue = self.queue[self.batch :]
        return images

    def state_dict(self) -> dict[str, Tensor]:
        """What is left of the round; the generator is whoever's it is."""
        return {"queue": self.queue}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave."""
        self.queue = state["queue"]


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
    seed: int, checkpoints: Checkpoints | None = None,
) -> tuple[CycleGAN, pd.DataFrame]:  # fmt: skip
    """Train a CycleGAN between two unpaired uint8 stacks (N, 1, H, W).

    Parameters
    ----------
    texture
        Compares a translated image with its original, in both directions; None leaves it out.
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
    fabric = make_fabric(params)
    fabric.seed_everything(seed, verbose=False)
    order = torch.Generator().manual_seed(seed)
    kind = dict(
        device=fabric.device, dtype=torch.double if params.precision == "64-true" else torch.float
    )
    networks = CycleGAN(params, channels=target.shape[1]).to(**kind)
    generators = nn.ModuleList([networks.to_source, networks.to_target])
    judges = nn.ModuleList([networks.judge_source, networks.judge_target])
    plain, optimisers, rates = [], [], []
    for part in (generators, judges):
        optimiser = torch.optim.Adam(
            part.parameters(), params.translator_rate, betas=(0.5, 0.999), fused=True
        )
        rates.append(
            torch.optim.lr_scheduler.LambdaLR(
                optimiser, lambda step: linear_decay(step, steps, params.rate_decay_start)
            )
        )
        plain.append(optimiser)
        optimisers.append(fabric.setup_optimizers(optimiser))
    if isinstance(texture, nn.Module):
        texture.to(**kind)
    pools = [ImagePool(params.pool_size, order) for _ in range(2)]
    weight = TextureWeight(params, steps)
    ranks = Ranks(fabric)
    together = params.translator_batch * ranks.count  # images in a batch of all processes
    batches = [
        Batches(stack, together, params.translator_flips, order, ranks.part(together))
        for stack in (target, source)
    ]
    networks.train()
    averaged = AveragedModel(generators, multi_avg_fn=polynomial_average)
    if params.translator_compile:
        for network in networks.children():
            # Inductor mistakes the layout of padding's gradient where it may choose layouts.
            network.compile(options={"layout_optimization": False})
    checkpoints = checkpoints or Checkpoints()
    parts = dict(networks=networks, averaged=averaged, order=order, weight=weight)
    for name, pair in dict(optimiser=plain, rate=rates, pool=pools, batches=batches).items():
        parts |= {f"{name}_{place}": part for place, part in enumerate(pair)}

    done, history = checkpoints.resume(parts)
    ranks.wait()  # until all have read it
    parts_of_step = range(params.translator_accumulation)
    for step in progress(range(done, steps), label="translator steps"):
        # Generators: deceive both judges, return from the round trip, keep the texture.
        judges.requires_grad_(False)
        optimisers[0].zero_grad()
        shown, losses = [], []
        for number in parts_of_step:
            real_target, real_source = (images.draw().to(**kind) for images in batches)
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
                    kept = texture(images["fake_source"].to(real_target), real_target)
                    kept = kept + texture(images["fake_target"].to(real_source), real_source)
            if texture is not None:
                if number == 0:
                    last = networks.to_source.last.weight
                    weight.update(step, kept, adversarial, last, ranks.mean)
                total = total + weight.value * kept
            fabric.backward(total / len(parts_of_step))
            shown.append((real_source, real_target, images["fake_source"].detach(),
                          images["fake_target"].detach()))  # fmt: skip
            losses.append([adversarial, cycle, identity, kept])
        ranks.mean_gradients(generators.parameters())
        optimisers[0].step()
        if params.average_weights:
            averaged.update_parameters(generators)

        # Discriminators: tell real from fake, also from the fakes of some steps ago.
        judges.requires_grad_(True)
        optimisers[1].zero_grad()
        for own, (real_source, real_target, *fakes) in zip(losses, shown, strict=True):
            old_source, old_target = (
                pool.exchange(ranks.whole(fake))[ranks.part(together)]
                for pool, fake in zip(pools, fakes, strict=True)
            )
            with fabric.autocast():
                judged = discriminator_loss(
                    networks.judge_source, real_source, old_source
                ) + discriminator_loss(networks.judge_target, real_target, old_target)
            fabric.backward(judged / len(parts_of_step))
            own.append(judged)
        ranks.mean_gradients(judges.parameters())
        optimisers[1].step()

        names = ("adversarial", "cycle", "identity", "texture", "discriminator")
        values = torch.stack(
            [torch.stack([loss.detach().to(total) for loss in own]) for own in losses]
        )
        means = dict(zip(names, ranks.mean(values.mean(0)).tolist(), strict=True))
        if not (np.abs(list(means.values())) < LARGEST_LOSS).all():
            raise DivergedError(
                f"translator step {step}: a loss explodes ({means}). Lower translator_rate (now "
                f"{params.translator_rate}) or texture_weight (now {params.texture_weight}); "
                f"{checkpoints}."
            )
        texture_weight = weight.value if texture is not None else 0.0
        history.append(
            dict(step=step, **means, texture_weight=texture_weight, rate=rates[0].get_last_lr()[0])
        )
        for rate in rates:
            rate.step()
        checkpoints.keep(step + 1, parts, history)
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
