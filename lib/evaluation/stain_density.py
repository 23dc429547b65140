"""Optical density of stained sections: what glass lets through, and which stains take the rest.

Ruifrok & Johnston (2001): the optical densities of dyes add up, each along a vector of its own in
red, green and blue. Stacks are uint8 (N, 3, H, W); pixels (P, 3) are their grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from skimage.color import rgb_from_hdx
from torch import Tensor

from engine.errors import InputError

# Optical density (length over the colours) up to which light has passed glass alone, and from which
# on it has passed tissue; the unstained ground of a section with a counterstain lies just above.
GLASS, TISSUE = 0.03, 0.06
STAINED = 0.15  # optical density from which on tissue tells its stains: beta of Macenko et al. 2009
ENOUGH = 500  # pixels
_CLEAR = 99.0  # percentile of the light that is that of glass
_ENDS = 1.0  # percentile of the angles between which the stains of Macenko et al. lie
_APART = 12.0  # degrees between two stains; nearer ones are one stain and its noise
_MOST = 1_000_000  # pixels of a stack that statistics are taken of, evenly spaced

# Haematoxylin and DAB: unit vectors of optical density in red, green, blue (Ruifrok & Johnston
# 2001). Vectors estimated from each slide bring phantoms less near to their H&E than these, and
# tell Ki67 no better.
HAEMATOXYLIN_DAB = rgb_from_hdx[:2] / np.linalg.norm(rgb_from_hdx[:2], axis=1, keepdims=True)


def check_colour(stack: Tensor, name: str) -> None:
    """Refuse what is no colour image stack.

    Raises
    ------
    InputError
        Not uint8 (N, 3, H, W).
    """
    if stack.ndim != 4 or stack.shape[1] != 3 or stack.dtype != torch.uint8:
        raise InputError(
            f"{name}: {stack.dtype} {tuple(stack.shape)}, but stains are seen in uint8 "
            "(N, 3, H, W). Load the images in colour."
        )


def sample(stack: Tensor) -> np.ndarray:
    """Pixels (P, 3) of a stack, float64, a million at most and the same ones every time."""
    pixels = stack.permute(0, 2, 3, 1).reshape(-1, 3)
    return pixels[:: 1 + len(pixels) // _MOST].numpy().astype(float)


def glass(stack: Tensor) -> np.ndarray:
    """Grey levels (3,) of empty glass: nearly the brightest of a device's images."""
    return np.maximum(np.percentile(sample(stack), _CLEAR, axis=0), 1.0)


def optical_density(light: np.ndarray, white: np.ndarray) -> np.ndarray:
    """-log10 of light (..., 3) over that of glass (3,), 0 or more; a black pixel counts as 0.5."""
    return np.maximum(-np.log10(np.maximum(light, 0.5) / white), 0.0)


def depth(light: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Optical density of all colours together (its length), (...)."""
    return np.linalg.norm(optical_density(light, white), axis=-1)


def tissue(stack: Tensor, white: np.ndarray) -> np.ndarray:
    """Pixels (P, 3) of a stack that show no glass."""
    pixels = sample(stack)
    return pixels[depth(pixels, white) >= TISSUE]


def stain_vectors(density: np.ndarray) -> np.ndarray:
    """Unit vectors (2, 3) of the two stains of tissue, the one that takes more red first.

    Macenko et al. 2009 (ISBI, 1107), steps 2 to 6: the ends of the angles in the plane of the two
    largest singular values of the optical densities (P, 3). Those below ``STAINED`` are left out by
    the density of all colours together: to leave out what is clear in any one, as is often done,
    leaves out eosin, which is clear in red.

    Raises
    ------
    InputError
        The ends lie close together: one stain, beside which the plane is noise.
    """
    density = density[np.linalg.norm(density, axis=1) >= STAINED]
    plane = np.linalg.eigh(density.T @ density)[1][:, :0:-1]
    plane[:, 0] *= np.sign(plane[:, 0].sum())  # so that the angles lie round 0, not half a turn off
    along, across = (density @ plane).T
    low, high = np.percentile(np.arctan2(across, along), [_ENDS, 100 - _ENDS])
    if len(density) < ENOUGH or np.degrees(high - low) < _APART:
        raise InputError(
            f"{len(density)} stained pixels show one stain, no two. Choose a control that needs "
            "no two stains, as histogram."
        )
    ends = np.array([[np.cos(angle), np.sin(angle)] for angle in (low, high)])
    vectors = np.maximum(ends @ plane.T, 0.0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[np.argsort(-vectors[:, 0])]


@dataclass(frozen=True)
class Stains:
    """Two stains on one glass: unit vectors (2, 3) of optical density and the light (3,) of it."""

    vectors: np.ndarray
    white: np.ndarray

    def amounts(self, pixels: np.ndarray) -> np.ndarray:
        """Of each stain in pixels (P, 3), 0 or more, (P, 2)."""
        return np.maximum(optical_density(pixels, self.white) @ np.linalg.pinv(self.vectors), 0.0)

    def light(self, amounts: np.ndarray) -> np.ndarray:
        return self.white * 10.0 ** -(amounts @ self.vectors)
