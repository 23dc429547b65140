"""From light to file: lens, colour, sensor, compression.

``light`` is float32 (N, H, W), after ``colour`` (N, H, W, 3); 1.0 saturates the sensor. Every
step takes the light and the ``Draws`` of the photographs and returns the light it lets through.
"""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from lib.phantom.maps import Draws, column

Range = tuple[float, float]  # each photograph draws its own value from it
Colour = tuple[float, float, float]  # red, green, blue in [0, 1]


def blur(light: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of maps (N, H, W), ``sigma`` in pixels, the border continued."""
    reach = int(np.ceil(2.5 * sigma))
    at = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    out = torch.from_numpy(np.ascontiguousarray(light))[:, None]
    out = F.pad(out, (reach, reach, reach, reach), mode="replicate")
    height, width = light.shape[1:]
    out = sum(k * out[:, :, i : i + height] for i, k in enumerate(kernel))
    out = sum(k * out[..., i : i + width] for i, k in enumerate(kernel))
    return out[:, 0].numpy()


def lens(light, draws: Draws, softness: float, defocus: float, fall: Range) -> np.ndarray:
    """A lens that is never quite sharp, out of focus by a random amount, darker off its axis.

    Parameters
    ----------
    softness : blur at best focus, standard deviation in image widths
    defocus : the same far off focus; each photograph lies between 0 and 70 % of the way
    fall : loss of light at a distance of one width from the axis
    """
    width = light.shape[2]
    light = blur(light, softness * width)
    off_focus = column(draws.uniform(0.0, 0.7))
    light = light + off_focus * (blur(light, defocus * width) - light)
    return light * vignette(light.shape, draws.uniform(0.1, 0.9, 2), draws.uniform(*fall))


def vignette(shape, axis: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """Light that falls off with the square of the distance from ``axis`` (N, 2; x, y in sides)."""
    _, height, width = shape
    x = np.arange(width, dtype=np.float32)[None, None, :] / width - column(axis[:, 0])
    y = (np.arange(height, dtype=np.float32) / height)[None, :, None] - column(axis[:, 1])
    return 1 - column(fall) * (x**2 + (y * height / width) ** 2)


def grey(light, draws: Draws) -> np.ndarray:
    """A camera without colour."""
    return np.repeat(light[..., None], 3, axis=-1)


def tint(light, draws: Draws, tints: tuple[tuple[Colour, Colour], ...], drift: float):
    """Colour the light: each channel is white * light ** depth of one of the ``tints``.

    A ``tint`` is the colour of white and the depth of each channel: with a greater depth in blue
    than in red, what absorbs looks brown (Beer-Lambert). White varies in brightness by up to 8 %
    and each of its channels by up to ``drift``.
    """
    pick = np.minimum(draws.uniform(0, len(tints)).astype(int), len(tints) - 1)
    white, depth = (np.array(c, dtype=np.float32)[pick] for c in zip(*tints, strict=True))
    white = white * draws.uniform(0.92, 1.08)[:, None] + draws.uniform(-drift, drift, 3)
    light = np.maximum(light, 1e-3)[..., None]
    return white[:, None, None, :] * light ** depth[:, None, None, :]


def capture_edge(light, draws: Draws, share: float) -> np.ndarray:
    """The black margin, right and below, that a frame grabber leaves on a ``share`` of images."""
    height, width = light.shape[1:3]
    margin = np.where(draws.uniform(0, 1) < share, 0.03, 0.0)
    right = column(width * (1 - margin * draws.uniform(0, 1)))
    below = column(height * (1 - margin * draws.uniform(0, 1)))
    black = (np.arange(width)[None, None, :] >= right) | (np.arange(height)[None, :, None] >= below)
    return np.where(black[..., None], np.float32(0.01), light)


def sensor_noise(light, draws: Draws, sigma: Range, colour: float, demosaic: float) -> np.ndarray:
    """Add Gaussian noise and clip to what the sensor can hold.

    Parameters
    ----------
    sigma : standard deviation in grey levels of 255
    colour : share of the noise that differs between the channels; they have the rest in common
    demosaic : blur that colour interpolation leaves, standard deviation in pixels; 0 none
    """
    noise = draws.normal(*light.shape[1:])
    noise = colour * noise + (1 - colour) * noise[..., :1]
    light = light + noise * column(draws.uniform(*sigma) / 255)[..., None]
    if demosaic:
        light = np.stack([blur(light[..., c], demosaic) for c in range(3)], axis=-1)
    return np.clip(light, 0, 1)


def jpeg(light, draws: Draws, quality: Range) -> np.ndarray:
    """Compress each image and decode it: uint8 (N, H, W, 3)."""
    levels = (light * 255 + 0.5).astype(np.uint8)
    decoded = []
    for image, q in zip(levels, draws.uniform(*quality), strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=int(q))
        decoded.append(np.asarray(Image.open(file)))
    return np.stack(decoded)
