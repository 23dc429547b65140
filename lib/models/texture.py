"""Texture losses, and the rules that weigh them against the adversarial loss.

A texture loss compares a translated image with the image it was made from: it asks the
translator to change the look and keep the structure. All of them map two batches
(N, 1, H, W) in [-1, 1] to a scalar that is 0 for equal images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models import imagenet
from lib.models.feature_loss import FeatureLoss
from lib.models.networks import build_network
from lib.models.parameters import TranslatorParameters
from lib.models.structure import StructureLoss

TextureLoss = Callable[[Tensor, Tensor], Tensor]


class LastFeatures(FeatureLoss):
    """Mean squared error between the last feature maps of a frozen network.

    The published texture loss: grey repeated to the network's channels, no normalisation of the
    intensities.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.channels = channels

    def features(self, images: Tensor) -> list[Tensor]:
        return [self.network.forward_features(images.expand(-1, self.channels, -1, -1))]


class ImagenetFeatures(FeatureLoss):
    """Mean squared error between maps of EfficientNet-Lite0 trained on ImageNet, mean over maps.

    Maps are normalised per image and channel, which takes out most of brightness and contrast.
    ``indices`` are those of timm's ``forward_intermediates``: 0 to 3 are maps of strides 2, 4, 8
    and 16 (16, 24, 40 and 112 channels), after blocks 0, 1, 2 and 4.
    """

    def __init__(self, indices: Sequence[int]) -> None:
        super().__init__()
        self.network = imagenet.imagenet_network(channels=1).eval().requires_grad_(False)
        self.indices = list(indices)

    def features(self, images: Tensor) -> list[Tensor]:
        maps = self.network.forward_intermediates(
            images, indices=self.indices, stop_early=True, intermediates_only=True
        )
        return [F.instance_norm(part) for part in maps]


class _EarlyFeatures(FeatureLoss):
    """Of feature maps after the first stage of a frozen classifier."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def maps(self, images: Tensor) -> Tensor:
        (maps,) = self.network.forward_intermediates(
            images, indices=[1], stop_early=True, intermediates_only=True
        )
        return maps


class ClassifierFeatures(_EarlyFeatures):
    """Mean squared error between early feature maps of the compendium's own classifier.

    Maps are normalised per image and channel, which leaves where a structure is and takes out how
    bright it is. Deep maps would not do: they hold the classifier's verdict on the untranslated
    image, which is the very thing a translation is meant to correct.
    """

    def features(self, images: Tensor) -> list[Tensor]:
        return [F.instance_norm(self.maps(images))]


class GramFeatures(_EarlyFeatures):
    """Mean squared error between Gram matrices of early maps (Gatys et al. 2015, eq. 3-4)."""

    def features(self, images: Tensor) -> list[Tensor]:
        return [gram_matrix(self.maps(images))]


def gram_matrix(maps: Tensor) -> Tensor:
    """Channel correlations (N, C, C) of feature maps (N, C, H, W), per pixel."""
    flat = maps.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def _gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.diff(dim=-1), images.diff(dim=-2)


def gradient_consistency(translated: Tensor, original: Tensor) -> Tensor:
    """One minus the normalised cross-correlation of image gradients (Hiasa et al. 2018, eq. 4).

    In [0, 2]; blind to a change of brightness or contrast, not to a shift of an edge.
    """
    correlations = [
        F.cosine_similarity(a.flatten(1) - a.flatten(1).mean(1, keepdim=True),
                            b.flatten(1) - b.flatten(1).mean(1, keepdim=True))
        for a, b in zip(_gradients(translated), _gradients(original), strict=True)
    ]  # fmt: skip
    return 1.0 - torch.stack(correlations).mean()


def mind_descriptor(images: Tensor, radius: int = 1, distance: int = 2) -> Tensor:
    """Modality-independent neighbourhood descriptor (Heinrich et al. 2012, eq. 4), four neighbours.

    (N, 1, H, W) to (N, 4, H, W) in (0, 1]: how alike the patch round each pixel is to the patches
    ``distance`` pixels away, relative to the local variance. It depends on structure and hardly on
    how a device paints it.
    """
    size = 2 * radius + 1
    padded = F.pad(images, [distance] * 4, mode="replicate")
    height, width = images.shape[-2:]
    shifts = [(0, distance), (2 * distance, distance), (distance, 0), (distance, 2 * distance)]
    distances = torch.cat(
        [
            F.avg_pool2d(
                (padded[..., y : y + height, x : x + width] - images).square(),
                size,
                stride=1,
                padding=radius,
                count_include_pad=False,
            )
            for y, x in shifts
        ],
        dim=1,
    )
    variance = distances.mean(1, keepdim=True)
    # Flat regions have no structure to compare; the floor keeps their noise from deciding.
    variance = variance.clamp_min(1e-3 * variance.mean((2, 3), keepdim=True) + 1e-6)
    descriptor = torch.exp(-distances / variance)
    return descriptor / descriptor.amax(1, keepdim=True)


def mind_loss(translated: Tensor, original: Tensor) -> Tensor:
    """Mean absolute difference of MIND descriptors (Yang et al. 2018, eq. 5)."""
    return F.l1_loss(mind_descriptor(translated), mind_descriptor(original))


def texture_energy(images: Tensor, bands: int = 2, window: int = 5) -> list[Tensor]:
    """Local strength of detail (Laws 1980) in each of the finest bands of a Laplacian pyramid.

    (N, 1, H, W) to maps (N, 1, H / 2^k, W / 2^k): root mean square of the band (Burt & Adelson
    1983) over a window of ``window`` pixels. It says how much grain lies where, not its pattern.
    """
    kernel = images.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (kernel[:, None] * kernel)[None, None]
    maps = []
    for _ in range(bands):
        smooth = F.conv2d(F.pad(images, [2] * 4, mode="reflect"), kernel)
        power = F.avg_pool2d(
            (images - smooth).square(), window, 1, window // 2, count_include_pad=False
        )
        maps.append((power + 1e-4).sqrt())  # the root of nothing has no gradient
        images = F.avg_pool2d(smooth, 2)
    return maps


def energy_loss(translated: Tensor, original: Tensor) -> Tensor:
    """Mean absolute difference of texture energy, summed over two bands."""
    pairs = zip(texture_energy(translated), texture_energy(original), strict=True)
    return torch.stack([F.l1_loss(*pair) for pair in pairs]).sum()


class OfGrey(nn.Module):
    """A texture loss of the mean of the colours, of images (N, C, H, W).

    A stain or a camera changes hues; what lies where is to stay.
    """

    def __init__(self, loss: TextureLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, translated: Tensor, original: Tensor) -> Tensor:
        return self.loss(*(images.mean(1, keepdim=True) for images in (translated, original)))


# How each is made of the source classifier (one channel) and of what builds the network of the
# parameters (three channels): pretrained, as published, or for "random" untrained. A new loss is
# one more line, and its name in lib/models/parameters.py.
LOSSES: dict[str, Callable[[nn.Module, Callable[[], nn.Module]], TextureLoss]] = {
    "efficientnet": lambda classifier, published: LastFeatures(published(), channels=3),
    "random": lambda classifier, published: LastFeatures(published(), channels=3),
    "imagenet_early": lambda classifier, published: ImagenetFeatures((1, 2)),
    "imagenet_middle": lambda classifier, published: ImagenetFeatures((2, 3)),
    "classifier": lambda classifier, published: ClassifierFeatures(classifier),
    "gram": lambda classifier, published: GramFeatures(classifier),
    "gradient": lambda classifier, published: gradient_consistency,
    "mind": lambda classifier, published: mind_loss,
    "energy": lambda classifier, published: energy_loss,
    "structure": lambda classifier, published: StructureLoss(),
}


def build_texture_loss(
    name: str, classifier: nn.Module, params: TranslatorParameters
) -> TextureLoss | None:
    """The texture loss of this name with its networks; None for ``none``.

    ``classifier`` is the source classifier (one channel). ``random`` is the loss ``efficientnet``
    of the same network untrained, from one seed whatever the run's.
    """

    def published() -> nn.Module:
        if name == "random":
            torch.manual_seed(0)
            return build_network(params.texture_network, 3, "")
        return build_network(params.texture_network, 3, params.texture_network_weights)

    return None if name == "none" else LOSSES[name](classifier, published)


# Those made of the run's own classifier: another classifier gives another loss.
OF_CLASSIFIER = ("classifier", "gram")


class TextureWeight:
    """The weight of the texture loss over the training, by one of four rules.

    constant        ``weight`` throughout
    linear          from ``weight`` to ``final`` over the steps (the published "adaptive" weight)
    gradient_ratio  ``weight`` times |grad adversarial| / |grad texture| at the generator's last
                    layer: both losses pull equally hard at ``weight`` 1. The ratio is that of
                    Esser et al. 2021 (eq. 7), who weigh the adversarial loss by its inverse.
    constrained     a multiplier that grows while the loss is above ``bound`` and shrinks below it
                    (Rezende & Viola 2018)
    """

    # Share of a new measurement in the running ratio, and steps between two measurements: the
    # ratio drifts over hundreds of steps, and each measurement costs a second backward pass.
    momentum, every = 0.3, 10
    # Step of the multiplier's logarithm, and the range it stays in.
    dual_rate, largest = 0.02, 1e3

    def __init__(
        self, rule: str, weight: float, steps: int, final: float = 0.0, bound: float = 1.0
    ) -> None:
        self.rule, self.weight, self.steps = rule, weight, steps
        self.final, self.bound = final, bound
        self.value = weight
        # A weight of 0 stays 0 by all rules but two; then the loss is only watched.
        self.pulls = weight > 0 or rule == "constrained" or (rule == "linear" and final > 0)

    def update(
        self, step: int, texture: Tensor, adversarial: Tensor, last: Tensor,
        mean: Callable[[Tensor], Tensor] = torch.Tensor.detach,
    ) -> float:  # fmt: skip
        """The weight for this step, given both losses and the generator's last weights.

        ``mean`` is that over all processes that train together.
        """
        if self.rule == "linear":
            self.value = self.weight + (self.final - self.weight) * step / max(1, self.steps - 1)
        elif self.rule == "gradient_ratio" and step % self.every == 0:
            pull = [
                mean(torch.autograd.grad(loss, last, retain_graph=True)[0]).norm()
                for loss in (adversarial, texture)
            ]
            ratio = self.weight * float(pull[0] / pull[1].clamp_min(1e-8))
            fresh = 1.0 if step == 0 else self.momentum
            self.value += fresh * (min(ratio, self.largest) - self.value)
        elif self.rule == "constrained":
            push = self.dual_rate * (float(mean(texture.detach())) / self.bound - 1.0)
            growth = float(torch.tensor(min(max(push, -0.5), 0.5)).exp())
            self.value = min(max(self.value * growth, 1.0 / self.largest), self.largest)
        return self.value

    def state_dict(self) -> dict[str, float]:
        """The value, which two of the rules carry on from step to step."""
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over what ``state_dict`` gave."""
        self.value = state["value"]
