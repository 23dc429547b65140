"""The HoVer-Net of its authors, so that the weights they give away can be used from a local file.

Graham et al. 2019, arXiv:1812.06499, section 3.1. Parameters have the names and shapes that the
checkpoints of https://github.com/vqdang/hover_net have (``hovernet_original_*``, as in the paper,
270 px to 80; ``hovernet_fast_*``, 256 px to 164). Their licences are those of the data they were
trained on, most of them for non-commercial use.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import InputError

Mode = Literal["original", "fast"]
UM_PER_PX = 0.25  # of what all of them were trained on, 40x
FIRST = {"original": 3, "fast": 0}  # px that an image loses at each side in the first layer
LATER = {"original": 92, "fast": 46}  # and in the decoders
KERNEL = {"original": 5, "fast": 3}  # side of the decoders' kernels, px
STRIDE = 8  # px of the image that become one at the bottom
# What a checkpoint may have beside: a branch for kinds of nuclei; a constant.
_LEFT_OUT = ("decoder.tp.", "upsample2x.")
_COUNTER = "num_batches_tracked"  # checkpoints converted from TensorFlow have none
_REMEDY = (
    "Give the path of a checkpoint of HoVer-Net's authors as it was downloaded, e.g. "
    "hovernet_original_kumar_notype_tf2pytorch.tar."
)


def _chain(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _conv(inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, stride, groups=groups, bias=False)


def _active(name: str, width: int) -> list[tuple[str, nn.Module]]:
    start = f"{name}/" if name else ""
    return [(f"{start}bn", nn.BatchNorm2d(width)), (f"{start}relu", nn.ReLU(inplace=True))]


def _middle(x: Tensor, like: Tensor) -> Tensor:
    """The centre of maps, as large as ``like``."""
    sides = like.shape[2:]
    top, left = ((a - b) // 2 for a, b in zip(x.shape[2:], sides, strict=True))
    return x[..., top : top + sides[0], left : left + sides[1]]


class _Same(nn.Module):
    """Zeros round an image, as TensorFlow's padding "same" has them: the odd one at the end."""

    def __init__(self, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.start = (kernel - stride) // 2
        self.end = kernel - stride - self.start

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, [self.start, self.end] * 2)


class _Residual(nn.Module):
    """Bottleneck units (He et al. 2016); the first one halves the side where ``stride`` is 2."""

    def __init__(self, inputs: int, width: int, count: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.units = nn.ModuleList()
        for place in range(count):
            step = 1 if place else stride
            # The maps that a block begins with have been activated by the one before it.
            first = _active("preact", outputs) if place else []
            self.units.append(
                _chain(
                    *first,
                    ("conv1", _conv(outputs if place else inputs, width)),
                    *_active("conv1", width),
                    ("conv2/pad", _Same(3, step)),
                    ("conv2", _conv(width, width, 3, step)),
                    *_active("conv2", width),
                    ("conv3", _conv(width, outputs)),
                )
            )
        self.shortcut = _conv(inputs, outputs, 1, stride)
        self.blk_bna = _chain(*_active("", outputs))

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = self.units
        x = first(x) + self.shortcut(x)
        for unit in rest:
            x = unit(x) + x
        return self.blk_bna(x)


class _Dense(nn.Module):
    """Densely connected units (Huang et al. 2017) that lose their margins."""

    def __init__(self, inputs: int, count: int, kernel: int) -> None:
        super().__init__()
        widths = [inputs + 32 * place for place in range(count + 1)]
        self.units = nn.ModuleList(
            _chain(
                *_active("preact_bna", width),
                ("conv1", _conv(width, 128)),
                *_active("conv1", 128),
                ("conv2", _conv(128, 32, kernel, groups=4)),
            )
            for width in widths[:-1]
        )
        self.blk_bna = _chain(*_active("", widths[-1]))

    def forward(self, x: Tensor) -> Tensor:
        for unit in self.units:
            new = unit(x)
            x = torch.cat([_middle(x, new), new], dim=1)
        return self.blk_bna(x)


def _decoder(kernel: int) -> nn.Sequential:
    up = [
        (
            f"u{level}",
            _chain(
                ("conva", _conv(4 * width, width, kernel)),
                ("dense", _Dense(width, count, kernel)),
                ("convf", _conv(2 * width, 2 * width)),
            ),
        )
        for level, width, count in ((3, 256, 8), (2, 128, 4))
    ]
    last = _chain(("conva/pad", _Same(kernel)), ("conva", _conv(256, 64, kernel)))
    head = _chain(*_active("", 64), ("conv", nn.Conv2d(64, 2, 1)))
    return _chain(*up, ("u1", last), ("u0", head))


class PublishedHoVerNet(nn.Module):
    """RGB images (N, 3, H, W) in [-1, 1] to logits (N, 1, H, W) of being nucleus, and to offsets
    (N, 2, H, W), horizontal and vertical, as ``hovernet.HoVerNet``; any H and W.

    Images are mirrored at their edges, so that no margin is lost, and brought to ``UM_PER_PX`` and
    their maps back. The offsets are 0 one pixel to the upper left of a centroid.

    Parameters
    ----------
    mode : "original" or "fast"
    um_per_px : of the images
    """

    def __init__(self, mode: Mode, um_per_px: float = UM_PER_PX) -> None:
        super().__init__()
        self.mode, self.um_per_px = mode, um_per_px
        pad = [("pad", _Same(7))] if mode == "fast" else []
        self.conv0 = _chain(*pad, ("/", _conv(3, 64, 7)), *_active("", 64))
        self.d0 = _Residual(64, 64, 3, 1)
        self.d1 = _Residual(256, 128, 4, 2)
        self.d2 = _Residual(512, 256, 6, 2)
        self.d3 = _Residual(1024, 512, 3, 2)
        self.conv_bot = _conv(2048, 1024)
        self.decoder = nn.ModuleDict({name: _decoder(KERNEL[mode]) for name in ("np", "hv")})

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        # One by one: a field of 64 px at 0.75 um/px has maps of 256 x 376 x 376 numbers on its way.
        parts = [self._maps(image) for image in images.split(1)]
        logits, offsets = (torch.cat(part) for part in zip(*parts, strict=True))
        return logits, offsets

    def _maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        shape = image.shape[2:]
        sides = [round(side * self.um_per_px / UM_PER_PX) for side in shape]
        image = _resized(image, sides)
        for axis in (2, 3):
            image = self._mirrored(image, axis)
        branches = self.branches((image + 1) / 2)
        found = (branches[name][..., : sides[0], : sides[1]] for name in ("np", "hv"))
        pixels, offsets = (_resized(part, list(shape)) for part in found)
        return pixels[:, 1:] - pixels[:, :1], offsets

    def _mirrored(self, image: Tensor, axis: int) -> Tensor:
        """Mirrored at both ends by what will be lost, at the far one until ``STRIDE`` fits."""
        side, later = image.shape[axis], LATER[self.mode]
        margin = FIRST[self.mode] + later
        end = side + -(side + 2 * later) % STRIDE + margin
        period = max(1, 2 * (side - 1))
        places = torch.arange(-margin, end, device=image.device) % period
        return image.index_select(axis, torch.minimum(places, period - places))

    def branches(self, images: Tensor) -> dict[str, Tensor]:
        """What the network itself computes of images in [0, 1]: two logits, and two offsets.

        (N, 3, H, W) to (N, 2, H - 190, W - 190) in mode "original", - 92 in mode "fast"; without
        the first layer's loss, H and W are multiples of ``STRIDE``.
        """
        d0 = self.d0(self.conv0(images))
        d1 = self.d1(d0)
        d2 = self.d2(d1)
        bottom = self.conv_bot(self.d3(d2))
        found = {}
        for name, (u3, u2, u1, u0) in self.decoder.items():
            x = bottom
            for unit, across in ((u3, d2), (u2, d1), (u1, d0)):
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
                x = unit(x + _middle(across, x))
            found[name] = u0(x)
        return found


def _resized(maps: Tensor, sides: list[int]) -> Tensor:
    return F.interpolate(maps, sides, mode="bilinear", antialias=True)


def load_published(path: Path, um_per_px: float) -> PublishedHoVerNet:
    """The network with the weights of a checkpoint, in evaluation mode, for images of a scale.

    Which mode it is of, its shapes say; kinds of nuclei are left out.

    Raises
    ------
    InputError
        No such file, no checkpoint of this network, or one that holds more than numbers.
    """
    weights = {
        name: weight for name, weight in _read(path).items() if not name.startswith(_LEFT_OUT)
    }
    first = weights.get("decoder.np.u3.conva.weight", torch.empty(0))
    mode: Mode = "fast" if first.shape[-1] == KERNEL["fast"] else "original"
    with torch.device("meta"):
        network = PublishedHoVerNet(mode, um_per_px)
    wanted = network.state_dict()
    counters = {name: torch.tensor(0) for name in wanted if name.endswith(_COUNTER)}
    weights = counters | weights
    wrong = sorted(
        name
        for name in wanted.keys() | weights.keys()
        if name not in wanted or name not in weights or wanted[name].shape != weights[name].shape
    )
    if wrong:
        name = wrong[0]
        shapes = (
            f"{tuple(part[name].shape)}" if name in part else "none" for part in (weights, wanted)
        )
        raise InputError(
            f"{path}: not the weights of HoVer-Net in mode '{mode}': {len(wrong)} tensors differ, "
            f"first {name}, shape {', wanted '.join(shapes)}. {_REMEDY}"
        )
    network.load_state_dict(weights, assign=True)
    return network.float().eval()


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint by their names in one process."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: cannot be read as weights ({type(error).__name__}: {reason}). {_REMEDY}"
        ) from error
    weights = content.get("desc") if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not all(torch.is_tensor(w) for w in weights.values()):
        raise InputError(f"{path}: no weights under the key 'desc'. {_REMEDY}")
    return {name.removeprefix("module."): weight for name, weight in weights.items()}
