"""A plain step of CUT and FastCUT, as the published code trains: what the engine is held against.

Separate passes for translation, identity and every set of features, gradients of the keys' passes
kept and not used, the positive place apart from its negatives, an optimiser for each network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compendium.bench.reference_step import with_plain_layers
from lib.models.cut import CUT
from lib.models.cut_parameters import CutParameters
from lib.models.cyclegan import Generator, adversarial_loss

PLACES, TEMPERATURE = 256, 0.07
NEVER = -10.0  # stands for a place's likeness to itself among its negatives


def plain_cut(params: CutParameters, seed: int) -> CUT:
    """Networks of the same weights as ``train_cut`` begins with, of plain layers only."""
    torch.manual_seed(seed)
    return with_plain_layers(CUT(params, channels=1))


class ReferenceCut:
    """One step after the other on images (N, 1, H, W) in [-1, 1].

    ``order`` draws the places; those of an image and of its identity are the same.
    """

    def __init__(
        self, networks: CUT, params: CutParameters, fast: bool, order: torch.Generator
    ) -> None:
        self.networks, self.fast, self.order = networks.train(), fast, order
        self.layers = [3, 6, 9, 9 + params.blocks // 2]
        self.weight = params.cut_fast_weight if fast else params.cut_weight
        self.optimisers = [
            torch.optim.Adam(part.parameters(), params.cut_rate, betas=(0.5, 0.999), foreach=False)
            for part in (networks.to_source, networks.heads, networks.judge_source)
        ]

    def __call__(self, target: Tensor, source: Tensor, mirrored: bool) -> dict[str, float]:
        """Losses of the step, before its update."""
        n = self.networks
        seen = target.flip(3) if mirrored else target
        fake = n.to_source(seen)
        same = None if self.fast else n.to_source(source)
        adversarial = adversarial_loss(n.judge_source(fake), True)
        places = self._places(target)
        nce = self._nce(fake, target, places, mirrored)
        identity = torch.zeros(()) if same is None else self._nce(same, source, places, False)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        (adversarial + self.weight * (nce + identity)).backward()
        for optimiser in self.optimisers[:2]:
            optimiser.step()

        self.optimisers[2].zero_grad()
        real, made = n.judge_source(source), n.judge_source(fake.detach())
        judged = 0.5 * (adversarial_loss(real, True) + adversarial_loss(made, False))
        judged.backward()
        self.optimisers[2].step()
        losses = dict(adversarial=adversarial, nce=nce, identity=identity, discriminator=judged)
        return {name: loss.item() for name, loss in losses.items()}

    def _places(self, images: Tensor) -> list[Tensor]:
        with torch.no_grad():
            maps = _maps(self.networks.to_source, images, self.layers)
        return [torch.randperm(part[0, 0].numel(), generator=self.order)[:PLACES] for part in maps]

    def _nce(self, made: Tensor, original: Tensor, places: list[Tensor], mirrored: bool) -> Tensor:
        generator = self.networks.to_source
        queries = _maps(generator, made, self.layers)
        if mirrored:
            queries = [part.flip(3) for part in queries]
        keys = _maps(generator, original, self.layers)
        total = torch.zeros(())
        for query, key, place, head in zip(queries, keys, places, self.networks.heads, strict=True):
            q, k = (_vectors(part, place, head) for part in (query, key))
            total = total + _contrast(q, k.detach(), len(made))
        return total / len(queries)


def _maps(generator: Generator, images: Tensor, layers: list[int]) -> list[Tensor]:
    """The images, and maps of ``layers``: of a downsampling before it leaves places out."""
    maps = [images]
    for number, layer in enumerate(generator.body):
        if number in layers[:2]:
            images = _whole(layer, images)
            maps.append(images)
            images = images[:, :, ::2, ::2]
            continue
        images = layer(images)
        if number in layers:
            maps.append(images)
        if number == layers[-1]:
            break
    return maps


def _whole(layer: nn.Conv2d, images: Tensor) -> Tensor:
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return F.conv2d(F.pad(images, [1, 1, 1, 1], mode), layer.weight, layer.bias)


def _vectors(maps: Tensor, places: Tensor, head: nn.Module) -> Tensor:
    """Unit vectors of all images below each other, (N * P, C)."""
    vectors = maps.permute(0, 2, 3, 1).flatten(1, 2)[:, places.to(maps.device)].flatten(0, 1)
    vectors = head(vectors)
    return vectors / vectors.square().sum(1, keepdim=True).sqrt()


def _contrast(queries: Tensor, keys: Tensor, images: int) -> Tensor:
    count, width = queries.shape
    own = (queries * keys).sum(1, keepdim=True)
    one, other = (part.view(images, -1, width) for part in (queries, keys))
    others = torch.bmm(one, other.transpose(1, 2))
    diagonal = torch.eye(others.shape[1], dtype=torch.bool, device=others.device)
    others = others.masked_fill(diagonal, NEVER).view(count, -1)
    logits = torch.cat([own, others], dim=1) / TEMPERATURE
    return F.cross_entropy(logits, torch.zeros(count, dtype=torch.long, device=logits.device))
