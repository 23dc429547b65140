"""Nuclei one by one: form and chromatin by kind, drawn in a window of the field.

A lymphocyte is 6 to 7 um across and dark, a fibroblast 3 by 12; cuboidal epithelium has 7 to 8 um,
carcinoma 9 to 14, pale and coarse within a dark envelope, with nucleoli (nuclear grade of Elston &
Ellis, Histopathology 1991).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.phantom.sensor import Range
from lib.phantom.tissue_textures import patch

KINDS = ("epithelial", "myoepithelial", "stromal", "lymphocyte", "mitosis")
HARMONICS = np.arange(2, 6)  # of an outline
ENVELOPE = 0.9  # um in which chromatin gathers under the envelope
CAP = (0.12, 0.42)  # chromatin of a nucleus that the section grazes


@dataclass(frozen=True)
class Look:
    """What nuclei that look alike have in common; each draws its own from the ranges.

    amount : chromatin, about 1 in a lymphocyte
    vesicular : share of the chromatin that the middle lacks
    clumps : standard deviation of the chromatin, share of its amount
    ruffle : how far the outline strays from an ellipse, shares of the radius
    taper : 0 blunt to 1 pointed ends
    nucleoli : least and greatest number
    """

    amount: Range
    vesicular: Range
    clumps: Range
    ruffle: float
    taper: Range
    nucleoli: tuple[int, int]


LOOKS = {
    "benign": Look((0.55, 0.90), (0.05, 0.35), (0.08, 0.22), 0.025, (0.0, 0.0), (0, 1)),
    "malignant": Look((0.50, 1.00), (0.15, 0.60), (0.12, 0.30), 0.045, (0.0, 0.0), (0, 3)),
    "myoepithelial": Look((0.65, 0.95), (0.0, 0.15), (0.10, 0.20), 0.03, (0.1, 0.35), (0, 0)),
    "stromal": Look((0.60, 1.00), (0.0, 0.25), (0.10, 0.20), 0.04, (0.1, 0.5), (0, 0)),
    "lymphocyte": Look((0.85, 1.20), (0.0, 0.15), (0.15, 0.35), 0.03, (0.0, 0.0), (0, 0)),
    "mitosis": Look((1.05, 1.35), (0.0, 0.0), (0.10, 0.20), 0.10, (0.0, 0.0), (0, 0)),
}  # fmt: skip


@dataclass(frozen=True)
class Nucleus:
    """A nucleus in its place.

    y, x : um from the field's corner
    length, width : um
    turn : of the length against the x axis, rad
    kind : in ``KINDS``
    look : in ``LOOKS``
    antigen : of Ki67, 0 where negative
    cap : the section only grazes it: pale, not annotated
    """

    y: float
    x: float
    length: float
    width: float
    turn: float
    kind: str
    look: str
    antigen: float
    cap: bool = False

    def box(self, side: int, um: float) -> tuple[slice, slice] | None:
        """Rows and columns of a field of ``side`` pixels that it may cover; None if none."""
        ends = []
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        for middle, a, b in ((self.y, sin, cos), (self.x, cos, sin)):
            reach = 0.5 * 1.15 * np.hypot(self.length * a, self.width * b) + 0.6 + um
            low = max(int((middle - reach) / um), 0)
            high = min(int((middle + reach) / um) + 1, side)
            if low >= high:
                return None
            ends.append(slice(low, high))
        return ends[0], ends[1]


@dataclass(frozen=True)
class Window:
    """What a nucleus puts into the pixels of its box, each float32 (h, w); ``cover`` in [0, 1]."""

    cover: np.ndarray
    chromatin: np.ndarray
    nucleoli: np.ndarray
    antigen: np.ndarray


def draw_nucleus(
    nucleus: Nucleus, box: tuple[slice, slice], um: float, rng: np.random.Generator
) -> Window:
    """Draw the part of a nucleus that lies in a box of pixels of ``um``."""
    look = LOOKS[nucleus.look]
    a, b = nucleus.length / 2, nucleus.width / 2
    dice = rng.random(11)
    amount, vesicular, clumps, taper = (
        low + (high - low) * die
        for (low, high), die in zip(
            (look.amount, look.vesicular, look.clumps, look.taper), dice, strict=False
        )
    )
    focus = 0.4 + 0.9 * dice[4] ** 3  # um; few are far out of focus
    if nucleus.cap:
        amount, vesicular = CAP[0] + (CAP[1] - CAP[0]) * dice[0], 0.0
    swell = (rng.standard_normal(len(HARMONICS)) * look.ruffle * 2 / HARMONICS).tolist()
    phase = (2 * np.pi * rng.random(len(HARMONICS))).tolist()
    bend = rng.standard_normal() * 0.3 * taper
    count = 0 if nucleus.cap else rng.integers(look.nucleoli[0], look.nucleoli[1] + 1)
    spots = rng.uniform(-1, 1, (count, 4))

    rows, columns = box
    dy = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5) * um - nucleus.y
    dx = (np.arange(columns.start, columns.stop, dtype=np.float32)[None] + 0.5) * um - nucleus.x
    cos, sin = float(np.cos(nucleus.turn)), float(np.sin(nucleus.turn))
    u, v = dx * (cos / a) + dy * (sin / a), dy * (cos / b) - dx * (sin / b)
    if taper:
        narrow = np.maximum(1 - taper * u * u, 0.25)
        v = (v - (bend * a / b) * (u * u - 0.3)) / narrow
        b = b * narrow
    radius = np.sqrt(u * u + v * v)
    angle = np.arctan2(v, u)
    edge = 1.0
    for number, high, start in zip(HARMONICS.tolist(), swell, phase, strict=True):
        edge = edge + high * np.cos(number * angle + start)
    lengthwise = (u / np.maximum(radius, 1e-3)) ** 2
    depth = (1 - radius / edge) * (b + (a - b) * lengthwise)  # um within the outline, nearly
    t = np.minimum(np.maximum(depth / max(focus, um) + 0.5, 0), 1)
    cover = t * t * (3 - 2 * t)
    coarse = patch("chromatin", *cover.shape, dice[5:7], um)
    inner = np.minimum(np.maximum(depth / max(ENVELOPE, um) - 0.3, 0), 1)
    body = 1 - vesicular * inner * (1 - 0.35 * coarse)
    chromatin = amount * cover * np.minimum(np.maximum(body + clumps * coarse, 0.15), 2)
    nucleoli = np.zeros_like(cover)
    for along, aside, big, strong in spots.tolist():
        size = 0.75 + 0.3 * big  # um
        far = ((u - 0.55 * along) * a) ** 2 + ((v - 0.55 * aside) * b) ** 2
        wide = size**2 + (0.4 * um) ** 2
        nucleoli += ((0.8 + 0.3 * strong) * size**2 / wide) * np.exp(far / -wide)
    if not nucleus.antigen:
        return Window(cover, chromatin, cover * nucleoli, np.zeros_like(cover))
    fine = patch("chromatin", *cover.shape, dice[7:9], um)
    antigen = nucleus.antigen * cover * np.minimum(np.maximum(1 + 0.3 * fine, 0.2), 2)
    return Window(cover, chromatin, cover * nucleoli, antigen)
