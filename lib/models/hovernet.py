"""A HoVer-Net for a CPU: one way down, two ways up.

Graham et al. 2019, arXiv:1812.06499, section 3.1: residual units with activation first (He et al.
2016, arXiv:1603.05027), skip connections that add. Smaller than published, and with decoders of
residual units in place of dense ones.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

HALVINGS = 3  # of the side, from the image to the bottom


class Unit(nn.Module):
    """Residual unit of two 3x3 convolutions: (N, inputs, H, W) to (N, outputs, H/stride, W/stride).

    Where width or side change, a 1x1 convolution stands in the shortcut; a side is halved by the
    mean of four pixels, so that the shortcut passes over none (He et al. 2019, arXiv:1812.01187).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(inplace=True),
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )  # fmt: skip
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool2d(stride))
        if inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


class Branch(nn.Module):
    """The way up: maps of all sizes, the largest first, to (N, outputs, H, W) of the largest."""

    def __init__(self, widths: list[int], outputs: int) -> None:
        super().__init__()
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.narrow = nn.ModuleList([nn.Conv2d(i, o, 1, bias=False) for i, o in steps])
        self.up = nn.ModuleList([Unit(o, o) for _, o in steps])
        self.last = nn.Sequential(
            nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True), nn.Conv2d(widths[0], outputs, 1)
        )

    def forward(self, across: list[Tensor]) -> Tensor:
        *across, x = across
        for narrow, unit in zip(self.narrow, self.up, strict=True):
            x = unit(F.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + across.pop())
        return self.last(x)


class HoVerNet(nn.Module):
    """RGB images (N, 3, H, W) in [-1, 1] to logits (N, 1, H, W) of being nucleus, and to offsets
    (N, 2, H, W) as of ``nuclei_maps.hover_maps``; any H and W."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(HALVINGS + 1)]
        self.stem = nn.Conv2d(3, filters, 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            [Unit(filters, filters), *(Unit(w // 2, w, 2) for w in widths[1:])]
        )
        self.pixels, self.offsets = Branch(widths, 1), Branch(widths, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        height, width = images.shape[2:]
        beyond = [0, -width % 2**HALVINGS, 0, -height % 2**HALVINGS]
        x = self.stem(F.pad(images, beyond, mode="replicate"))
        across = []
        for unit in self.down:
            x = unit(x)
            across.append(x)
        logits, offsets = self.pixels(across), self.offsets(across)
        return logits[..., :height, :width], offsets[..., :height, :width]
