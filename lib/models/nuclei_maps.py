"""Nuclei as a HoVer-Net sees them: maps of where in its nucleus a pixel lies, and nuclei of maps.

Graham et al. 2019, arXiv:1812.06499, sections 3.1 and 3.2. What their code counts in pixels at 0.25
um/px is counted in micrometres here, so that it holds at any scale.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.segmentation import watershed

# The published Sobel kernel of 21 px smooths as a Gaussian of sqrt(20) / 2 px does, to within 1 %.
STEEPNESS = 0.56  # um, standard deviation of the Gaussian whose derivative is taken
SMOOTHING = 0.2  # um, of the energy: a kernel of 3 px
SMALLEST = 5.0  # um2: a sliver at the edge of a tile, no nucleus; a lymphocyte's has about 30
RADIUS = 6.0  # um between centroids at the most of a found nucleus and the drawn one it is


def hover_maps(instances: np.ndarray) -> np.ndarray:
    """How far right of and below its nucleus' centroid each pixel lies, float32 (N, 2, H, W).

    Horizontal, then vertical, -1 at the nucleus' outermost pixels to the left (above), 1 at those
    to the right (below), 0 outside nuclei (section 3.1). 0 inside lies at the centroid
    itself, so that a mirrored nucleus has mirrored maps; in the authors' code it lies one pixel to
    the upper left. Of a nucleus that the tile's edge cuts, the centroid is that of what is inside.

    Parameters
    ----------
    instances : int (N, H, W), 0 background, else nuclei
    """
    maps = np.zeros((len(instances), 2, *instances.shape[1:]), np.float32)
    for own, both in zip(instances, maps, strict=True):
        inside = own > 0
        numbers = own[inside]
        if not numbers.size:
            continue
        size = np.maximum(np.bincount(numbers), 1)
        for place, positions in enumerate(np.nonzero(inside)[::-1]):
            away = positions - (np.bincount(numbers, positions) / size)[numbers]
            for sign in (-1, 1):
                farthest = np.zeros(len(size))
                np.maximum.at(farthest, numbers, sign * away)
                side = sign * away > 0
                away[side] /= farthest[numbers[side]]
            both[place][inside] = away
    return maps


def nuclei_from_maps(
    chance: np.ndarray, offsets: np.ndarray, um_per_px: float, threshold: float = 0.5
) -> np.ndarray:
    """Nuclei of the maps that a network gives, int32 (N, H, W): 0, 1 to n without gaps.

    Inside a nucleus both offsets rise along their own direction, between two that touch one falls:
    where both rise there are markers, and a watershed of the smaller of the two derivatives joins
    the rest of the nuclear pixels to them (section 3.2). The authors bring derivatives to 0 to
    1 by the least and greatest of a field and cut at a share of that, so that one small nucleus,
    which rises most, costs large ones their markers.

    Parameters
    ----------
    chance : float (N, H, W) in [0, 1], of being nucleus
    offsets : float (N, 2, H, W), as of ``hover_maps``; where their 0 lies does not matter
    threshold : nuclear pixels have at least this chance
    """
    found = [
        _nuclei(own >= threshold, both, um_per_px)
        for own, both in zip(chance, offsets, strict=True)
    ]
    return np.stack(found)


def _nuclei(nuclear: np.ndarray, offsets: np.ndarray, um_per_px: float) -> np.ndarray:
    nuclear = whole_nuclei(ndimage.label(nuclear)[0], um_per_px) > 0
    sigma = STEEPNESS / um_per_px
    rise = np.minimum(
        *(
            ndimage.gaussian_filter(own, sigma, order, mode="nearest")
            for own, order in zip(offsets, ((0, 1), (1, 0)), strict=True)
        )
    )
    markers = ndimage.label(ndimage.binary_fill_holes(nuclear & (rise > 0)))[0]
    energy = -ndimage.gaussian_filter(np.where(nuclear, rise, 0), SMOOTHING / um_per_px)
    return whole_nuclei(watershed(energy, markers, mask=nuclear), um_per_px)


def smallest(um_per_px: float) -> int:
    """Pixels of the smallest nucleus, one or more."""
    return max(1, round(SMALLEST / um_per_px**2))


def whole_nuclei(instances: np.ndarray, um_per_px: float) -> np.ndarray:
    """An instance map (H, W) without what is below ``smallest``, int32, 1 to n without gaps."""
    kept = np.bincount(instances.ravel()) >= smallest(um_per_px)
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[instances]


def centroids(instances: np.ndarray) -> np.ndarray:
    """Row and column of the centroid of each nucleus 1 to n of a map (H, W), px, float (n, 2)."""
    numbers = np.arange(1, instances.max(initial=0) + 1)
    return np.array(ndimage.center_of_mass(instances > 0, instances, numbers)).reshape(-1, 2)


def matched_centroids(found: np.ndarray, truth: np.ndarray, um_per_px: float) -> int:
    """Nuclei of two instance maps (H, W) that are the same: centroids ``RADIUS`` or less apart.

    Each is matched once, so that as many are as can be (Hungarian method).
    """
    far = np.linalg.norm(centroids(found)[:, None] - centroids(truth), axis=2) * um_per_px
    near = far <= RADIUS
    return int(near[linear_sum_assignment(~near)].sum())
