"""A U-Net for cells, and a domain discriminator at any depth of it.

U-Net: Ronneberger et al. 2015, arXiv:1505.04597. The discriminator and where it may be placed:
Aarnio et al. 2022, section 3.6, after Ganin et al. 2016, arXiv:1505.07818.
"""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.adversarial import domain_loss, reverse_gradient
from lib.models.imagenet import NETWORK, imagenet_network

HALVINGS = 3  # of the side, from the image to the bottom
# Where a discriminator may look: after the bottom, after each step up, the last before the output.
PLACES = ("bottom", *(f"up_{step}" for step in range(1, HALVINGS)), "last")


def _double(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Images (N, 1, H, W) in [-1, 1] to logits (N, 1, H, W) of being cell; any H and W.

    Two 3x3 convolutions with batch norm at each of four sizes, ``filters`` wide at the first and
    twice as wide at each further one.
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(HALVINGS + 1)]
        self.down = nn.ModuleList(
            [_double(i, o) for i, o in zip([1, *widths], widths, strict=False)]
        )
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.widen = nn.ModuleList([nn.ConvTranspose2d(i, o, 2, 2) for i, o in steps])
        self.up = nn.ModuleList([_double(2 * o, o) for _, o in steps])
        self.last = nn.Conv2d(filters, 1, 1)

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """Features at each of ``PLACES``, from the bottom up; of the padded image."""
        sides = images.shape[2:]
        beyond = [0, -sides[1] % 2**HALVINGS, 0, -sides[0] % 2**HALVINGS]
        x = F.pad(images, beyond, mode="replicate")
        across = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            across.append(x)
        found = [across.pop()]
        for widen, block in zip(self.widen, self.up, strict=True):
            found.append(block(torch.cat([across.pop(), widen(found[-1])], dim=1)))
        return dict(zip(PLACES, found, strict=True))

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        return self.last(self.maps(images)["last"])[..., :height, :width]


class PretrainedUNet(nn.Module):
    """The same on EfficientNet-Lite0 with ImageNet weights as its way down.

    Images (N, 1, H, W) in [-1, 1] to logits (N, 1, H, W).
    """

    SIDE = 16  # px of the image that become one at the bottom

    def __init__(self) -> None:
        super().__init__()
        self.body = smp.Unet(
            f"tu-{NETWORK}", encoder_weights=None, encoder_depth=4, in_channels=1, classes=1,
            decoder_channels=(64, 32, 16, 16),
        )  # fmt: skip
        encoder = self.body.encoder.model
        weights = imagenet_network(channels=1).state_dict()
        encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        beyond = [0, -width % self.SIDE, 0, -height % self.SIDE]
        return self.body(F.pad(images, beyond, mode="replicate"))[..., :height, :width]


class Opponents(nn.Module):
    """A U-Net, and the discriminator that its features at ``place`` play against.

    The higher the place, the more halvings with two convolutions each stand before the
    discriminator's one hidden layer, so that it always judges maps of the size of the bottom's.
    """

    def __init__(self, network: UNet, place: str, hidden: int, side: int) -> None:
        super().__init__()
        self.network, self.place = network, place
        level = PLACES.index(place)
        width = network.last.in_channels * 2 ** (HALVINGS - level)
        halvings = []
        for _ in range(level):
            halvings += [nn.MaxPool2d(2), _double(width, 2 * width)]
            width *= 2
        places = (-(-side // 2**HALVINGS)) ** 2
        self.discriminator = nn.Sequential(
            *halvings, nn.Flatten(), nn.Linear(width * places, hidden), nn.ReLU(),
            nn.Linear(hidden, 1), nn.Flatten(0),
        )  # fmt: skip

    def forward(self, images: Tensor, sources: int, coefficient: float) -> tuple[Tensor, Tensor]:
        """Logits of the first ``sources`` images, and the discriminator's loss on all of them.

        The features' gradient is reversed and comes back times ``coefficient``.
        """
        maps = self.network.maps(images)
        height, width = images.shape[2:]
        logits = self.network.last(maps["last"][:sources])[..., :height, :width]
        scores = self.discriminator(reverse_gradient(maps[self.place], coefficient))
        return logits, domain_loss(scores[:sources], scores[sources:])
