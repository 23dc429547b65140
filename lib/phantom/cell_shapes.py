"""Single cells, debris and particles, each drawn in a square window of its own.

A window is float32 (S, S), S odd, its thing in the middle; thickness in radians of phase.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lib.phantom.sensor import Range

HARMONICS = np.arange(2, 7)  # of an outline
FARTHEST = 1.65  # that an outline reaches, in radii of its ellipse
MITOTIC_RADIUS = 0.62  # of a rounded cell over the radius of a disc as large as the spread one
MITOTIC_LIMITS = (3.2, 5.5)  # px: rounded cells of all lines are more alike than spread ones
MITOTIC_THICKNESS = (2.8, 3.5)
GRANULARITY = (0.15, 0.45)  # of the thickness


@dataclass(frozen=True)
class Line:
    """What the cells of one line have in common; each cell draws its own from the ranges.

    length, width : pixels
    thickness : of the middle, radians
    nucleus : share of the thickness that only the middle has
    taper : 0 blunt to 1 pointed ends
    ruffle : how far the outline strays from an ellipse, shares of the radius
    arms : least and greatest number of protrusions
    company : probability that a cell settles beside another one
    overlap : share of its thickness that a cell keeps under another one
    coverage : share of a flat culture that cells cover
    """

    length: Range
    width: Range
    thickness: Range
    nucleus: float
    taper: float
    ruffle: float
    arms: tuple[int, int]
    company: float
    overlap: float
    coverage: Range


def _grid(reach: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """Offsets from a centre that lies anywhere in the middle pixel."""
    half = int(np.ceil(reach)) + 1
    line = np.arange(-half, half + 1, dtype=np.float32)
    dx, dy = rng.uniform(-0.5, 0.5, 2).astype(np.float32)
    return line[None, :] - dx, line[:, None] - dy


def living_cell(line: Line, rng) -> np.ndarray:
    """A spread cell: a thin rim, a nucleus, granules; 0 outside its outline."""
    length, width = rng.uniform(*line.length), rng.uniform(*line.width)
    x, y = _grid(FARTHEST * length / 2, rng)
    turn, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.12)
    u = (x * np.cos(turn) + y * np.sin(turn)) * (2 / length)
    v = (y * np.cos(turn) - x * np.sin(turn)) * (2 / width)
    v = v - bend * line.taper * (u * u - 0.3) * (length / width)
    v = v / np.maximum(1 - line.taper * np.abs(u) ** 1.5, 0.15)
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    swell = rng.normal(0, line.ruffle, len(HARMONICS)) * (2 / HARMONICS) ** 2
    phase = rng.uniform(0, 2 * np.pi, len(HARMONICS))
    edge = 1 + (swell * np.cos(angle[..., None] * HARMONICS + phase)).sum(axis=-1)
    arms = rng.integers(line.arms[0], line.arms[1] + 1)
    edge *= 1 - 0.05 * arms  # what reaches out is missing in the middle
    for _ in range(arms):
        toward, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.7)
        edge += far * np.exp(18 * (np.cos(angle - toward) - 1))
    share = np.minimum(radius / np.clip(edge, 0.4, FARTHEST), 1)
    body = np.sqrt(1 - share**4)
    # The nucleus lies off the middle, half as wide as the cell is, round in it.
    off = rng.normal(0, 0.08, 2)
    dome = np.exp(
        -(((u - off[0]) ** 2 * max(length / width / 1.5, 1) ** 2 + (v - off[1]) ** 2) * 4)
    )
    granules = ndimage.gaussian_filter(rng.standard_normal(body.shape), 0.7) * 2.4
    granules = 1 + rng.uniform(*GRANULARITY) * granules
    profile = ((1 - line.nucleus) + line.nucleus * dome) * body * granules
    return (rng.uniform(*line.thickness) * np.maximum(profile, 0.03 * (share < 1))).astype(
        np.float32
    )


def mitotic_cell(line: Line, rng) -> np.ndarray:
    """A cell about to divide: rounded up, smaller across and several times as thick."""
    across = np.sqrt(np.mean(line.length) * np.mean(line.width)) * rng.uniform(0.9, 1.1)
    radius = np.clip(MITOTIC_RADIUS * across / 2, *MITOTIC_LIMITS)
    x, y = _grid(radius, rng)
    body = np.sqrt(np.maximum(1 - (np.hypot(x, y) / radius) ** 3, 0))
    return (rng.uniform(*MITOTIC_THICKNESS) * body).astype(np.float32)


def debris_speck(rng) -> np.ndarray:
    """A fragment of a dead cell, a pixel or two across."""
    radius = rng.uniform(0.6, 1.4)
    x, y = _grid(2 * radius, rng)
    stretch = rng.uniform(0.6, 1.0)
    speck = np.exp(-(x * x + (y / stretch) ** 2) / radius**2)
    return (rng.uniform(0.5, 2.2) * speck * (speck > 0.02)).astype(np.float32)


def disc(radius: float, rng) -> np.ndarray:
    """How much of each pixel a disc covers, in [0, 1]."""
    x, y = _grid(radius, rng)
    return np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
