"""The Ki67 labelling index: the share of nuclei that DAB made brown.

A nucleus is positive where the optical density of its DAB, mean over the nucleus, is above a
threshold that was chosen on training images (Ruifrok & Johnston 2001, with their vectors). Read in
an image, and read again in what a translator made of it and back, it tells whether a translation
keeps what a pathologist counts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage
from torch import Tensor

from engine.errors import InputError
from lib.evaluation.stain_density import HAEMATOXYLIN_DAB, check_colour, glass, optical_density

# Third vector of the deconvolution: what neither dye explains.
_REST = np.cross(*HAEMATOXYLIN_DAB) / np.linalg.norm(np.cross(*HAEMATOXYLIN_DAB))
_OUT = np.linalg.inv(np.vstack([HAEMATOXYLIN_DAB, _REST]))


def dab_density(stack: Tensor) -> np.ndarray:
    """Optical density of DAB along its vector, float32 (N, H, W); below 0 where another dye lies.

    ``stack`` holds uint8 images (N, 3, H, W) of one device: their brightest light is that of glass.
    """
    check_colour(stack, "images")
    white = glass(stack)
    density = np.empty((len(stack), *stack.shape[2:]), np.float32)
    for place, image in enumerate(stack):
        light = image.permute(1, 2, 0).numpy().astype(float)
        density[place] = (optical_density(light, white) @ _OUT)[..., 1]
    return density


def nuclear_density(stack: Tensor, instances: Tensor) -> pd.DataFrame:
    """Mean DAB density of every nucleus.

    Parameters
    ----------
    stack : uint8 (N, 3, H, W), see ``dab_density``
    instances : int32 (N, 1, H, W), 0 background, else nuclei; drawn, or found in these images

    Returns
    -------
    Columns image (place in the stack), number (in its map), density; a row a nucleus.

    Raises
    ------
    InputError
        Not a map for every image at its size.
    """
    _check_maps(instances, (len(stack), 1, *stack.shape[2:]))
    return _mean_inside(dab_density(stack), instances).rename(columns={"mean": "density"})


def drawn_positive(instances: Tensor, positives: Tensor) -> np.ndarray:
    """Whether each nucleus is drawn as positive, bool (M,), in the order of ``nuclear_density``.

    ``positives`` is bool (N, 1, H, W), where positive nuclei are; errors as there.
    """
    _check_maps(instances, tuple(positives.shape))
    means = _mean_inside(positives[:, 0].numpy().astype(np.float32), instances)
    return means["mean"].to_numpy() >= 0.5


def _check_maps(instances: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(instances.shape) != wanted:
        raise InputError(
            f"nuclei are {tuple(instances.shape)}, not {wanted}. Give every image its map at its "
            "size, (N, 1, H, W)."
        )


def _mean_inside(values: np.ndarray, instances: Tensor) -> pd.DataFrame:
    """Mean of values (N, H, W) in each nucleus: columns image, number, mean."""
    parts = []
    for image, (own, nuclei) in enumerate(zip(values, instances[:, 0].numpy(), strict=True)):
        numbers = np.unique(nuclei[nuclei > 0])
        means = ndimage.mean(own, nuclei, numbers)
        parts.append(pd.DataFrame(dict(image=image, number=numbers, mean=means)))
    return pd.concat(parts, ignore_index=True)


def best_threshold(density: np.ndarray, positive: np.ndarray) -> float:
    """The density that calls fewest nuclei other than they are.

    Halfway between two nuclei; of several as good, in the widest gap.

    Parameters
    ----------
    density : (M,) of training nuclei
    positive : bool (M,), which of them are

    Raises
    ------
    InputError
        All nuclei are positive, or none is.
    """
    if positive.all() or not positive.any():
        raise InputError(
            f"{positive.sum()} of {len(positive)} nuclei are positive: a threshold needs both "
            "kinds. Add images that show the other."
        )
    order = np.argsort(density, kind="stable")
    density, positive = np.asarray(density, float)[order], np.asarray(positive)[order]
    # Cut after each nucleus but the last: positives up to there are missed, negatives beyond it
    # are called positive.
    wrong = (np.cumsum(positive) + (~positive).sum() - np.cumsum(~positive))[:-1]
    gaps = np.diff(density)
    best = np.lexsort((-gaps, np.where(gaps > 0, wrong, len(density))))[0]
    return float((density[best] + density[best + 1]) / 2)
