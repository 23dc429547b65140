"""How images look, in numbers: what sets the photographs of one device apart from another's."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.fft import fft2, fftfreq
from scipy.ndimage import convolve

from engine.progress import progress
from lib.data.images import to_grey
from lib.data.interface import Source

# Every statistic and its unit.
UNITS = {
    "mean": "grey levels",
    "sd": "grey levels",
    "sharpness": "grey levels² / px²",
    "noise_sigma": "grey levels",
    "spectral_slope": "exponent",
}
STATISTICS = list(UNITS)

_NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_BATCH = 16  # decoded at once: of a camera's frames no more fit into memory beside all else
_SMALLEST = 8  # pixels of the shorter side; a smaller image has no spectrum to speak of


def image_statistics(source: Source, table: pd.DataFrame) -> pd.DataFrame:
    """Appearance of every image, measured on its luma at its own size.

    Read: compare domains, not images. Domains that differ here are told apart at a glance, and a
    classifier may lean on that instead of the embryo.

    Parameters
    ----------
    source : where the images are read from
    table : rows (id, domain) to measure

    Returns
    -------
    DataFrame
        id, domain, width, height (pixels), mean, sd (grey levels), sharpness (mean squared
        gradient, grey levels squared per pixel squared), noise_sigma (grey levels; Immerkaer
        1996), spectral_slope (exponent of power against spatial frequency, see `spectral_slope`);
        the last three are NaN where a side is below 8 pixels.
    """
    rows = []
    ids = list(table["id"])
    for start in progress(range(0, len(ids), _BATCH), label="image statistics"):
        batch = ids[start : start + _BATCH]
        rows += [_measure(to_grey(image)) for image in source.read_many(batch)]
    measured = pd.DataFrame(rows, columns=["width", "height", *STATISTICS])
    return pd.concat([table[["id", "domain"]].reset_index(drop=True), measured], axis=1)


def noise_sigma(grey: np.ndarray) -> float:
    """Standard deviation of the noise in grey levels (Immerkaer 1996, equation 3).

    The mask does not see edges and slopes and leaves the noise, six times as strong. Fine texture
    counts as noise.
    """
    response = convolve(grey, _NOISE_MASK, mode="reflect")[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) * np.abs(response).mean() / 6)


def spectral_slope(grey: np.ndarray) -> float:
    """Exponent of the power spectrum: slope of log power against log spatial frequency.

    About -2 for natural scenes; steeper is blurred, flatter is sharp or noisy. Centred square,
    radial average, from 4 periods per image to a quarter period per pixel, where the lens still
    says more than the camera's noise.
    """
    side = min(grey.shape)
    top, left = (grey.shape[0] - side) // 2, (grey.shape[1] - side) // 2
    square = grey[top : top + side, left : left + side].astype(np.float32)
    power = np.abs(fft2(square - square.mean())) ** 2
    rings, members = _rings(side)
    radial = np.bincount(rings, power.ravel(), minlength=len(members)) / np.maximum(members, 1)
    chosen = np.arange(4, max(side // 4, 6))
    return float(np.polyfit(np.log(chosen), np.log(radial[chosen] + 1e-12), 1)[0])


def domain_gap(statistics: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Distance of every domain from ``reference`` in each image statistic.

    Read: standardised differences (Cohen's d); beyond 0.8 is a large gap, beyond 2 the two
    domains hardly overlap. The rows show what a translation has to change.

    Returns one row per statistic, one column per other domain.
    """
    home = statistics[statistics["domain"] == reference][STATISTICS]
    gaps = {}
    for domain in statistics["domain"].unique():
        if domain != reference:
            away = statistics[statistics["domain"] == domain][STATISTICS]
            pooled = np.sqrt((home.var() + away.var()) / 2)
            gaps[domain] = (away.mean() - home.mean()) / pooled
    return pd.DataFrame(gaps).rename_axis("statistic").reset_index()


@lru_cache
def _rings(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Ring (periods per image) of each pixel of a spectrum, and the pixels in each ring."""
    frequency = fftfreq(side, 1 / side)
    rings = np.rint(np.hypot(frequency, frequency[:, None])).astype(int).ravel()
    return rings, np.bincount(rings)


def _measure(grey: np.ndarray) -> tuple[float, ...]:
    height, width = grey.shape
    levels = grey.astype(np.float32)
    brightness = width, height, float(levels.mean()), float(levels.std())
    if min(height, width) < _SMALLEST:
        return *brightness, np.nan, np.nan, np.nan
    down, right = np.gradient(levels)
    sharpness = float(np.mean(down**2 + right**2))
    return *brightness, sharpness, noise_sigma(levels), spectral_slope(levels)
