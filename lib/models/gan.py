"""Class-conditional GANs of tissue: a generator of images, and the discriminator it plays.

Layers as in Radford et al. 2016, arXiv:1511.06434, section 3, without dense ones: tissue has no up
and no middle, so every place has latent numbers of its own and is judged by itself (Jetchev et al.
2016, arXiv:1611.08207). The generator is given a learnt vector of the class beside the latent
numbers. The discriminator holds its features against another (Miyato & Koyama 2018,
arXiv:1802.05637, equation 3), or names the class itself (Odena et al. 2017, arXiv:1610.09585).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

HALVINGS = 3  # of the side, from an image to the latent places
# From a place to its four along each side: the weights that make of it what bilinear scaling would.
_TENT = torch.outer(torch.tensor([0.25, 0.75, 0.75, 0.25]), torch.tensor([0.25, 0.75, 0.75, 0.25]))


@dataclass(frozen=True)
class Kind:
    """What the game is about, what holds the discriminator back, and how it minds the class.

    loss : cross_entropy (Goodfellow et al. 2014, the form that does not saturate), hinge (Miyato et
        al. 2018) or wasserstein, which alone has a penalty on the gradient (Gulrajani et al. 2017)
    norm : of the discriminator: batch norm, or spectral norm of its weights (Miyato et al. 2018)
    names_class : it names the class of an image, else it minds it by projection
    """

    loss: Literal["cross_entropy", "hinge", "wasserstein"]
    norm: Literal["batch", "spectral", "none"]
    names_class: bool = False


KINDS = {
    "dcgan": Kind("cross_entropy", "batch"),
    "sngan": Kind("hinge", "spectral"),
    "acgan": Kind("cross_entropy", "batch", names_class=True),
    "wgan_gp": Kind("wasserstein", "none"),
    # No published one: the first with the weights of the second.
    "dcgan_spectral": Kind("cross_entropy", "spectral"),
}


class ImageGenerator(nn.Module):
    """Latent numbers (N, ``latent``, h, w) and classes (N,) to images (N, 3, 8 h, 8 w) in [-1, 1].

    ``filters`` channels at half of the side, twice as many at each further halving.
    """

    def __init__(self, filters: int, latent: int, classes: int) -> None:
        super().__init__()
        self.latent = latent
        self.embedding = nn.Embedding(classes, latent)
        widths = [filters * 2**level for level in range(HALVINGS)][::-1]
        layers: list[nn.Module] = [nn.Conv2d(2 * latent, widths[0], 3, 1, 1, bias=False)]
        for inputs, outputs in zip(widths, [*widths[1:], 3], strict=True):
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), _doubling(inputs, outputs)]
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latent: Tensor, labels: Tensor) -> Tensor:
        of_class = self.embedding(labels)[:, :, None, None].expand_as(latent)
        return self.layers(torch.cat([latent, of_class], dim=1))


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Doubles the side; smooth at first, where random weights would print their own grid."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(inputs, outputs, 1, 1) * _TENT / inputs**0.5)
    return layer


class ImageDiscriminator(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] and classes (N,) to scores (N, H / 8, W / 8) of being real.

    A place sees 38 px. The second result is the logits (N, K) of the image's class, or None of a
    kind that does not name it.
    """

    def __init__(self, filters: int, classes: int, kind: Kind) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(HALVINGS)]
        layers: list[nn.Module] = []
        for inputs, outputs in zip([3, *widths], widths, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1)]
            if kind.norm == "batch" and inputs != 3:
                layers += [nn.BatchNorm2d(outputs)]
            layers += [nn.LeakyReLU(0.2, inplace=True)]
        features = widths[-1]
        layers += [nn.Conv2d(features, features, 3, 1, 1), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.score = nn.Conv2d(features, 1, 1)
        self.embedding = None if kind.names_class else nn.Embedding(classes, features)
        self.classes = nn.Linear(features, classes) if kind.names_class else None
        for module in [*self.modules()]:
            if isinstance(module, nn.Conv2d | nn.Embedding):
                # Radford et al. 2016, section 4. Larger ones, divided by their spectral norm, would
                # hardly move at the same rate.
                nn.init.normal_(module.weight, 0.0, 0.02)
                if kind.norm == "spectral":
                    spectral_norm(module)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.layers(images)
        scores = self.score(features)[:, 0]
        if self.embedding is None:
            return scores, self.classes(features.mean((2, 3)))
        return scores + torch.einsum("nchw,nc->nhw", features, self.embedding(labels)), None
