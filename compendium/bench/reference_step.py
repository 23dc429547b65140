"""A plain CycleGAN step, as the published code trains: what the engine is measured against.

Separate passes for real and identity images, plain Adam, gradients of the discriminators computed
in the generators' step too, every image through a discriminator by itself.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.cyclegan import (
    ClosingConvolution,
    CycleGAN,
    OpeningConvolution,
    ResizeConvolution,
    adversarial_loss,
)
from lib.models.parameters import TranslationParameters
from lib.models.texture import TextureLoss

Networks = TypeVar("Networks", bound=nn.Module)


def plain_networks(params: TranslationParameters, seed: int) -> CycleGAN:
    """Networks of the same weights as ``train_translator`` begins with, of plain layers only."""
    torch.manual_seed(seed)
    return with_plain_layers(CycleGAN(params, channels=1))


def with_plain_layers(networks: Networks) -> Networks:
    """The same networks and weights, of plain layers only, in place."""
    for module in list(networks.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, nn.GroupNorm):
                setattr(module, name, nn.InstanceNorm2d(layer.num_channels))
            elif isinstance(layer, OpeningConvolution | ClosingConvolution):
                setattr(module, name, _plain(layer))
            elif isinstance(layer, ResizeConvolution):
                setattr(module, name, nn.Sequential(nn.Upsample(scale_factor=2), _plain(layer)))
    return networks


def _plain(layer: nn.Conv2d) -> nn.Conv2d:
    plain = nn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding,
        padding_mode=layer.padding_mode,
    )  # fmt: skip
    plain.load_state_dict(layer.state_dict())
    return plain


class ReferenceStep:
    """One step after the other on images (N, 1, H, W) in [-1, 1]; batch and losses as given."""

    def __init__(
        self, networks: CycleGAN, texture: TextureLoss | None, params: TranslationParameters
    ) -> None:
        self.networks, self.texture, self.params = networks, texture, params
        generators = nn.ModuleList([networks.to_source, networks.to_target])
        judges = nn.ModuleList([networks.judge_source, networks.judge_target])
        self.optimisers = [
            torch.optim.Adam(
                part.parameters(), params.translator_rate, betas=(0.5, 0.999), foreach=False
            )
            for part in (generators, judges)
        ]
        networks.train()

    def __call__(self, target: Tensor, source: Tensor, texture_weight: float) -> dict[str, float]:
        """Losses of the step, before its update."""
        n, p = self.networks, self.params
        fake_source, fake_target = n.to_source(target), n.to_target(source)
        cycled_target, cycled_source = n.to_target(fake_source), n.to_source(fake_target)
        adversarial = adversarial_loss(n.judge_source(fake_source), True) + adversarial_loss(
            n.judge_target(fake_target), True
        )
        cycle = F.l1_loss(cycled_target, target) + F.l1_loss(cycled_source, source)
        total = p.adversarial_weight * adversarial + p.cycle_weight * cycle
        identity = torch.zeros(())
        if p.identity_weight:
            identity = F.l1_loss(n.to_source(source), source) + F.l1_loss(
                n.to_target(target), target
            )
            total = total + p.identity_weight * identity
        kept = torch.zeros(())
        if self.texture is not None:
            kept = self.texture(fake_source, target) + self.texture(fake_target, source)
            total = total + texture_weight * kept
        self.optimisers[0].zero_grad()
        total.backward()
        self.optimisers[0].step()

        self.optimisers[1].zero_grad()
        judged = torch.zeros(())
        for judge, real, fake in (
            (n.judge_source, source, fake_source.detach()),
            (n.judge_target, target, fake_target.detach()),
        ):
            judged = judged + 0.5 * (
                adversarial_loss(judge(real), True) + adversarial_loss(judge(fake), False)
            )
        judged.backward()
        self.optimisers[1].step()
        losses = dict(adversarial=adversarial, cycle=cycle, identity=identity, texture=kept,
                      discriminator=judged)  # fmt: skip
        return {name: loss.item() for name, loss in losses.items()}
