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
from lib.models.translation import Batches, Losses, add_gradients, linear_decay

PLACES = 256  # of each map, at most, that are told apart
WIDTH = 256  # of the projection heads and of the vectors that they give out
TEMPERATURE = 0.07


def encoder_layers(generator: Generator) -> list[int]:
    """Places in the generator's body whose maps are compared, in their order.

    Both downsamplings, the first residual block and the middle one (appendix C.1, which numbers
    the layers of nine blocks); the image itself comes before them.
    """
    layers = list(enumerate(generator.body))
    halving = [n for n, layer in layers if _halves(layer)]
    blocks = [n for n, layer in layers if isinstance(layer, ResidualBlock)]
    return sorted({*halving[:2], blocks[0], blocks[len(blocks) // 2]})


def _halves(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)


def vectors_at(maps: Tensor, places: Tensor) -> Tensor:
    """Vectors (N, P, C) at flat places (P,) of maps (N, C, H, W)."""
    return _gather(maps, places).transpose(1, 2)


def convolved_at(maps: Tensor, places: Tensor, layer: nn.Conv2d) -> Tensor:
    """What a 3x3 convolution of maps (N, C, H, W) would be at stride 1, at flat places (P,).

    Vectors (N, P, outputs). The layer's own stride leaves a part of these places.
    """
    width = maps.shape[3]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(maps, [1] * 4, mode=mode)
    around = torch.arange(3)[:, None] * (width + 2) + torch.arange(3)
    corners = places // width * (width + 2) + places % width
    windows = _gather(padded, (corners[:, None] + around.flatten()).flatten())
    windows = windows.unflatten(2, (-1, 9)).transpose(1, 2).flatten(2)
    return F.linear(windows, layer.weight.flatten(1), layer.bias)


def _gather(maps: Tensor, places: Tensor) -> Tensor:
    # Its gradient takes half as long as that of an index.
    return maps.flatten(2).gather(2, places.to(maps.device).expand(*maps.shape[:2], -1))


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

    def sizes(self, images: Tensor) -> list[tuple[int, int]]:
        """Height and width of the maps that ``encode`` takes vectors of.

        A downsampling is compared before it leaves places out, as in the published code, whose
        generator does so some layers later. Each place has its mirror image then; those that a
        stride of 2 leaves have none.
        """
        height, width = images.shape[2:]
        shrunk = [1, 1, 2] + [4] * (len(self.layers) - 2)
        return [(height // part, width // part) for part in shrunk]

    def encode(self, images: Tensor, places: Sequence[Tensor]) -> list[Tensor]:
        """Vectors (N, P, C) of images (N, C, H, W), and of their maps of ``layers``.

        ``places`` are flat ones (P,) of each, see ``sizes``.
        """
        return self._encode(images, places)[1]

    def translate(self, images: Tensor, places: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Translated images, of the same shape, and ``encode(images, places)`` of the same pass."""
        maps, vectors = self._encode(images, places)
        decoder = self.to_source.body[self.layers[-1] + 1 :]
        return torch.tanh(self.to_source.last(decoder(maps))), vectors

    def _encode(self, images: Tensor, places: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        first, *others = places
        maps, vectors = images, [vectors_at(images, first)]
        chosen = dict(zip(self.layers, others, strict=True))
        for number, layer in enumerate(self.to_source.body[: self.layers[-1] + 1]):
            before, maps = maps, layer(maps)
            if number not in chosen:
                continue
            if _halves(layer):
                vectors.append(convolved_at(before, chosen[number], layer))
            else:
                vectors.append(vectors_at(maps, chosen[number]))
        return maps, vectors


def draw_places(sizes: Sequence[tuple[int, int]], generator: torch.Generator) -> list[Tensor]:
    """Flat places (P,) of maps of such sizes, P at most ``PLACES``, none of them twice."""
    return [torch.randperm(height * width, generator=generator)[:PLACES] for height, width in sizes]


def mirror_places(places: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Where flat places of maps of such sizes lie once these are mirrored left to right."""
    return [
        place + width - 1 - 2 * (place % width)
        for place, (_, width) in zip(places, sizes, strict=True)
    ]


def patch_nce(
    queries: Sequence[Tensor], keys: Sequence[Tensor], heads: Sequence[nn.Module]
) -> Tensor:
    """PatchNCE loss (eq. 3 and 4, the mean over layers): which place of the original is this?

    Parameters
    ----------
    queries, keys
        Vectors (N, P, C) at places of translated images and at the same ones of their originals,
        for each layer. Each is told from the P - 1 others of the same image.

    Returns
    -------
    (N,), of each image; about log P by chance. Keys have no gradient.
    """
    losses = []
    for query, key, head in zip(queries, keys, heads, strict=True):
        with torch.no_grad():
            original = F.normalize(head(key), dim=2)
        made = F.normalize(head(query), dim=2)
        losses.append(info_nce(made, original, TEMPERATURE).mean(1))
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
    sizes = networks.sizes(images)
    places = draw_places(sizes, order)
    made, keys = networks.translate(images.flip(-1) if mirrored else images, places)
    if mirrored:
        with torch.no_grad():
            keys = networks.encode(images, places)
        places = mirror_places(places, sizes)
    nce = patch_nce(networks.encode(made, places), keys, networks.heads)
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
