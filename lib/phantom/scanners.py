"""Slide scanners: from the optical density of a stained section to a file.

Two are made after real ones: the first scans H&E, the second IHC. Others are drawn at random
(Tobin et al. 2017, arXiv:1703.06907).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from engine.errors import InputError
from lib.phantom.maps import Draws
from lib.phantom.stains import (
    ONE,
    TWO,
    Laboratory,
    random_staining,
    stain_tissue,
    staining_run,
)
from lib.phantom.tissue import Tissue


@dataclass(frozen=True)
class Scanner:
    """A scanner.

    white : red, green, blue of an empty slide, in [0, 1]
    colour : (3, 3), from the light's colours to the file's; rows sum to 1, so that white stays
    gamma : exponent of the tone
    softness : blur of lens and sensor, standard deviation in um
    sharpening : how much of the fine detail is added again
    noise : grey levels of 255
    """

    white: np.ndarray
    colour: np.ndarray
    gamma: float
    softness: float
    sharpening: float
    noise: float


def _mixing(own: float, red: float, blue: float) -> np.ndarray:
    """A colour matrix: ``own`` > 1 makes colours stronger; the others lean to red and to blue."""
    rest = 1 - own
    return np.array(
        [
            [own, rest * (0.7 - red), rest * (0.3 + red)],
            [rest * 0.5, own, rest * 0.5],
            [rest * (0.3 + blue), rest * (0.7 - blue), own],
        ]
    )


FIRST = Scanner(np.array([0.955, 0.945, 0.955]), _mixing(1.06, 0.0, 0.0), 1.0, 0.42, 0.30, 1.6)
SECOND = Scanner(np.array([0.915, 0.915, 0.895]), _mixing(0.94, 0.1, 0.1), 0.82, 0.60, 0.6, 2.6)


@dataclass(frozen=True)
class Device:
    """How a section of a domain gets its look: protocol, laboratory, scanner."""

    protocol: str
    laboratory: Laboratory
    scanner: Scanner


DEVICES = {
    "he": Device("he", ONE, FIRST),
    "ki67": Device("ki67", TWO, SECOND),
    "her2": Device("her2", TWO, SECOND),
}


def photograph_tissue(tissue: Tissue, slides: np.ndarray, domain: str) -> np.ndarray:
    """Stain and photograph each field once; the tissue is the same in all domains.

    Parameters
    ----------
    slides : int64 (N,), not negative, of the slide that a field is of: fields of a slide share its
        staining run
    domain : a name in ``DEVICES``

    Returns
    -------
    uint8 (N, 3, S, S), each of its own field and slide alone, whatever the batch

    Raises
    ------
    InputError
        Unknown domain, or not as many slides as fields.
    """
    if domain not in DEVICES:
        raise InputError(f"domain {domain!r} is unknown: choose one of {', '.join(DEVICES)}.")
    if len(slides) != len(tissue.seeds):
        raise InputError(
            f"{len(tissue.seeds)} fields, {len(slides)} slides: give every field its slide."
        )
    device, stream = DEVICES[domain], 1 + zlib.crc32(domain.encode())
    runs = [
        staining_run(device.protocol, device.laboratory, rng)
        for rng in Draws(slides, stream).generators
    ]
    scans = Draws(tissue.seeds, stream).generators
    return np.stack(
        [
            scan(stain_tissue(tissue, row, run), device.scanner, tissue.um_per_px, rng)
            for row, (run, rng) in enumerate(zip(runs, scans, strict=True))
        ]
    )


def photograph_by_random(tissue: Tissue, seeds: np.ndarray) -> np.ndarray:
    """As ``photograph_tissue``, each field stained and scanned in a way of its own."""
    images = []
    for row, rng in enumerate(Draws(seeds, 1 + zlib.crc32(b"random")).generators):
        staining, scanner = random_staining(rng), random_scanner(rng)
        images.append(scan(stain_tissue(tissue, row, staining), scanner, tissue.um_per_px, rng))
    return np.stack(images)


def random_scanner(rng: np.random.Generator) -> Scanner:
    """A scanner whose every part is drawn; the ranges surround both that are named."""
    return Scanner(
        white=rng.uniform(0.84, 0.99) + rng.uniform(-0.03, 0.03, 3),
        colour=_mixing(rng.uniform(0.85, 1.15), *rng.uniform(-0.2, 0.2, 2)),
        gamma=float(np.exp(rng.uniform(np.log(0.7), np.log(1.3)))),
        softness=rng.uniform(0.2, 0.7),
        sharpening=rng.uniform(0.0, 1.0),
        noise=rng.uniform(0.8, 5.0),
    )


def scan(density: np.ndarray, s: Scanner, um_per_px: float, rng) -> np.ndarray:
    """Photograph optical density (3, S, S): uint8 (3, S, S)."""
    light = np.power(np.float32(10), -density)
    sigma = s.softness / um_per_px
    light = ndimage.gaussian_filter(light, (0, sigma, sigma), mode="nearest", truncate=3)
    light = np.tensordot(s.colour.astype(np.float32), light, 1)
    light = np.maximum(light, 0) ** np.float32(s.gamma)
    light = light + s.sharpening * (
        light - ndimage.gaussian_filter(light, (0, 1, 1), mode="nearest", truncate=3)
    )
    grey = 255 * s.white[:, None, None].astype(np.float32) * light
    grey += s.noise * rng.standard_normal(grey.shape, dtype=np.float32)
    return np.clip(grey + 0.5, 0, 255).astype(np.uint8)
