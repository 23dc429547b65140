"""Noise that tissue is drawn with, the same at every pixel size, in micrometres.

A tile of periodic noise of unit variance stands for each kind of texture; a piece of tissue gets a
part of it. What is finer than a pixel is averaged away, as a camera does.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy import ndimage

TEXELS = 512  # along one side of a tile
TEXEL = 0.25  # um
PERIOD = TEXELS * TEXEL  # um

# Wavelength in um that is strongest, and by what factor others may differ from it.
KINDS = {
    "chromatin": (2.0, 2.0),  # clumps in a nucleus
    "granules": (2.0, 2.0),  # cytoplasm, fibres
    "patches": (22.0, 1.6),  # looser and denser, darker and paler
    "clouds": (48.0, 1.35),  # outlines of nests
}


@functools.cache
def _spectral_tile(kind: str) -> np.ndarray:
    """float32 (TEXELS, TEXELS), periodic, mean 0, variance 1."""
    length, spread = KINDS[kind]
    cycles = np.hypot(np.fft.fftfreq(TEXELS)[:, None], np.fft.rfftfreq(TEXELS)[None, :]) / TEXEL
    cycles[0, 0] = np.inf
    amplitude = np.exp(-(np.log(cycles * length) ** 2) / (2 * np.log(spread) ** 2)) / cycles
    white = np.random.default_rng(list(kind.encode())).standard_normal((TEXELS, TEXELS))
    field = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=white.shape)
    return (field / field.std()).astype(np.float32)


@functools.lru_cache(maxsize=32)
def _blurred_tile(kind: str, level: int) -> np.ndarray:
    """The tile for points 2 ** level texels apart."""
    if level == 0:
        return _spectral_tile(kind)
    return ndimage.gaussian_filter(_spectral_tile(kind), 0.4 * 2**level, mode="wrap")


def texture(kind: str, y, x, offset, spacing: float) -> np.ndarray:
    """Noise of unit variance, less what is finer than the points, at points given in um.

    Parameters
    ----------
    kind : a name in ``KINDS``
    y, x : arrays of one shape, um
    offset : two numbers in [0, 1), which part of the tile
    spacing : of the points, um
    """
    level = min(max(round(np.log2(spacing / TEXEL)), 0), 4)
    at = [y / TEXEL + offset[0] * TEXELS, x / TEXEL + offset[1] * TEXELS]
    tile = _blurred_tile(kind, level)
    return ndimage.map_coordinates(tile, at, order=1, mode="grid-wrap", output=np.float32)


@functools.lru_cache(maxsize=32)
def _resampled_tile(kind: str, um_per_px: float) -> np.ndarray:
    """The tile in pixels, a whole number of them, so that it stays periodic."""
    count = round(PERIOD / um_per_px)
    line = np.arange(count) * (PERIOD / count)
    y, x = np.meshgrid(line, line, indexing="ij")
    return texture(kind, y, x, (0.0, 0.0), um_per_px)


def patch(kind: str, rows: int, columns: int, offset, um_per_px: float) -> np.ndarray:
    """As ``texture``, at adjoining pixels and quickly: float32 (rows, columns)."""
    tile = _resampled_tile(kind, um_per_px)
    count = len(tile)
    top, left = (int(part * count) for part in offset)
    if top + rows <= count and left + columns <= count:
        return tile[top : top + rows, left : left + columns]
    down, right = np.arange(top, top + rows), np.arange(left, left + columns)
    return tile.take(down, axis=0, mode="wrap").take(right, axis=1, mode="wrap")
