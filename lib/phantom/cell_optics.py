"""Microscopes for phantom cell cultures: the same cells, many looks, known truth.

Three are made for flat cultures: phase contrast, DIC and bright field out of focus. The fourth,
"gel", is made for three dimensions: bright field, each cell on its own side of focus, uneven light,
noise, brightness that drifts. Others are drawn at random (Tobin et al. 2017, arXiv:1703.06907).
Any of them photographs any culture. How cells become visible is in ``cell_contrast.py``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from engine.errors import InputError
from lib.phantom.cell_contrast import (
    View,
    defocused,
    interference_contrast,
    lowpass,
    phase_contrast,
    view,
)
from lib.phantom.cells import Cultures
from lib.phantom.maps import Draws

PATCHES = (24, 48, 96)  # px between bright and dark patches of uneven light
BLOBS = ((2.1, 2.0), (3.9, 1.0))  # radius in pixels, mean number on 64 x 64 px


@dataclass(frozen=True)
class Microscope:
    """A microscope with its camera, ready for one photograph.

    contrast : what makes cells visible
    softness : blur of lens and camera, standard deviation in pixels
    level : grey of an empty field, in [0, 1]
    gamma : exponent of the camera's tone
    slant : loss of light from one side of the field to the other
    clouds : standard deviation of the light over wide patches, as a share of it
    mottle : the same of grain as fine as cells: fibres of a gel, dirt on the glass
    noise : of the sensor, grey levels of 255
    """

    contrast: Callable[[View], np.ndarray]
    softness: float
    level: float
    gamma: float
    slant: float
    clouds: float
    mottle: float
    noise: float


def _about(rng, low: float, high: float) -> float:
    """As many small numbers as large ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _good_camera(
    rng, contrast: Callable[[View], np.ndarray], level: tuple[float, float], slant: float,
    clouds: float = 0.012,
) -> Microscope:  # fmt: skip
    """A microscope of a laboratory: sharp, even light, little noise."""
    return Microscope(
        contrast=contrast,
        softness=rng.uniform(0.45, 0.65),
        level=rng.uniform(*level),
        gamma=1.0,
        slant=rng.uniform(0.0, slant),
        clouds=clouds,
        mottle=0.008,
        noise=rng.uniform(1.5, 3.0),
    )


def _phase(rng) -> Microscope:
    contrast = partial(
        phase_contrast,
        sign=1,
        halo=rng.uniform(0.72, 0.90),
        reach=rng.uniform(3.2, 4.8),
        contrast=rng.uniform(0.28, 0.40),
        ring=1.0,
    )
    return _good_camera(rng, contrast, level=(0.44, 0.52), slant=0.06)


def _dic(rng) -> Microscope:
    contrast = partial(
        interference_contrast,
        angle=-0.75 * np.pi + rng.uniform(-0.1, 0.1),  # how the prism stands
        gain=rng.uniform(0.45, 0.7),
    )
    return _good_camera(rng, contrast, level=(0.44, 0.52), slant=0.12)


def _brightfield(rng) -> Microscope:
    contrast = partial(
        defocused,
        focus=rng.choice([-1.0, 1.0]) * rng.uniform(1.5, 3.5),
        power=0.35,
        refraction=0.25,
        density=0.05,
    )
    return _good_camera(rng, contrast, level=(0.50, 0.62), slant=0.10, clouds=0.015)


def _gel(rng) -> Microscope:
    return Microscope(
        contrast=partial(
            defocused,
            focus=rng.uniform(-0.8, 0.8),
            power=rng.uniform(0.50, 0.70),
            refraction=0.60,
            density=0.15,
        ),
        softness=rng.uniform(0.5, 0.8),
        level=rng.uniform(0.38, 0.68),
        gamma=rng.uniform(0.8, 1.25),
        slant=rng.uniform(0.05, 0.30),
        clouds=rng.uniform(0.025, 0.06),
        mottle=rng.uniform(0.012, 0.028),
        noise=rng.uniform(2.0, 4.5),
    )


def random_microscope(rng) -> Microscope:
    """A microscope whose every part is drawn; the ranges surround "phase" and "gel"."""
    contrasts = {
        "phase": partial(
            phase_contrast,
            sign=int(rng.choice([-1, 1])),
            halo=rng.uniform(0.2, 0.95),
            reach=_about(rng, 3.0, 12.0),
            contrast=_about(rng, 0.15, 0.50),
            ring=_about(rng, 0.7, 1.5),
        ),
        "dic": partial(
            interference_contrast, angle=rng.uniform(0, 2 * np.pi), gain=_about(rng, 0.3, 1.3)
        ),
        "brightfield": partial(
            defocused,
            focus=rng.uniform(-4.5, 4.5),
            power=_about(rng, 0.25, 1.10),
            refraction=rng.uniform(0.2, 0.8),
            density=_about(rng, 0.02, 0.30),
        ),
    }
    return Microscope(
        contrast=contrasts[rng.choice(list(contrasts), p=[0.25, 0.25, 0.5])],
        softness=_about(rng, 0.4, 1.5),
        level=rng.uniform(0.32, 0.78),
        gamma=_about(rng, 0.7, 1.4),
        slant=rng.uniform(0.0, 0.45),
        clouds=_about(rng, 0.008, 0.12),
        mottle=_about(rng, 0.004, 0.06),
        noise=_about(rng, 1.0, 8.0),
    )


DEVICES = {"phase": _phase, "dic": _dic, "brightfield": _brightfield, "gel": _gel}


def photograph_cultures(cultures: Cultures, seeds: np.ndarray, device: str) -> np.ndarray:
    """Photograph each field of view once; nothing moves, so that the truth holds for all devices.

    Parameters
    ----------
    seeds : int64 (N,), of the photographs; the cultures' own seeds will do
    device : a name in ``DEVICES``

    Returns
    -------
    uint8 (N, H, W), each of its own seed and culture alone, whatever the batch

    Raises
    ------
    InputError
        Unknown device.
    """
    if device not in DEVICES:
        raise InputError(f"device {device!r} is unknown: choose one of {', '.join(DEVICES)}.")
    return _photograph(cultures, Draws(seeds, 1 + zlib.crc32(device.encode())), DEVICES[device])


def photograph_by_random(cultures: Cultures, seeds: np.ndarray) -> np.ndarray:
    """As ``photograph_cultures``, each field of view by a microscope of its own."""
    return _photograph(cultures, Draws(seeds, 1 + zlib.crc32(b"random")), random_microscope)


def _photograph(cultures: Cultures, draws: Draws, assemble) -> np.ndarray:
    return np.stack(
        [
            _expose(assemble(rng), view(cultures, row), rng)
            for row, rng in enumerate(draws.generators)
        ]
    )


def _expose(m: Microscope, v: View, rng) -> np.ndarray:
    """From the lamp to the file: uint8 (H, W)."""
    shape = v.absorption.shape
    light = m.contrast(v) * _lamp(m, shape, rng)
    light = lowpass(light.astype(np.float32), m.softness)
    grey = 255 * m.level * np.maximum(light, 0) ** m.gamma
    grey += m.noise * rng.standard_normal(shape, dtype=np.float32)
    return np.clip(grey + 0.5, 0, 255).astype(np.uint8)


def _lamp(m: Microscope, shape: tuple[int, int], rng) -> np.ndarray:
    """Light that is uneven at three scales: the whole field, patches, grain as fine as cells."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    way = rng.uniform(0, 2 * np.pi)
    along = (x / shape[1] - 0.5) * np.cos(way) + (y / shape[0] - 0.5) * np.sin(way)
    patches = sum(_patches(shape, spacing, rng) for spacing in PATCHES) / np.sqrt(len(PATCHES))
    grain = rng.standard_normal(shape, dtype=np.float32)
    grain = lowpass(grain, 1.0) - lowpass(grain, 2.5)
    grain /= grain.std()
    return (1 - m.slant * along) * (1 + m.clouds * patches) * (1 + m.mottle * grain)


def _patches(shape: tuple[int, int], spacing: int, rng) -> np.ndarray:
    """Smooth noise (H, W) of about unit variance whose patches are ``spacing`` pixels apart."""
    knots = rng.standard_normal([side // spacing + 2 for side in shape], dtype=np.float32)
    wide = ndimage.zoom(knots, spacing, order=3, mode="nearest", grid_mode=True)
    return wide[: shape[0], : shape[1]]


def add_blobs(images: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Draw small round dark items of two sizes onto photographs: an augmentation without physics.

    Aarnio et al. (2022), section 3.3 and figure 12: what a network meets in its source it does not
    take for a cell in its target.

    Parameters
    ----------
    images : uint8 (N, H, W)
    seeds : int64 (N,)

    Returns
    -------
    uint8 (N, H, W), a copy
    """
    blotted = images.copy()
    height, width = images.shape[1:]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for image, rng in zip(blotted, Draws(seeds, stream=74).generators, strict=True):
        for radius, number in BLOBS:
            for _ in range(rng.poisson(number * height * width / 64**2)):
                away = np.hypot(y - rng.uniform(0, height), x - rng.uniform(0, width))
                cover = np.clip(radius + 0.5 - away, 0, 1)
                dark = rng.uniform(20, 60)
                image[:] = image + cover * (dark - image)
    return blotted
