"""The same phantoms by one device after another, with their truth: registered crops."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lib.data.parameters import ImageParameters
from lib.data.random_looks import crops
from lib.phantom.embryo import grow
from lib.phantom.optics import Device, photograph

_TOGETHER = 64  # phantoms drawn at once


@dataclass(frozen=True)
class Series:
    """Registered crops of N phantoms.

    ``truth``: uint8 (N, 1, S, S), by the source's device; ``inside``: bool of that shape, the
    embryo; ``looks``: name of each device to what it took, as ``truth``.
    """

    truth: Tensor
    inside: Tensor
    looks: dict[Hashable, Tensor]


def photographed_by(
    params: ImageParameters, ids: Sequence[str], machines: Mapping[Hashable, Device]
) -> Series:
    """Photograph phantoms of a run by the source's device and by each of ``machines``.

    Framed by their truth, since each device would be found a little differently.

    Parameters
    ----------
    params
        Its ``phantom_label`` says of which population they are: another one than the run's gives
        the same embryos of another texture.
    ids
        Of the target domain, as ``PhantomSource`` gives them.
    machines
        Name to device.
    """
    seeds = np.array([int(id.split("/")[1]) for id in ids])
    truth, inside = [], []
    looks: dict[Hashable, list[np.ndarray]] = {name: [] for name in machines}
    for start in range(0, len(seeds), _TOGETHER):
        own = seeds[start : start + _TOGETHER]
        embryos = grow(own, params.phantom_width, params.positive_share, params.phantom_label)
        centred = np.zeros((len(own), 3))
        good = photograph(embryos, own, params.source_domain, params.phantom_width)
        truth.append(crops(good, centred, params))
        outlines = np.uint8(255) * good.masks["embryo"]
        inside.append(crops(replace(good, images=outlines), centred, params) > 127)
        for name, machine in machines.items():
            # Draws of ED1, so that a phone of severity 1 gives ED1's own photographs.
            taken = photograph(embryos, own, "ED1", params.phantom_width, machine)
            looks[name].append(crops(taken, centred, params))

    def joined(parts: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts))[:, None]

    series = {name: joined(parts) for name, parts in looks.items()}
    return Series(joined(truth), joined(inside), series)
