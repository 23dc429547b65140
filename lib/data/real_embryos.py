"""Real photographs of embryos by the good device, and as the phone's optics take them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.data.framing import crop, find_embryos
from lib.data.images import to_grey
from lib.data.parameters import ImageParameters
from lib.phantom.optics import DEVICES, rephotograph

OPTICS = "ED1"


@dataclass(frozen=True)
class RealPairs:
    """Registered crops of N embryos, uint8 (N, 1, S, S), and the disc of the embryo, bool."""

    truth: Tensor
    look: Tensor
    inside: Tensor


def through_phone(images: Sequence[np.ndarray], params: ImageParameters) -> RealPairs:
    """Photograph real photographs again by the phone of the phantoms, at its size and view.

    What the phone makes of matter cannot be known from a photograph (see
    ``lib.phantom.optics.rephotograph``): semi-synthetic, real embryos and a simulated device.

    Parameters
    ----------
    images : uint8 (H, W) or (H, W, 3), by a device with the source's look
    """
    machine = DEVICES[OPTICS]
    height = round(params.phantom_width * machine.aspect)
    radius = np.mean(machine.diameter) / 2 * height  # of the embryo in the phone's photograph
    truth, look = [], []
    for number, (image, found) in enumerate(zip(images, find_embryos(images), strict=True)):
        place = found.x, found.y, found.radius
        truth.append(crop(to_grey(image), *place, params.field_of_view, params.image_size))
        # A square that shows as much around the embryo as the phone does.
        view = height / 2 / radius
        small = crop(to_grey(image), *place, view, height)
        taken = to_grey(rephotograph(small, OPTICS, seed=number))
        middle = (height - 1) / 2
        look.append(crop(taken, middle, middle, radius, params.field_of_view, params.image_size))
    side = params.image_size
    line = (np.arange(side) + 0.5) / side * 2 - 1
    disc = np.hypot(line, line[:, None]) < 1 / params.field_of_view
    stacks = (torch.from_numpy(np.stack(crops))[:, None] for crops in (truth, look))
    return RealPairs(*stacks, torch.from_numpy(disc).expand(len(truth), 1, side, side))
