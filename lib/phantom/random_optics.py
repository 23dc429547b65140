"""Microscopes drawn at random, and what they make of the same embryos as the good device.

Domain randomisation (Tobin et al. 2017, arXiv:1703.06907) of the optics instead of the picture:
what a network learns over many machines holds for one that it has never seen, as far as that one
lies within the ranges below.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from lib.phantom import light as lit
from lib.phantom import sensor
from lib.phantom.light import Scene
from lib.phantom.maps import Draws
from lib.phantom.optics import AMBER, BLUE, DEVICES, PHONE, Device, develop, relit, whole_frame

# Each parameter's range over all machines; a machine draws one value, or two ends, from it.
GAIN = (0.3, 2.5)  # of relief, either sign: the light may come from below
OBLIQUE_GAIN = (0.1, 0.6)
REFRACTION = (0.8, 4.0)  # of bright field
OBLIQUE_REFRACTION = (0.2, 1.2)
DENSITY = (0.04, 0.30)
SOFTNESS = (0.0006, 0.0120)  # image widths
DEFOCUS = (0.003, 0.020)  # image widths
FALL = (0.0, 0.8)
DIAMETER = (0.42, 0.92)  # of the embryo over the image height
NOISE = (0.6, 14.0)  # grey levels of 255
QUALITY = (20, 98)  # JPEG
DEMOSAIC = (0.0, 0.8)  # px
BLACK = (0.0, 0.5)  # of a photograph taken again: see `lib.phantom.optics.relit`
OUTLINES = (0.0, 4.0)
GAMMA = (0.6, 1.7)
SWING = np.pi / 8  # rad, how far the lamp may stand beside the vertical


def random_machine(rng: np.random.Generator) -> Device:
    """A microscope whose every part is drawn from the ranges of this module."""

    def between(ends: tuple[float, float]) -> float:
        return float(rng.uniform(*ends))

    def about(ends: tuple[float, float]) -> float:  # as many small ones as large ones
        return float(np.exp(rng.uniform(*np.log(ends))))

    sign, swing = float(rng.choice([-1.0, 1.0])), float(rng.uniform(-SWING, SWING))
    density = between(DENSITY)
    contrast = rng.choice(
        [
            partial(lit.relief, gain=sign * about(GAIN), density=density),
            partial(
                lit.oblique,
                gain=sign * about(OBLIQUE_GAIN),
                refraction=between(OBLIQUE_REFRACTION),
                density=density,
            ),
            partial(lit.bright_field, refraction=between(REFRACTION), density=density),
        ]
    )
    smallest = between((DIAMETER[0], DIAMETER[1] - 0.1))
    noise, quality = about(NOISE), between(QUALITY)
    tints = [(BLUE, AMBER), (PHONE,), (BLUE,), (AMBER,)]
    coloured = partial(sensor.tint, tints=tints[rng.integers(len(tints))], drift=0.03)
    return Device(
        aspect=between((0.75, 1.0)),
        diameter=(smallest, smallest + 0.1),
        room=0.42,
        illumination=rng.choice([lit.well, lit.clinic_field, lit.phone_field]),
        contrast=partial(_turned, contrast=contrast, by=swing),
        lens=partial(
            sensor.lens, softness=about(SOFTNESS), defocus=about(DEFOCUS), fall=(0.0, between(FALL))
        ),
        colour=rng.choice([sensor.grey, coloured]),
        capture=whole_frame,
        noise=partial(
            sensor.sensor_noise,
            sigma=(0.7 * noise, noise),
            colour=between((0.0, 0.8)),
            demosaic=between(DEMOSAIC),
        ),
        file=partial(sensor.jpeg, quality=(quality, min(quality + 10, 98))),
    )


def lit_from_the_side() -> Device:
    """The clinic's microscope with its lamp on the right: no draw gives one like it."""
    clinic = DEVICES["ED3"]
    aside = partial(_turned, contrast=clinic.contrast, by=np.pi / 2)
    return replace(clinic, contrast=aside, capture=whole_frame)


def _turned(scene: Scene, contrast, by: float) -> np.ndarray:
    return contrast(replace(scene, lamp=scene.lamp + by))


def rephotograph_at_random(image: np.ndarray, seed: int) -> np.ndarray:
    """A photograph as a random machine without relief might have taken it; nothing in it moves.

    What a machine does to matter is not known of a photograph: tone and outlines change at random,
    then lens, colour, sensor and file of a random machine follow.

    Parameters
    ----------
    image : uint8 (H, W)

    Returns
    -------
    uint8 (H, W, 3)
    """
    rng = np.random.default_rng([seed, 0])
    machine, draws = random_machine(rng), Draws(np.array([seed]), stream=0)
    luma = np.asarray(image, dtype=np.float32)[None] / 255
    light = relit(luma, black=rng.uniform(*BLACK), outlines=rng.uniform(*OUTLINES))
    light = light ** np.float32(np.exp(rng.uniform(*np.log(GAMMA))))
    return develop(light, machine, draws)[0]
