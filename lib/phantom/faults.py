"""The optical faults of the phone, each to be switched off alone, on one and the same embryo.

What is off is replaced by an ideal step that draws as many random numbers, so that no other fault
changes with it.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np

from engine.errors import InputError
from lib.phantom import light as lit
from lib.phantom import sensor
from lib.phantom.embryo import Embryos
from lib.phantom.light import Scene
from lib.phantom.maps import Draws
from lib.phantom.optics import DEVICES, Device, photograph

PHONE = "ED1"
FAULTS = (
    "uneven light", "outlines for relief", "blur", "vignette", "colour", "noise", "JPEG",
)  # fmt: skip
_SHARP = 1e-4  # image widths: far below a pixel
_GREY = 0.5  # light beside an embryo in relief, so that slopes to the lamp do not saturate


def _even_light(s: Scene) -> np.ndarray:
    return np.ones_like(lit.phone_field(s))


def _relief(s: Scene) -> np.ndarray:
    """As the good device shows it; bright field draws nothing, so neither may this."""
    shaded = DEVICES["ED4"].contrast(replace(s, draws=deepcopy(s.draws)))
    return _GREY * shaded


def _without_colour(light: np.ndarray, draws: Draws) -> np.ndarray:
    DEVICES[PHONE].colour(light, draws)
    return sensor.grey(light, draws)


def _lossless(light: np.ndarray, draws: Draws) -> np.ndarray:
    return (light * 255 + 0.5).astype(np.uint8)


def phone_with(faults: Collection[str]) -> Device:
    """The phone with some of its ``FAULTS``; with all of them it is the device ED1.

    Raises
    ------
    InputError
        An unknown fault.
    """
    for fault in faults:
        if fault not in FAULTS:
            raise InputError(f"fault {fault!r} is unknown: choose from {', '.join(FAULTS)}.")
    phone = DEVICES[PHONE]
    lens = {} if "blur" in faults else dict(softness=_SHARP, defocus=_SHARP)
    lens |= {} if "vignette" in faults else dict(fall=(0.0, 0.0))
    sensor_faults = {} if "blur" in faults else dict(demosaic=0.0)
    sensor_faults |= {} if "noise" in faults else dict(sigma=(0.0, 0.0))
    return replace(
        phone,
        illumination=phone.illumination if "uneven light" in faults else _even_light,
        contrast=phone.contrast if "outlines for relief" in faults else _relief,
        lens=partial(phone.lens, **lens),
        colour=phone.colour if "colour" in faults else _without_colour,
        noise=partial(phone.noise, **sensor_faults),
        file=phone.file if "JPEG" in faults else _lossless,
    )


def photograph_with(
    embryos: Embryos, seeds: np.ndarray, faults: Collection[str], width: int
) -> np.ndarray:
    """Photograph embryos with some faults of the phone: uint8 (N, H, W, 3).

    Parameters are those of ``lib.phantom.optics.photograph``.

    Raises
    ------
    InputError
        An unknown fault.
    """
    return photograph(embryos, seeds, PHONE, width, phone_with(faults)).images
