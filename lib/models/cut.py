"""Contrastive unpaired translation: CUT and FastCUT (Park et al. 2020, arXiv:2007.15651).

A generator to the source and a discriminator, and no way back. What ties a translation to its
original is that each of its places shall be told, by the generator's own encoder, to be that of the
original and not another one of the same image.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.allocator import keep_freed_memory
from engine.checkpoints import Checkpoints
from engine.fabric import make_fabric, number_kind, stop_if_diverged
from engine.progress import progress
from lib.models.cut_parameters import CutParameters
from lib.models.cyclegan import (
    Generator,
    PatchDiscriminator,
    ResidualBlock,
    adversarial_loss,
    discriminator_loss,
    draw_weights,
    fastest_layout,
)
from lib.models.parameters import TranslatorParameters
from lib.models.structure import info_nce
from lib.models.translation import (
    Batches,
    Losses,
    add_gradients,
    linear_decay,
)

PLACES = 256  # of each map, at most, that are told apart
WIDTH = 256  # of the projection heads and of the vectors that they give out
TEMPERATURE = 0.07


def encoder_layers(generator: Generator) -> list[int]:
    """Places in the generator's body after which its maps are compared, in their order.

    Both downsamplings, the first residual block and the middle one (appendix C.1, which numbers
    the layers of nine blocks); the image itself comes before them.
    """
    layers = list(enumerate(generator.body))
    halving = [n for n, layer in layers if getattr(layer, "stride", None) == (2, 2)]
    blocks = [n for n, layer in layers if isinstance(layer, ResidualBlock)]
    return sorted({*halving[:2], blocks[0], blocks[len(blocks) // 2]})


class CUT(nn.Module):
    """The generator to the source, its discriminator, and a projection head for each map compared.

    A head is two linear layers, applied to the vector of every place.
    """

    has_way_back = False

    def __init__(self, params: TranslatorParameters, channels: int = 1) -> None:
        super().__init__()
        filters = params.base_filters
        style = (params.blocks, params.padding, params.upsampling)
        self.to_source = Generator(channels, filters, *style)
        self.judge_source = PatchDiscriminator(channels, filters)
        self.layers = encoder_layers(self.to_source)
        widths = [channels, 2 * filters] + [4 * filters] * (len(self.layers) - 1)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU(inplace=True), nn.Linear(WIDTH, WIDTH))
            for width in widths
        )
        draw_weights(self)

    def encode(self, images: Tensor) -> list[Tensor]:
        """What is compared of images (N, C, H, W): they themselves, and maps of ``layers``."""
        maps, x = [images], images
        for place, layer in enumerate(self.to_source.body[: self.layers[-1] + 1]):
            x = layer(x)
            if place in self.layers:
                maps.append(x)
        return maps

    def translate(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Translated images, of the same shape, and ``encode(images)`` of the same pass."""
        maps = self.encode(images)
        decoder = self.to_source.body[self.layers[-1] + 1 :]
        return torch.tanh(self.to_source.last(decoder(maps[-1]))), maps


def draw_places(maps: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Flat places (P,) of each map (N, C, H, W), P at most ``PLACES``, none of them twice."""
    sizes = [part.shape[2] * part.shape[3] for part in maps]
    return [torch.randperm(size, generator=generator)[:PLACES] for size in sizes]


def describe(maps: Tensor, places: Tensor, head: nn.Module) -> Tensor:
    """Unit vectors (N, P, ``WIDTH``) that a head makes of flat places (P,) of maps (N, C, H, W)."""
    vectors = maps.flatten(2)[:, :, places.to(maps.device)]
    return F.normalize(head(vectors.transpose(1, 2)), dim=2)


def patch_nce(
    queries: Sequence[Tensor], keys: Sequence[Tensor], places: Sequence[Tensor],
    heads: Sequence[nn.Module],
) -> Tensor:  # fmt: skip
    """PatchNCE loss (eq. 3 and 4, the mean over layers): which place of the original is this?

    Parameters
    ----------
    queries, keys
        Maps (N, C, H, W) of translated images and of their originals, one of each layer.
    places
        Of each layer (P,); each is told from the P - 1 others of the same image. The same in all.

    Returns
    -------
    (N,), of each image; about log P by chance. Keys have no gradient.
    """
    losses = []
    for query, key, place, head in zip(queries, keys, places, heads, strict=True):
        with torch.no_grad():
            original = describe(key, place, head)
        losses.append(info_nce(describe(query, place, head), original, TEMPERATURE).mean(1))
    return torch.stack(losses).mean(0)


def generator_losses(
    networks: CUT, real: Tensor, native: Tensor | None, mirrored: bool, order: torch.Generator
) -> tuple[Tensor, Losses]:
    """The translated batch and the generator's losses, unweighted.

    Parameters
    ----------
    real
        Images of the target (N, C, H, W) in [-1, 1], which are translated.
    native
        As many of the source, which the generator shall leave as they are by the same loss
        (identity NCE); they share its passes. None leaves that out.
    mirrored
        The generator sees the images mirrored left to right and shall give the mirrored
        translation: places are compared where they lie in the original.
    """
    images = real if native is None else torch.cat([real, native])
    made, keys = networks.translate(images.flip(-1) if mirrored else images)
    queries = networks.encode(made)
    if mirrored:
        queries = [maps.flip(-1) for maps in queries]
        with torch.no_grad():
            keys = networks.encode(images)
    nce = patch_nce(queries, keys, draw_places(keys, order), networks.heads)
    fake = made[: len(real)]
    losses = dict(
        adversarial=adversarial_loss(networks.judge_source(fake), True),
        nce=nce[: len(real)].mean(),
        identity=torch.zeros(()) if native is None else nce[len(real) :].mean(),
    )
    return fake.detach(), losses


def train_cut(
    target: Tensor, source: Tensor, params: CutParameters, steps: int, seed: int,
    fast: bool = False, checkpoints: Checkpoints | None = None,
) -> tuple[CUT, pd.DataFrame]:  # fmt: skip
    """Train CUT, or FastCUT, between two unpaired uint8 stacks (N, C, H, W).

    Parameters
    ----------
    fast
        FastCUT: a larger weight and no identity NCE, which takes half of the passes; every second
        batch is translated mirrored.
    checkpoints
        Where the training goes on from, and keeps its states; None keeps none.

    Returns
    -------
    The networks in evaluation mode, and the history: one row a step with every loss, and the
    learning rate.

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
    networks = CUT(params, channels=target.shape[1]).to(**kind, memory_format=layout).train()
    judge = networks.judge_source
    translating = [*networks.to_source.parameters(), *networks.heads.parameters()]
    judging = list(judge.parameters())
    weights = [*translating, *judging]
    optimiser = torch.optim.Adam(weights, params.cut_rate, betas=(0.5, 0.999), fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: linear_decay(step, steps, params.rate_decay_start)
    )
    whole = slice(params.translator_batch)
    targets, sources = (
        Batches(stack, params.translator_batch, params.translator_flips, order, whole)
        for stack in (target, source)
    )
    checkpoints = checkpoints or Checkpoints()
    parts = dict(
        networks=networks, optimiser=optimiser, rate=rate, order=order, targets=targets,
        sources=sources,
    )  # fmt: skip
    weight = params.cut_fast_weight if fast else params.cut_weight

    done, history = checkpoints.resume(parts)
    for step in progress(range(done, steps), label="steps of FastCUT" if fast else "steps of CUT"):
        real, native = (images.draw().to(**kind) for images in (targets, sources))
        mirrored = fast and bool(torch.rand((), generator=order) < 0.5)
        # Generator and heads: deceive the judge, keep every place what it was.
        with fabric.autocast():
            fake, losses = generator_losses(
                networks, real, None if fast else native, mirrored, order
            )
        total = losses["adversarial"] + weight * (losses["nce"] + losses["identity"])
        pulls = torch.autograd.grad(total, translating)
        # Discriminator: tell real from fake. One update changes all, after both gradients.
        with fabric.autocast():
            losses["discriminator"] = discriminator_loss(judge, native, fake)
        verdicts = torch.autograd.grad(losses["discriminator"], judging)
        optimiser.zero_grad()
        add_gradients(weights, [*pulls, *verdicts])
        optimiser.step()

        values = {name: float(loss.detach()) for name, loss in losses.items()}
        remedy = f"Lower cut_rate (now {params.cut_rate})"
        stop_if_diverged(values, f"CUT step {step}", remedy, checkpoints)
        history.append(dict(step=step, **values, rate=rate.get_last_lr()[0]))
        rate.step()
        checkpoints.keep(step + 1, parts, history)
    networks = networks.to(memory_format=torch.contiguous_format)
    return networks.eval(), pd.DataFrame(history)
