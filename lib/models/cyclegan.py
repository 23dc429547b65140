"""The networks, losses and image pool of a CycleGAN (Zhu et al. 2017, arXiv:1703.10593).

``target`` is the domain of the clinic's microscope, ``source`` the one the classifier was
trained on. ``to_source`` is the generator that a clinic uses: target image in, source look out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.params import Params


def _convolution(inputs: int, outputs: int, size: int, stride: int, padding: str) -> nn.Conv2d:
    return nn.Conv2d(
        inputs, outputs, size, stride, padding=(size - 1) // 2, padding_mode=padding, bias=True
    )


def _instance_norm(filters: int) -> nn.GroupNorm:
    """Instance normalisation without affine terms: a group per channel, twice as fast on a CPU."""
    return nn.GroupNorm(filters, filters, affine=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation, added to their input."""

    def __init__(self, filters: int, padding: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(filters, filters, 3, 1, padding),
            _instance_norm(filters),
            nn.ReLU(inplace=True),
            _convolution(filters, filters, 3, 1, padding),
            _instance_norm(filters),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResizeConvolution(nn.Conv2d):
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution, in one step.

    A transposed convolution overlaps unevenly and prints a checkerboard; resizing first does not
    (Odena et al. 2016, doi:10.23915/distill.00003). Four equal pixels meet the same input, so the
    two steps are a transposed convolution with 4x4 weights that are sums of the 3x3 ones, and take
    half the time so.
    """

    def forward(self, x: Tensor) -> Tensor:
        wide = F.pad(self.weight.transpose(0, 1).flip(2, 3), [1] * 4)
        tall = wide[:, :, 1:] + wide[:, :, :-1]
        summed = tall[..., 1:] + tall[..., :-1]
        edge = "constant" if self.padding_mode == "zeros" else "replicate"
        return F.conv_transpose2d(
            F.pad(x, [1] * 4, mode=edge), summed, self.bias, stride=2, padding=3
        )


class PackedConvolution(nn.Conv2d):
    """A 7x7 convolution, computed as a 3x3 one on images whose 4x4 pixels became channels.

    Between an image and many filters a plain convolution leaves the processor's vectors nearly
    empty, since the image fills one channel of sixteen. Packed (Shi et al. 2016,
    arXiv:1609.05158, sub-pixel convolution), sixteen pixels fill them. The 3x3 weights hold each
    7x7 kernel sixteen times, shifted by one pixel each and surrounded by zeros.
    """

    side = 4

    def _packed(self) -> Tensor:
        side, (outputs, inputs) = self.side, self.weight.shape[:2]
        # A window of 3 blocks slides over the kernel: the later an output pixel in its block, the
        # further its kernel lies from the window's start.
        margin = F.pad(self.weight, [side] * 4 + [0] * 4)
        windows = margin.unfold(2, 3 * side, 1).unfold(3, 3 * side, 1)[:, :, :side, :side]
        windows = windows.flip(2, 3).reshape(outputs, inputs, side, side, 3, side, 3, side)
        return windows.permute(0, 2, 3, 1, 5, 7, 4, 6).reshape(
            outputs * side**2, inputs * side**2, 3, 3
        )

    def forward(self, x: Tensor) -> Tensor:
        edge = "constant" if self.padding_mode == "zeros" else self.padding_mode
        blocks = F.pixel_unshuffle(F.pad(x, [self.side] * 4, mode=edge), self.side)
        bias = self.bias.repeat_interleave(self.side**2)
        return F.pixel_shuffle(F.conv2d(blocks, self._packed(), bias), self.side)


def _upsample(filters: int, upsampling: str, padding: str) -> nn.Module:
    if upsampling == "transposed":
        return nn.ConvTranspose2d(filters, filters // 2, 3, 2, padding=1, output_padding=1)
    return ResizeConvolution(filters, filters // 2, 3, padding=1, padding_mode=padding)


class Generator(nn.Module):
    """Residual translator (Johnson et al. 2016), instance norm without affine terms.

    Input and output: (N, channels, H, W) in [-1, 1]; H and W are multiples of 4.
    """

    def __init__(
        self, channels: int, filters: int, blocks: int, padding: str, upsampling: str
    ) -> None:
        super().__init__()
        layers = [_convolution(channels, filters, 7, 1, padding)]
        layers += [_instance_norm(filters), nn.ReLU(inplace=True)]
        for width in (filters, 2 * filters):
            layers += [_convolution(width, 2 * width, 3, 2, padding)]
            layers += [_instance_norm(2 * width), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(4 * filters, padding) for _ in range(blocks)]
        for width in (4 * filters, 2 * filters):
            layers += [_upsample(width, upsampling, padding)]
            layers += [_instance_norm(width // 2), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.last = PackedConvolution(filters, channels, 7, padding=3, padding_mode=padding)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.last(self.body(x)))


class PatchDiscriminator(nn.Module):
    """70x70 PatchGAN (Isola et al. 2017): (N, channels, H, W) in [-1, 1] to a map of scores."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, filters, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for width, stride in ((filters, 2), (2 * filters, 2), (4 * filters, 1)):
            layers += [nn.Conv2d(width, 2 * width, 4, stride, 1)]
            layers += [_instance_norm(2 * width), nn.LeakyReLU(0.2, True)]
        self.body = nn.Sequential(*layers, nn.Conv2d(8 * filters, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class CycleGAN(nn.Module):
    """Both generators and both discriminators, initialised from N(0, 0.02)."""

    def __init__(self, params: Params, channels: int = 1) -> None:
        super().__init__()
        shape = (channels, params.base_filters)
        style = (params.blocks, params.padding, params.upsampling)
        self.to_source = Generator(*shape, *style)
        self.to_target = Generator(*shape, *style)
        self.judge_source = PatchDiscriminator(*shape)
        self.judge_target = PatchDiscriminator(*shape)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                nn.init.zeros_(module.bias)

    def translate_both(
        self, target: Tensor, source: Tensor, identity: bool = True
    ) -> dict[str, Tensor]:
        """Every image the losses need, from one batch of each domain, (N, C, H, W) in [-1, 1].

        ``fake_source`` is the translated target image, ``cycled_target`` the round trip, and, if
        ``identity``, ``same_source`` a source image sent through the generator it needs no
        translation by. Real and identity images share one pass: instance norm treats every image
        alone, so the result is that of two.
        """
        images = {}
        if identity:
            both = self.to_source(torch.cat([target, source])).chunk(2)
            images["fake_source"], images["same_source"] = both
            both = self.to_target(torch.cat([source, target])).chunk(2)
            images["fake_target"], images["same_target"] = both
        else:
            images["fake_source"], images["fake_target"] = (
                self.to_source(target),
                self.to_target(source),
            )
        images["cycled_target"] = self.to_target(images["fake_source"])
        images["cycled_source"] = self.to_source(images["fake_target"])
        return images


def adversarial_loss(scores: Tensor, real: bool) -> Tensor:
    """Least-squares GAN loss (Mao et al. 2017, eq. 2): mean squared distance to 1 or 0."""
    return F.mse_loss(scores, torch.ones_like(scores) if real else torch.zeros_like(scores))


def cycle_loss(images: dict[str, Tensor], target: Tensor, source: Tensor) -> Tensor:
    """Mean absolute error of both round trips (Zhu et al. 2017, eq. 2)."""
    return F.l1_loss(images["cycled_target"], target) + F.l1_loss(images["cycled_source"], source)


def identity_loss(images: dict[str, Tensor], target: Tensor, source: Tensor) -> Tensor:
    """Mean absolute change of images that need no translation (Zhu et al. 2017, section 5.2)."""
    return F.l1_loss(images["same_target"], target) + F.l1_loss(images["same_source"], source)


def discriminator_loss(judge: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Half the sum of the least-squares losses on real and fake images, of equal number."""
    on_real, on_fake = judge(torch.cat([real, fake])).chunk(2)
    return 0.5 * (adversarial_loss(on_real, True) + adversarial_loss(on_fake, False))


class ImagePool:
    """The last ``size`` translations; a discriminator sees old ones half of the time.

    Shrivastava et al. 2017, section 2.3. ``size`` 0 hands every image straight through.
    """

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self.size = size
        self.generator = generator
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor) -> Tensor:
        """Swap each image with a pooled one with probability 1/2; same shape out as in."""
        if self.size == 0:
            return images
        out = []
        for image in images:
            if len(self.images) < self.size:
                self.images.append(image)
                out.append(image)
            elif torch.rand((), generator=self.generator) < 0.5:
                place = int(torch.randint(self.size, (), generator=self.generator))
                out.append(self.images[place].to(image.device))
                self.images[place] = image
            else:
                out.append(image)
        return torch.stack(out)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """The pooled images; the generator is whoever's it is."""
        return {"images": list(self.images)}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Take over what ``state_dict`` gave."""
        self.images = list(state["images"])
