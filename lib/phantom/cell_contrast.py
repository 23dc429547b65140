"""How cells without stain become visible: phase contrast, DIC, bright field out of focus.

Every contrast takes a view and returns light, float32 (H, W), 1.0 where there is nothing. A cell
delays light and hardly absorbs any, so that an ordinary microscope in focus shows next to nothing
of it; each contrast turns the delay into brightness in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lib.phantom.cells import Cultures

BLUR = 0.35  # px that each unit of defocus adds to a blur (the cone of light widens)
PARTICLE_PHASE = 3.0  # rad, how much more than a medium as thick a particle delays light
PARTICLE_DENSITY = 1.3  # optical density of a particle: iron oxide
DARKEST = 0.03  # light that no shadow is without


@dataclass(frozen=True)
class View:
    """One field of view of ``Cultures``, without its first axis.

    layers : float32 (L, H, W), radians; particles : float32 (L, H, W), coverage in [0, 1]
    depth : (L,)
    absorption : float32 (H, W)
    """

    layers: np.ndarray
    particles: np.ndarray
    depth: np.ndarray
    absorption: np.ndarray


def view(cultures: Cultures, row: int) -> View:
    """The field of view of one row."""
    layers = cultures.layers[row].astype(np.float32)
    at = np.arange(len(layers))[:, None, None] == cultures.particle_layer[row]
    return View(
        layers=layers,
        particles=at * cultures.particles[row],
        depth=cultures.depth[row],
        absorption=cultures.absorption[row],
    )


def lowpass(field: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of (H, W), real or complex, the border continued."""
    return ndimage.gaussian_filter(field, sigma, mode="nearest", truncate=3.0)


def _in_focus(v: View) -> tuple[np.ndarray, np.ndarray]:
    """Phase and coverage with particles as a lens sees them that is focused on depth 0."""
    phase, covered = np.zeros_like(v.absorption), np.zeros_like(v.absorption)
    for layer, particles, depth in zip(v.layers, v.particles, v.depth, strict=True):
        sigma = BLUR * abs(float(depth))
        phase += lowpass(layer + PARTICLE_PHASE * particles, sigma)
        covered += lowpass(particles, sigma)
    return phase, covered


def phase_contrast(
    v: View, sign: int, halo: float, reach: float, contrast: float, ring: float
) -> np.ndarray:
    """Zernike's phase contrast with its two faults, the halo and the shade-off.

    The ring in the objective delays (or advances) and dims the light that no cell has bent, S, so
    that it interferes with the bent light e^(i phase) - S. Being of some width, the ring also
    catches bent light of low frequency: S contains a lowpass of the field. Hence a halo around
    every cell, and large flat cells that fade in their middle. For thin cells the light is
    1 - sign * 2 / ring * (phase - halo * lowpass(phase)); thick cells, past a quarter of a wave,
    turn bright at either sign.

    Zernike, Physica 9 (1942), 686; Yin, Kanade & Chen, Medical Image Analysis 16 (2012), 1047,
    whose kernel for thin cells, a point less an obscured Airy pattern, is a point less a Gaussian
    here.

    Parameters
    ----------
    sign : 1 positive contrast (thin cells dark, their halo bright), -1 negative
    halo : share of the low frequencies that the ring catches, in [0, 1]
    reach : of the halo, standard deviation in pixels
    contrast : share of the light that interferes, in [0, 1]
    ring : amplitude that the ring lets through
    """
    phase, covered = _in_focus(v)
    field = np.exp(1j * phase)
    unbent = (1 - halo) + halo * lowpass(field, reach)
    light = np.abs(field - (1 + 1j * sign * ring) * unbent) ** 2 / ring**2
    return (1 + contrast * (light - 1)) * np.exp(-PARTICLE_DENSITY * covered)


def interference_contrast(v: View, angle: float, gain: float) -> np.ndarray:
    """DIC: the slope of the phase along the shear, bright on one side and dark on the other.

    Nomarski (1955): two images, sheared by less than the lens resolves, interfere; between crossed
    polarisers with a bias the light is linear in their difference for small ones.

    Parameters
    ----------
    angle : of the shear in radians, from right to down
    gain : light per radian of phase per pixel
    """
    phase, covered = _in_focus(v)
    down, right = np.gradient(phase)
    slope = gain * (right * np.cos(angle) + down * np.sin(angle))
    return (1 + slope / np.sqrt(1 + slope**2)) * np.exp(-PARTICLE_DENSITY * covered)


def defocused(v: View, focus: float, power: float, refraction: float, density: float) -> np.ndarray:
    """Bright field beside its focus: a cell is a weak lens that gathers or spreads light.

    Transport of intensity (Teague, JOSA 73, 1983, 1434): over a small distance dz the light
    changes by -dz * laplacian(phase), which is bright in the middle of a cell and dark at its rim
    on one side of focus, and the reverse on the other. The further off, the wider the blur. In
    focus there are left a little absorption and the light that steep slopes send past the lens.

    Parameters
    ----------
    focus : added to the depth of every layer
    power : light per radian of phase, pixel^-2 and unit of defocus
    refraction : how much a slope darkens, per radian and pixel
    density : how much light the cells absorb, per unit of their optical density (Beer-Lambert)
    """
    light, shadow = np.ones_like(v.absorption), density * lowpass(v.absorption, 1.0)
    for layer, particles, depth in zip(v.layers, v.particles, v.depth, strict=True):
        dz = float(depth) + focus
        sigma = float(np.hypot(0.6, BLUR * dz))
        phase = lowpass(layer + PARTICLE_PHASE * particles, sigma)
        light -= power * dz * ndimage.laplace(phase, mode="nearest")
        down, right = np.gradient(phase)
        steep = np.hypot(right, down)
        shadow += refraction * steep / (1 + 0.4 * steep)
        shadow += PARTICLE_DENSITY * lowpass(particles, sigma)
    return np.maximum(light, DARKEST) * np.exp(-shadow)
