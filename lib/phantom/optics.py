"""Three microscopes for phantom and real embryos: the same embryo, three looks, known truth.

ED4 is a time-lapse incubator with relief contrast, ED3 a clinical inverted microscope, ED1 a
phone on a small microscope. A device is a chain of physical steps from the lamp to the file; the
steps themselves are in ``light.py`` and ``sensor.py``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from engine.errors import InputError
from lib.phantom import light as lit
from lib.phantom import sensor
from lib.phantom.embryo import EXTENT, Embryos
from lib.phantom.light import Scene
from lib.phantom.maps import CHUNK_PIXELS, Draws, column

MASKS = ("embryo", "zona", "cavity", "icm")


@dataclass(frozen=True)
class Photographs:
    """Photographs of one device and what is true about them.

    images : uint8 (N, H, W, 3)
    x, y, radius : float64 (N,), centre and radius of the outer zona in pixels, pixel centres at
        integers
    masks : bool (N, H, W) each, of ``embryo``, ``zona``, ``cavity`` and ``icm``
    """

    images: np.ndarray
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    masks: dict[str, np.ndarray]


@dataclass(frozen=True)
class Device:
    """A microscope with its camera: its framing, then its steps in the order light takes them.

    aspect : height over width of a photograph
    diameter : of the embryo over the image height, unexpanded and fully expanded
    room : radius of the disc at the image's centre that holds the embryo, in widths
    """

    aspect: float
    diameter: tuple[float, float]
    room: float
    illumination: Callable[[Scene], np.ndarray]
    contrast: Callable[[Scene], np.ndarray]
    lens: Callable[[np.ndarray, Draws], np.ndarray]
    colour: Callable[[np.ndarray, Draws], np.ndarray]
    capture: Callable[[np.ndarray, Draws], np.ndarray]
    noise: Callable[[np.ndarray, Draws], np.ndarray]
    file: Callable[[np.ndarray, Draws], np.ndarray]


def whole_frame(light: np.ndarray, draws: Draws) -> np.ndarray:
    return light


BLUE = ((0.38, 0.68, 0.79), (1.1, 1.0, 0.9))
AMBER = ((0.66, 0.58, 0.42), (0.9, 1.0, 1.2))
PHONE = ((0.74, 0.78, 0.83), (0.75, 1.0, 1.3))  # brown on pale blue-grey

DEVICES = {
    "ED4": Device(
        aspect=1.0,
        diameter=(0.44, 0.60),
        room=0.43,
        illumination=lit.well,
        contrast=partial(lit.relief, gain=1.9, density=0.08),
        lens=partial(sensor.lens, softness=0.0013, defocus=0.006, fall=(0.0, 0.1)),
        colour=sensor.grey,
        capture=whole_frame,
        noise=partial(sensor.sensor_noise, sigma=(0.8, 1.4), colour=0.0, demosaic=0.0),
        file=partial(sensor.jpeg, quality=(94, 98)),
    ),
    "ED3": Device(
        aspect=0.75,
        diameter=(0.50, 0.67),
        room=0.36,
        illumination=lit.clinic_field,
        contrast=partial(lit.oblique, gain=0.28, refraction=0.40, density=0.22),
        lens=partial(sensor.lens, softness=0.0008, defocus=0.005, fall=(0.0, 0.2)),
        colour=partial(sensor.tint, tints=(BLUE, AMBER), drift=0.01),
        capture=partial(sensor.capture_edge, share=0.2),
        noise=partial(sensor.sensor_noise, sigma=(1.5, 4.5), colour=0.4, demosaic=0.0),
        file=partial(sensor.jpeg, quality=(90, 98)),
    ),
    "ED1": Device(
        aspect=147 / 165,
        diameter=(0.80, 0.90),
        room=0.42,
        illumination=lit.phone_field,
        contrast=partial(lit.bright_field, refraction=2.5, density=0.10),
        lens=partial(sensor.lens, softness=0.007, defocus=0.015, fall=(0.2, 0.7)),
        colour=partial(sensor.tint, tints=(PHONE,), drift=0.03),
        capture=whole_frame,
        noise=partial(sensor.sensor_noise, sigma=(5.0, 12.0), colour=0.8, demosaic=0.6),
        file=partial(sensor.jpeg, quality=(25, 50)),
    ),
}


def _device(name: str) -> Device:
    if name not in DEVICES:
        raise InputError(f"device {name!r} is unknown: choose one of {', '.join(DEVICES)}.")
    return DEVICES[name]


def _draws(seeds: np.ndarray, name: str) -> Draws:
    return Draws(seeds, stream=1 + zlib.crc32(name.encode()))


def photograph(
    embryos: Embryos, seeds: np.ndarray, device: str, width: int, machine: Device | None = None
) -> Photographs:
    """Photograph each embryo once.

    Each photograph depends on its own seed and embryo alone, whatever the batch. The embryo is
    never turned: framed by its truth, it lies the same way in the photographs of all devices.

    Parameters
    ----------
    seeds : int64 (N,), of the photographs; the embryos' own seeds will do
    device : a name in ``DEVICES``
    width : of the photographs in pixels; the height follows from the device
    machine : takes the device's place and draws its random numbers

    Raises
    ------
    InputError
        Unknown device.
    """
    machine, seeds = machine or _device(device), np.asarray(seeds)
    shape = (round(width * machine.aspect), width)
    step = max(1, CHUNK_PIXELS // max(embryos.height[0].size, shape[0] * shape[1]))
    parts = [
        _photograph(
            embryos, slice(i, i + step), machine, _draws(seeds[i : i + step], device), shape
        )
        for i in range(0, len(seeds), step)
    ]
    return Photographs(
        *(np.concatenate([getattr(p, a) for p in parts]) for a in ("images", "x", "y", "radius")),
        masks={name: np.concatenate([p.masks[name] for p in parts]) for name in MASKS},
    )


def _photograph(embryos, rows: slice, machine: Device, draws: Draws, shape) -> Photographs:
    height, width = shape
    low, high = machine.diameter
    grown = np.clip(embryos.expansion[rows] + draws.uniform(-0.15, 0.15), 0, 1)
    radius = (low + (high - low) * grown.astype(np.float64)) * height / 2
    way, far = draws.uniform(0, 2 * np.pi), np.sqrt(draws.uniform(0, 1))
    far = far * np.maximum(machine.room * width - radius, 0)
    x = (width - 1) / 2 + far * np.cos(way)
    y = (height - 1) / 2 + far * np.sin(way)
    # The same blur for every embryo, so that none depends on those beside it.
    shrink = embryos.height.shape[1] / (EXTENT * (low + high) / 2 * height)

    def place(maps: np.ndarray) -> np.ndarray:
        return _place(maps[rows].astype(np.float32), x, y, radius, shape, shrink)

    masks = {name: place(getattr(embryos, name)) for name in MASKS}
    u = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / width
    v = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / width
    scene = Scene(
        height=place(embryos.height),
        absorption=place(embryos.absorption),
        body=masks["embryo"],
        u=np.broadcast_to(u[None, None, :], (len(x), height, width)),
        v=np.broadcast_to(v[None, :, None], (len(x), height, width)),
        radius=radius,
        # Where the light comes from is a property of the instrument: the top of the image.
        lamp=draws.uniform(-0.15, 0.15) - np.pi / 2,
        draws=draws,
    )
    light = machine.illumination(scene) * machine.contrast(scene)
    images = develop(light, machine, draws)
    return Photographs(images, x, y, radius, {name: m > 0.5 for name, m in masks.items()})


def _place(maps: np.ndarray, x, y, radius, shape, shrink: float) -> np.ndarray:
    """Bring embryo maps (N, S, S) into images, blurred first where they shrink."""
    if shrink > 1.1:
        maps = sensor.blur(maps, 0.45 * np.sqrt(shrink**2 - 1))
    across = (np.arange(shape[1])[None, None, :] - column(x)) / column(radius * EXTENT)
    down = (np.arange(shape[0])[None, :, None] - column(y)) / column(radius * EXTENT)
    grid = np.stack(np.broadcast_arrays(across, down), axis=-1).astype(np.float32)
    maps = torch.from_numpy(np.ascontiguousarray(maps))[:, None]
    return F.grid_sample(maps, torch.from_numpy(grid), align_corners=False)[:, 0].numpy()


def develop(light: np.ndarray, machine: Device, draws: Draws) -> np.ndarray:
    """The camera's half of the chain: light of the scene -> uint8 (N, H, W, 3)."""
    light = machine.lens(light.astype(np.float32), draws)
    light = machine.colour(light, draws)
    light = machine.capture(light, draws)
    light = machine.noise(light, draws)
    return machine.file(light, draws)


def relit(luma: np.ndarray, black: float, outlines: float) -> np.ndarray:
    """Photographs as light on another device: paler blacks, dark outlines for light and dark edges.

    Parameters
    ----------
    luma : float32 (N, H, W) in [0, 1]
    black : light that is left where the photograph is black
    outlines : how dark an edge becomes, per unit of contrast (Beer-Lambert)
    """
    edges = np.abs(luma - sensor.blur(luma, 0.02 * luma.shape[2]))
    light = (black + (1 - black) * luma) * np.exp(-outlines * edges)
    return light / np.quantile(light, 0.9, axis=(1, 2), keepdims=True)


def rephotograph(image: np.ndarray, device: str, seed: int) -> np.ndarray:
    """Make a photograph look as if ``device`` had taken it; nothing in it moves.

    The light and dark sides of relief edges both become dark outlines, as bright field shows
    them; then the light passes the device's own lens, colour, sensor and file.

    Parameters
    ----------
    image : uint8 (H, W) or (H, W, 3)
    device : a device without relief, "ED3" or "ED1"

    Returns
    -------
    uint8 (H, W, 3)

    Raises
    ------
    InputError
        Unknown device, or one with relief, which a photograph does not contain.
    """
    machine = _device(device)
    if device == "ED4":
        raise InputError("device 'ED4' needs an embryo's height: rephotograph with ED3 or ED1.")
    luma = image if image.ndim == 2 else image @ np.array([0.299, 0.587, 0.114])
    exposed = relit(np.asarray(luma, dtype=np.float32)[None] / 255, black=0.4, outlines=3.0)
    return develop(exposed, machine, _draws(np.array([seed]), device))[0]
