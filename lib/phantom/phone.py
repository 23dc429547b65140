"""Phones on a small microscope, from nearly as good as the good device to worse than ED1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from engine.errors import InputError
from lib.phantom import light as lit
from lib.phantom import sensor
from lib.phantom.light import Scene
from lib.phantom.optics import DEVICES, PHONE, Device

RELIEF = 1.9  # gain of the good device's contrast
FLOOR = 0.51  # light on the floor of its well, in the middle of its range


def _exposed(scene: Scene, field: Callable[[Scene], np.ndarray], exposure: float) -> np.ndarray:
    return exposure * field(scene)


def phone(severity: float) -> Device:
    """A phone on a small microscope, from nearly the good device (0) to ED1 (1) and beyond.

    With ``severity`` relief gives way to bright field, the light grows brighter and coloured, the
    lens soft, the sensor noisy and the compression strong: lengths and noise by equal factors, the
    rest by equal steps. At 1 every part is that of ``DEVICES["ED1"]``.

    Raises
    ------
    InputError
        Below 0 or above 2.
    """
    if not 0 <= severity <= 2:
        raise InputError(f"severity {severity}: choose one from 0 (good) over 1 (ED1) to 2.")
    s, less = severity, max(0.0, 1 - severity)

    def factor(good: float, ed1: float) -> float:
        return good * (ed1 / good) ** s

    contrast = partial(lit.bright_field, refraction=2.5 * s, density=0.10)
    if less:
        contrast = partial(lit.oblique, gain=RELIEF * less, **contrast.keywords)
    # As dark as the floor of the good device's well at first, and as grey.
    exposure = 1 - (1 - FLOOR) * less
    tints = tuple((tuple(1 + s * (c - 1) for c in white), depth) for white, depth in (PHONE,))
    return replace(
        DEVICES["ED1"],
        illumination=partial(_exposed, field=lit.phone_field, exposure=exposure),
        colour=partial(sensor.tint, tints=tints if less else (PHONE,), drift=0.03 * min(s, 1)),
        contrast=contrast,
        lens=partial(
            sensor.lens, softness=factor(0.0013, 0.007), defocus=factor(0.006, 0.015),
            fall=(0.2 * s, 0.7 * s if s < 1 else 0.7),
        ),
        noise=partial(
            sensor.sensor_noise, sigma=(factor(0.8, 5.0), factor(1.4, 12.0)),
            colour=min(1.0, 0.8 * s), demosaic=0.6 * s,
        ),
        file=partial(sensor.jpeg, quality=(max(5.0, 94 - 69 * s), max(10.0, 98 - 48 * s))),
    )  # fmt: skip
