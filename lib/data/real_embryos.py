"""Real photographs of embryos by the good device, and as a simulated microscope takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.data.framing import crop, find_embryos
from lib.data.images import to_grey
from lib.data.parameters import ImageParameters
from lib.data.random_looks import crops
from lib.phantom.embryo import EXTENT
from lib.phantom.optics import photograph
from lib.phantom.recovery import recovered_embryos

_FINE = 2  # pixels of a recovered height per pixel of a photograph
GOOD, PHONE = "ED4", "ED1"


@dataclass(frozen=True)
class RealPairs:
    """Registered crops of N embryos, uint8 (N, 1, S, S).

    truth : the real photographs
    again : what the simulated good device makes of the recovered heights
    look : what the simulated phone makes of them
    inside : bool, the disc of the embryo
    """

    truth: Tensor
    again: Tensor
    look: Tensor
    inside: Tensor


def through_phone(images: Sequence[np.ndarray], params: ImageParameters) -> RealPairs:
    """Photograph real embryos by the phone of the phantoms, at its size and view.

    Semi-synthetic, real embryos and a simulated device: the phone sees the height that their
    relief tells of (``lib.phantom.recovery``), not the grey values of the photograph.

    Parameters
    ----------
    images : uint8 (H, W) or (H, W, 3), of relief lit from above, as ED4's
    """
    greys = [to_grey(image) for image in images]
    side = _FINE * params.phantom_width
    wide, truth = [], []
    for grey, found in zip(greys, find_embryos(greys), strict=True):
        place = found.x, found.y, found.radius
        wide.append(crop(grey, *place, EXTENT, side))
        truth.append(crop(grey, *place, params.field_of_view, params.image_size))
    embryos = recovered_embryos(np.stack(wide).astype(np.float32) / 255)
    seeds, centred = np.arange(len(greys)), np.zeros((len(greys), 3))
    looks = {
        device: crops(photograph(embryos, seeds, device, params.phantom_width), centred, params)
        for device in (GOOD, PHONE)
    }
    line = (np.arange(params.image_size) + 0.5) / params.image_size * 2 - 1
    disc = np.hypot(line, line[:, None]) < 1 / params.field_of_view
    stacks = (torch.from_numpy(stack)[:, None] for stack in (np.stack(truth), *looks.values()))
    return RealPairs(*stacks, torch.from_numpy(disc).expand(len(greys), 1, *disc.shape))
