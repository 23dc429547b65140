"""The networks, losses and image pool of a CycleGAN (Zhu et al. 2017, arXiv:1703.10593).

``target`` is the domain of the clinic's microscope, ``source`` the one the classifier was
trained on. ``to_source`` is the generator that a clinic uses: target image in, source look out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.fabric import layout_of
from lib.models.parameters import TranslatorParameters


def fastest_layout(device: torch.device) -> torch.memory_format:
    """Channels last under the bfloat16 autocast of a CPU that has fast ones, first elsewhere.

    Convolutions of a CPU in bfloat16 are faster so, three times as fast where it has instructions
    for matrices (AMX); those in float32 are not. A CPU without fast convolutions in bfloat16
    computes them by a plain method that knows channels first only.
    """
    half = device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return layout_of(device, torch.get_autocast_dtype("cpu")) if half else torch.contiguous_format


def _convolution(inputs: int, outputs: int, stride: int, padding: str) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode=padding)


class InstanceNorm(nn.GroupNorm):
    """Instance normalisation without affine terms: a group per channel, twice as fast on a CPU.

    Where channels come last, the gradient of that takes some thirty times as long as that of batch
    normalisation, which does the same to a batch of one image.
    """

    def __init__(self, filters: int) -> None:
        super().__init__(filters, filters, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x)
        images = [F.batch_norm(one, None, None, training=True, eps=self.eps) for one in x.split(1)]
        return images[0] if len(images) == 1 else torch.cat(images)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation, added to their input."""

    def __init__(self, filters: int, padding: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(filters, filters, 1, padding),
            InstanceNorm(filters),
            nn.ReLU(inplace=True),
            _convolution(filters, filters, 1, padding),
            InstanceNorm(filters),
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
        weights = self.weight.transpose(0, 1).flip(2, 3)
        summed = F.avg_pool2d(weights, 2, stride=1, padding=1, divisor_override=1)
        if self.padding_mode == "zeros":
            return F.conv_transpose2d(x, summed, self.bias, stride=2, padding=1)
        if torch.compiler.is_compiling():  # Inductor expects channels first of padding's gradient
            x = x.contiguous()
        wide = F.pad(x, [1] * 4, mode="replicate")
        return F.conv_transpose2d(wide, summed, self.bias, stride=2, padding=3)


class OpeningConvolution(nn.Conv2d):
    """A convolution of an image into filters, the columns of its kernel spread over channels.

    A processor computes 8 or 16 channels at once and an image fills one. Shifted copies of it, one
    for each column, fill as many as the kernel is wide, and a kernel of one column is left.

    What it gives out is the layout of all that follows, see ``fastest_layout``.
    """

    def forward(self, x: Tensor) -> Tensor:
        (_, width), (down, stride), (tall, wide) = self.kernel_size, self.stride, self.padding
        if self.padding_mode != "zeros":
            x, tall, wide = _pad(x, self), 0, 0
        height = x.shape[2]
        copies = F.unfold(x, (1, width), padding=(0, wide), stride=(1, stride))
        copies = copies.unflatten(2, (height, -1))
        copies = copies.contiguous(memory_format=fastest_layout(x.device))
        columns = self.weight.transpose(2, 3).flatten(1, 2)[..., None]
        return F.conv2d(copies, columns, self.bias, (down, 1), (tall, 0))


class ClosingConvolution(nn.Conv2d):
    """A convolution of filters into an image, the other way round: see ``OpeningConvolution``.

    Every column of the kernel makes an image of its own; shifted, they are summed.
    """

    def forward(self, x: Tensor) -> Tensor:
        outputs, (_, width), (tall, wide) = self.out_channels, self.kernel_size, self.padding
        columns = self.weight.permute(3, 0, 1, 2).flatten(0, 1)[..., None]
        if self.padding_mode == "zeros":  # what columns make of zeros are zeros
            images = F.pad(F.conv2d(x, columns, padding=(tall, 0)), [wide, wide])
        else:
            images = F.conv2d(_pad(x, self), columns)
        images = images.unflatten(1, (width, outputs))
        # One after the other in a line; cut anew with one pixel more, row j begins at pixel j.
        line = F.pad(images.permute(0, 2, 3, 1, 4).flatten(-2), [0, width])
        shifted = line.unflatten(-1, (width, -1))[..., :-width]
        return shifted.sum(-2) + self.bias[:, None, None]


def _pad(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """``x`` with the padding of ``layer``, which is not zeros, around it."""
    height, width = layer.padding
    return F.pad(x, [width, width, height, height], mode=layer.padding_mode)


def _upsample(filters: int, upsampling: str, padding: str) -> nn.Module:
    if upsampling == "transposed":
        return nn.ConvTranspose2d(filters, filters // 2, 3, 2, padding=1, output_padding=1)
    if upsampling == "shuffle":  # Shi et al. 2016, arXiv:1609.05158
        return nn.Sequential(_convolution(filters, 2 * filters, 1, padding), nn.PixelShuffle(2))
    return ResizeConvolution(filters, filters // 2, 3, padding=1, padding_mode=padding)


class Generator(nn.Module):
    """Residual translator (Johnson et al. 2016), instance norm without affine terms.

    Input and output: (N, channels, H, W) in [-1, 1]; H and W are multiples of 4.
    """

    def __init__(
        self, channels: int, filters: int, blocks: int, padding: str, upsampling: str
    ) -> None:
        super().__init__()
        edge = dict(padding=3, padding_mode=padding)
        layers: list[nn.Module] = [OpeningConvolution(channels, filters, 7, **edge)]
        layers += [InstanceNorm(filters), nn.ReLU(inplace=True)]
        for width in (filters, 2 * filters):
            layers += [_convolution(width, 2 * width, 2, padding)]
            layers += [InstanceNorm(2 * width), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(4 * filters, padding) for _ in range(blocks)]
        for width in (4 * filters, 2 * filters):
            layers += [_upsample(width, upsampling, padding)]
            layers += [InstanceNorm(width // 2), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.last = ClosingConvolution(filters, channels, 7, **edge)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.last(self.body(x)))


class PatchDiscriminator(nn.Module):
    """70x70 PatchGAN (Isola et al. 2017): (N, channels, H, W) in [-1, 1] to a map of scores."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [OpeningConvolution(channels, filters, 4, 2, 1)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
        for width, stride in ((filters, 2), (2 * filters, 2), (4 * filters, 1)):
            layers += [nn.Conv2d(width, 2 * width, 4, stride, 1)]
            layers += [InstanceNorm(2 * width), nn.LeakyReLU(0.2, True)]
        self.body = nn.Sequential(*layers, nn.Conv2d(8 * filters, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def draw_weights(networks: nn.Module) -> None:
    """Draw the weights of all layers from N(0, 0.02), biases 0 (Zhu et al. 2017, 7.1)."""
    for module in networks.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            nn.init.zeros_(module.bias)


class CycleGAN(nn.Module):
    """Both generators and both discriminators, initialised from N(0, 0.02)."""

    has_way_back = True

    def __init__(self, params: TranslatorParameters, channels: int = 1) -> None:
        super().__init__()
        shape = (channels, params.base_filters)
        style = (params.blocks, params.padding, params.upsampling)
        self.to_source = Generator(*shape, *style)
        self.to_target = Generator(*shape, *style)
        self.judge_source = PatchDiscriminator(*shape)
        self.judge_target = PatchDiscriminator(*shape)
        draw_weights(self)

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """To the source and to the target."""
        return (
            Direction(self.to_source, self.to_target, self.judge_source),
            Direction(self.to_target, self.to_source, self.judge_target),
        )


@dataclass(frozen=True)
class Direction:
    """One way through a CycleGAN: the generator there, the one back, the judge of what arrives.

    Both ways share the generators' weights and no image.
    """

    there: Generator
    back: Generator
    judge: PatchDiscriminator

    def translate(self, real: Tensor, native: Tensor | None) -> dict[str, Tensor]:
        """Every image the losses need from a batch ``real``, (N, C, H, W) in [-1, 1].

        ``fake`` is the translated image, ``cycled`` the round trip, and ``same``, where ``native``
        images of the domain of arrival are given, those sent through the generator that they need
        no translation by. Real and native images share one pass: instance norm treats every image
        alone, so the result is that of two.
        """
        if native is None:
            images = dict(fake=self.there(real))
        else:
            fake, same = self.there(torch.cat([real, native])).chunk(2)
            images = dict(fake=fake, same=same)
        return images | dict(cycled=self.back(images["fake"]))


def adversarial_loss(scores: Tensor, real: bool) -> Tensor:
    """Least-squares GAN loss (Mao et al. 2017, eq. 2): mean squared distance to 1 or 0."""
    return F.mse_loss(scores, torch.ones_like(scores) if real else torch.zeros_like(scores))


def cycle_loss(cycled: Tensor, real: Tensor) -> Tensor:
    """Mean absolute error of a round trip (Zhu et al. 2017, eq. 2, which adds both ways up)."""
    return F.l1_loss(cycled, real)


def identity_loss(same: Tensor, native: Tensor) -> Tensor:
    """Mean absolute change of images that need no translation (Zhu et al. 2017, section 5.2)."""
    return F.l1_loss(same, native)


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
