"""From lamp to lens: what lies under the microscope, how it is lit, how matter becomes visible.

Every step takes the scene and returns light, float32 (N, H, W), 1.0 saturates the sensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.phantom.maps import Draws, column, soft_step, texture

NEIGHBOUR_SHARE = 0.3  # of the clinic's photographs show another embryo, cut by the frame
CORNER_SHARE = 0.25  # of the phone's photographs have a dark corner
BEND = 0.75  # how soon a relief saturates


@dataclass(frozen=True)
class Scene:
    """Embryos in image coordinates.

    height, absorption : float32 (N, H, W), as in ``Embryos``
    body : float32 (N, H, W), 1 inside the embryo, soft at its edge
    u, v : float32 (N, H, W), position in image widths, from the image's centre
    radius : (N,) of the outer zona, pixels
    lamp : (N,) radians, the side the light comes from
    draws : the random numbers of these photographs
    """

    height: np.ndarray
    absorption: np.ndarray
    body: np.ndarray
    u: np.ndarray
    v: np.ndarray
    radius: np.ndarray
    lamp: np.ndarray
    draws: Draws

    def pattern(self, kind: str, across: float, down: float) -> np.ndarray:
        """Texture over the image, its tile stretched to ``across`` and ``down`` radii a width."""
        offset = self.draws.uniform(-1, 1, 2)
        spacing = across / self.u.shape[2]
        return texture(kind, self.u * across, self.v * down, offset, spacing)


def well(s: Scene) -> np.ndarray:
    """A culture well of radius 0.4 widths with a bright crescent towards the lamp.

    Its floor is grey with small smears; outside it is dark, with faint arcs on the lamp's side.
    """
    d = s.draws
    du, dv = s.u - column(d.uniform(-0.03, 0.03)), s.v - column(d.uniform(-0.03, 0.03))
    r = np.sqrt(du * du + dv * dv)
    toward = du * column(np.cos(s.lamp)) + dv * column(np.sin(s.lamp))
    facing = toward / (r + 1e-3)
    inwards = column(d.uniform(0.40, 0.425)) - r

    floor = column(d.uniform(0.42, 0.60)) * (1 - column(d.uniform(-0.1, 0.35)) * toward)
    floor *= soft_step(inwards, 0.10 - 0.09 * soft_step(facing + 0.4, 1.2))
    smears = s.pattern("granules", 0.9, 2.4) - column(d.uniform(2.0, 3.4))
    floor *= 1 - 0.3 * soft_step(smears, 1.2)

    glow = column(d.uniform(0.25, 0.45)) * soft_step(toward - 0.02, 0.7)
    bent = s.pattern("swell", 2.0, 2.0)
    arcs = np.sin(inwards * column(d.uniform(180, 260)) + 1.2 * bent) * (1 + 0.6 * bent)
    outside = glow * (1 + 0.10 * arcs) * (0.55 + np.exp(np.minimum(inwards, 0) / 0.05))

    lit = soft_step(facing + column(d.uniform(-0.25, 0.25)), 1.3)
    thick = 0.007 + column(d.uniform(0.008, 0.017)) * lit
    rim = 1.5 * lit * np.exp(-(((inwards - 0.004) / thick) ** 2)) * (1 - 0.6 * s.body)
    inside = soft_step(inwards, 0.03 - 0.012 * facing)
    return inside * floor + (1 - inside) * outside + rim


def clinic_field(s: Scene) -> np.ndarray:
    """An even field with specks of dust and, now and then, a neighbour cut by the frame."""
    d = s.draws
    dust = s.pattern("granules", 1.5, 1.5) - column(d.uniform(2.6, 4.2))
    light = 1 - 0.35 * soft_step(dust, 0.6) * (1 - s.body)

    present = column(d.uniform(0, 1) < NEIGHBOUR_SHARE)
    side = np.where(d.uniform(0, 1) < 0.5, -1, 1)
    size = d.uniform(0.16, 0.24)
    u, v = side * (0.5 + size * d.uniform(-0.3, 0.4)), d.uniform(-0.35, 0.35)
    depth = column(size) - np.hypot(s.u - column(u), s.v - column(v))
    outlines = np.exp(-((depth / 0.006) ** 2)) + np.exp(-(((depth - 0.03) / 0.008) ** 2))
    cells = soft_step(depth - 0.035, 0.02) * (0.10 + 0.05 * np.abs(s.pattern("clouds", 8.0, 8.0)))
    return light * (1 - present * (1 - s.body) * (0.3 * outlines + cells))


def phone_field(s: Scene) -> np.ndarray:
    """A lamp's uneven field; sometimes the well's dark edge cuts a corner."""
    d = s.draws
    light = 1 + 0.04 * s.pattern("clouds", 0.5, 0.5)
    way = (np.floor(d.uniform(0, 4)) + 0.5) * (np.pi / 2) + d.uniform(-0.3, 0.3)
    along = s.u * column(np.cos(way)) + s.v * column(np.sin(way))
    corner = soft_step(along - column(d.uniform(0.47, 0.56)), 0.08)
    return light * (1 - 0.85 * corner * column(d.uniform(0, 1) < CORNER_SHARE))


def slopes(s: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the height along x and along y, without unit."""
    down, right = np.gradient(s.height, axis=(1, 2))
    return right * column(s.radius), down * column(s.radius)


def relief(s: Scene, gain: float, density: float) -> np.ndarray:
    """Modulation contrast: slopes that face the lamp bright, the others dark; little absorption.

    Hoffman & Gross, Nature 254 (1975): a slit and a grey step in conjugate planes turn the
    gradient of the optical path, not the path itself, into brightness.
    """
    right, down = slopes(s)
    angle = s.lamp + s.draws.uniform(-0.1, 0.1)
    shade = gain * (right * column(np.cos(angle)) + down * column(np.sin(angle)))
    shade /= np.sqrt(1 + (BEND * shade) ** 2)
    return np.maximum(1 + shade, 0.05) * np.exp(-density * s.absorption)


def bright_field(s: Scene, refraction: float, density: float) -> np.ndarray:
    """Dark structures on light: steep slopes refract light past the lens whatever their
    direction, dense matter absorbs it (Beer-Lambert)."""
    right, down = slopes(s)
    steep = np.sqrt(right**2 + down**2)
    return np.exp(-refraction * steep / (1 + 0.4 * steep) - density * s.absorption)


def oblique(s: Scene, gain: float, refraction: float, density: float) -> np.ndarray:
    """Bright field lit a little from the side: a weak relief beside the dark outlines."""
    return relief(s, gain, density=0.0) * bright_field(s, refraction, density)
