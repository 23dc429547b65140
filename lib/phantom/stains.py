"""Staining by Beer and Lambert: amounts of dye add up to optical density, in red, green and blue.

Ruifrok & Johnston (2001): OD = sum over dyes of amount x vector, light = 10^-OD. What takes which
dye is a matter of chemistry; how blue, how strong, how thick the section, of the laboratory and of
the run in which a slide was stained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.phantom.tissue import MATTER, Tissue

DYES = ("haematoxylin", "eosin", "dab")

# Optical density in which a unit of each matter takes each dye; what is left out takes none. DAB
# stands where the antibody binds, a little where it sticks, and where blood has its own peroxidase.
COUNTERSTAIN = {"chromatin": 0.8, "nucleoli": 0.15, "cytoplasm": 0.18, "fibres": 0.13}
BACKGROUND = {"cytoplasm": 0.11, "fibres": 0.06, "red_cells": 0.2, "ground": 0.03}
UPTAKE = {
    "he": {
        "haematoxylin": {
            "chromatin": 1.0, "nucleoli": 0.35, "cytoplasm": 0.34, "fibres": 0.12, "ground": 0.04,
        },
        "eosin": {
            "chromatin": 0.25, "nucleoli": 0.3, "cytoplasm": 0.5, "fibres": 1.0, "red_cells": 1.4,
        },
    },
    "ki67": {"haematoxylin": COUNTERSTAIN, "dab": {"nuclear_antigen": 1.0, **BACKGROUND}},
    "her2": {"haematoxylin": COUNTERSTAIN, "dab": {"membrane_antigen": 1.0, **BACKGROUND}},
}  # fmt: skip


@dataclass(frozen=True)
class Laboratory:
    """How a laboratory stains.

    vectors : optical density of each of ``DYES`` in red, green, blue; made unit length
    strength : optical density of a unit of each dye, along its vector
    """

    vectors: tuple[tuple[float, float, float], ...]
    strength: tuple[float, float, float]


ONE = Laboratory(((0.64, 0.69, 0.34), (0.16, 0.84, 0.52), (0.27, 0.57, 0.78)), (1.22, 0.52, 1.0))
TWO = Laboratory(((0.76, 0.59, 0.25), (0.10, 0.90, 0.42), (0.30, 0.52, 0.80)), (0.28, 0.5, 1.5))


@dataclass(frozen=True)
class Staining:
    """One run: a protocol by a laboratory, as it came out.

    protocol : a name in ``UPTAKE``
    vectors : (dyes, 3), unit length
    strength : (dyes,)
    thickness : of the section against the usual one
    """

    protocol: str
    vectors: np.ndarray
    strength: np.ndarray
    thickness: float


def staining_run(protocol: str, laboratory: Laboratory, rng: np.random.Generator) -> Staining:
    """A run as it comes out on one slide: a little stronger or weaker, a little off in hue."""
    vectors = np.asarray(laboratory.vectors) + rng.normal(0, 0.02, (len(DYES), 3))
    strength = np.asarray(laboratory.strength) * np.exp(rng.normal(0, 0.15, len(DYES)))
    return Staining(protocol, unit(vectors), strength, float(np.exp(rng.normal(0, 0.08))))


def random_staining(rng: np.random.Generator) -> Staining:
    """A run whose protocol and dyes are drawn; the ranges surround both laboratories."""
    protocol = str(rng.choice(list(UPTAKE), p=[0.4, 0.4, 0.2]))
    mix = rng.uniform(-0.4, 1.4, (len(DYES), 1))
    vectors = np.asarray(ONE.vectors) * (1 - mix) + np.asarray(TWO.vectors) * mix
    vectors = unit(vectors + rng.normal(0, 0.05, vectors.shape))
    strength = np.exp(rng.uniform(np.log([0.12, 0.25, 0.6]), np.log([2.4, 1.1, 2.8])))
    return Staining(protocol, vectors, strength, float(np.exp(rng.normal(0, 0.12))))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (K, 3) of length 1, none of them negative."""
    vectors = np.maximum(vectors, 0.01)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def stain_tissue(tissue: Tissue, row: int, staining: Staining) -> np.ndarray:
    """Optical density of one field, float32 (3, S, S), red, green, blue."""
    density = np.zeros((3, *tissue.instances.shape[1:]), np.float32)
    for name in MATTER:
        colour = sum(
            UPTAKE[staining.protocol].get(dye, {}).get(name, 0.0) * staining.strength[i]
            * staining.vectors[i]
            for i, dye in enumerate(DYES)
        )  # fmt: skip
        if colour.any():
            density += colour.astype(np.float32)[:, None, None] * getattr(tissue, name)[row]
    return staining.thickness * density
