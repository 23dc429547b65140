"""The same phantoms by phones of growing severity, with their truth: registered crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lib.data.parameters import ImageParameters
from lib.data.random_looks import crops
from lib.phantom.embryo import grow
from lib.phantom.optics import photograph
from lib.phantom.phone import phone

_TOGETHER = 64  # phantoms drawn at once


@dataclass(frozen=True)
class PhoneSeries:
    """Registered crops of N phantoms.

    ``truth``: uint8 (N, 1, S, S), by the source's device; ``inside``: bool of that shape, the
    embryo; ``looks``: severity to what a phone of it took, as ``truth``.
    """

    truth: Tensor
    inside: Tensor
    looks: dict[float, Tensor]


def phone_series(
    params: ImageParameters, ids: Sequence[str], severities: Sequence[float]
) -> PhoneSeries:
    """Photograph phantoms of a run by the source's device and by a phone of every severity.

    Framed by their truth, since each device would be found a little differently.

    Parameters
    ----------
    ids : of the target domain, as ``PhantomSource`` gives them
    severities : see ``lib.phantom.phone.phone``
    """
    seeds = np.array([int(id.split("/")[1]) for id in ids])
    truth, inside = [], []
    looks: dict[float, list[np.ndarray]] = {severity: [] for severity in severities}
    for start in range(0, len(seeds), _TOGETHER):
        own = seeds[start : start + _TOGETHER]
        embryos = grow(own, params.phantom_width, params.positive_share, params.phantom_label)
        centred = np.zeros((len(own), 3))
        good = photograph(embryos, own, params.source_domain, params.phantom_width)
        truth.append(crops(good, centred, params))
        outlines = np.uint8(255) * good.masks["embryo"]
        inside.append(crops(replace(good, images=outlines), centred, params) > 127)
        for severity in severities:
            # Draws of ED1, so that severity 1 gives ED1's own photographs.
            taken = photograph(embryos, own, "ED1", params.phantom_width, phone(severity))
            looks[severity].append(crops(taken, centred, params))

    def joined(parts: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts))[:, None]

    series = {severity: joined(parts) for severity, parts in looks.items()}
    return PhoneSeries(joined(truth), joined(inside), series)
