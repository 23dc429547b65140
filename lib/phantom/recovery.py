"""The height of real embryos, recovered from the relief that the good device shows of them.

Modulation contrast shows one slope of the optical path (see ``lib.phantom.light.relief``). That
model is turned round here, so that a real embryo can be photographed by any simulated microscope as
a phantom is, and the photograph it came from stays the truth.
"""

from __future__ import annotations

import numpy as np

from lib.phantom import sensor
from lib.phantom.embryo import EXTENT, Embryos
from lib.phantom.light import BEND
from lib.phantom.optics import DEVICES

# Chosen on phantoms: the phone's photograph of the recovered height is nearest to that of the true
# one (SSIM inside the embryo 0.70).
BACKGROUND = 0.5  # embryo radii: light that varies more slowly is the well's, not the embryo's
SMOOTHNESS = 0.03  # weight of the slopes in all directions against the one that is shown
COARSEST = 6.0  # radians per embryo radius: what is coarser cannot be told from uneven light
STRETCH = 1.6  # makes up for what the lens and the smoothing take from the slopes
EDGE = 0.02  # embryo radii over which the embryo fades into its surroundings
DARKEST, BRIGHTEST = -0.95, 1.25  # relative brightness at which a relief is saturated


def slopes_towards_lamp(luma: np.ndarray, radius: float, gain: float) -> np.ndarray:
    """The slope of the height towards the lamp, of which ``relief`` makes the brightness ``luma``.

    Parameters
    ----------
    luma : float32 (N, H, W) in [0, 1]
    radius : of the embryo, px
    gain : of the relief
    """
    light = np.maximum(sensor.blur(luma, BACKGROUND * radius), 0.02)
    shade = np.clip(luma / light - 1, DARKEST, BRIGHTEST)
    return shade / np.sqrt(1 - (BEND * shade) ** 2) / gain


def recover_height(luma: np.ndarray, radius: float) -> np.ndarray:
    """The height of embryos in photographs of relief lit from above, as in ``Embryos.height``.

    The smooth height whose slopes come nearest to those shown, by least squares (Tikhonov): what
    relief does not show, edges that run towards the lamp, comes out faint.

    Parameters
    ----------
    luma : float32 (N, S, S) in [0, 1]; the embryo in the middle
    radius : of the embryo, px

    Returns
    -------
    float32 (N, S, S), embryo radii, around a mean of 0
    """
    size = luma.shape[-1]
    line = np.arange(size) - (size - 1) / 2
    beyond = np.hypot(line, line[:, None]) / radius - 1
    slope = slopes_towards_lamp(luma, radius, DEVICES["ED4"].contrast.keywords["gain"])
    inside = np.clip(1 - beyond / EDGE, 0, 1).astype(np.float32)
    slope *= inside
    # Room around, so that what leaves on one side does not come in on the other.
    room = size // 2
    slope = np.pad(slope, ((0, 0), (room, room), (room, room)))
    wave = 2 * np.pi * np.fft.fftfreq(slope.shape[-1])
    down, right = wave[:, None], wave[None, :]
    derivative = -1j * np.sin(down) * radius  # of np.gradient, towards the top
    fineness = np.hypot(down, right) * radius
    least = np.abs(derivative) ** 2 + SMOOTHNESS * (fineness**2 + COARSEST**2)
    inverse = np.conj(derivative) / least
    height = np.fft.ifft2(np.fft.fft2(slope) * inverse).real
    return STRETCH * height[:, room:-room, room:-room].astype(np.float32) * inside


def recovered_embryos(luma: np.ndarray) -> Embryos:
    """Real embryos as ``photograph`` takes them: their height, and a disc for what is inside.

    What they absorb is not known and left out, and so is what they are: label 0, no structures.

    Parameters
    ----------
    luma : float32 (N, S, S) in [0, 1], photographs of relief lit from above; the embryo in the
        middle, ``EXTENT`` of its radii to each side
    """
    count, size = len(luma), luma.shape[-1]
    height = recover_height(luma, size / 2 / EXTENT)
    line = ((np.arange(size) + 0.5) * 2 / size - 1) * EXTENT
    disc = np.broadcast_to(np.hypot(line, line[:, None]) < 1, height.shape)
    none, unknown = np.zeros_like(disc), np.zeros(count, dtype=np.float32)
    return Embryos(
        height=height, absorption=np.zeros_like(height), label=np.zeros(count, dtype=np.int64),
        expansion=unknown + 0.5, cavity_size=unknown, ambiguous=np.ones(count, dtype=bool),
        embryo=disc, zona=none, cavity=none, icm=none,
    )  # fmt: skip
