"""Classical ways to give stained sections the colours of the source: a fixed rule, nothing learnt.

Every control takes images of the target, the slide of each, and training images of the source, and
returns the images in the source's colours. It is fitted on all images of a slide together: a slide
is what was stained in one run, while a single tile may be blank or hold one kind of tissue, and a
rule fitted on that would undo what the tile shows. Who gives all images one slide fits the domain.
No label is looked at.

Light is held against that of empty glass, estimated over all images of a domain, since it is the
scanner's. Glass stays glass: a blank tile becomes a blank tile of the source, with its noise. A
slide with fewer than ``ENOUGH`` pixels of tissue takes the rule of all slides together, and so does
one that does not show both stains where a control has to tell them apart.

Libraries were tried first. torchstain 1.4.1 fits each tile, turns blank ones black and leaves eosin
out of its estimate as transparent; others need hundreds of packages. Colours and vectors are
scikit-image's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from skimage.color import lab2rgb, rgb2lab
from torch import Tensor

from engine.errors import InputError
from lib.evaluation.controls import grey as luma
from lib.evaluation.stain_density import (
    ENOUGH,
    GLASS,
    HAEMATOXYLIN_DAB,
    STAINED,
    TISSUE,
    Stains,
    check_colour,
    depth,
    glass,
    optical_density,
    stain_vectors,
    tissue,
)

_FULL = 99.0  # percentile of a stain's amount that is brought to the source's

Control = Callable[[Tensor, Sequence, Tensor], Tensor]
Rule = Callable[[np.ndarray], np.ndarray]  # pixels (P, 3) to what becomes of them
Fit = Callable[[np.ndarray, np.ndarray], Rule]  # tissue (P, 3) of a slide and light (3,) of glass


def _by_slide(
    stack: Tensor, groups: Sequence, source: Tensor, method: Callable[[np.ndarray, np.ndarray], Fit]
) -> Tensor:
    """Move every slide by the rule that ``method``, shown the source's tissue, fits to its own.

    Raises
    ------
    InputError
        Not uint8 (N, 3, H, W), not a slide for each image, or a source without tissue.
    """
    check_colour(stack, "stack")
    check_colour(source, "source")
    if len(groups) != len(stack):
        raise InputError(f"{len(stack)} images, {len(groups)} slides: give every image its slide.")
    white, home_white = glass(stack), glass(source)
    home = tissue(source, home_white)
    if len(home) < ENOUGH:
        raise InputError(
            f"the {len(source)} images of the source show {len(home)} pixels of tissue, {ENOUGH} "
            "are needed. Choose images with more of it."
        )
    fit = method(home, home_white)
    everything = tissue(stack, white)
    of_all: Rule = lambda pixels: pixels * home_white / white  # noqa: E731
    if len(everything) >= ENOUGH:
        of_all = fit(everything, white)
    out = torch.empty_like(stack)
    numbers = pd.factorize(np.asarray(groups))[0]
    for number in range(numbers.max() + 1):
        rows = np.flatnonzero(numbers == number)
        rule, own = of_all, tissue(stack[rows], white)
        if len(own) >= ENOUGH:
            try:
                rule = fit(own, white)
            except InputError:  # it does not show what the method needs
                rule = of_all
        for row in rows:
            image = stack[row].permute(1, 2, 0).numpy().astype(float)
            moved = _off_glass(image, rule, white, home_white)
            levels = torch.from_numpy(moved.round().clip(0, 255).astype(np.uint8))
            out[row] = levels.permute(2, 0, 1)
    return out


def _off_glass(
    image: np.ndarray, rule: Rule, white: np.ndarray, home_white: np.ndarray
) -> np.ndarray:
    """An image (H, W, 3) by a rule where it shows tissue, and as the source's glass where none."""
    seen = depth(ndimage.uniform_filter(image, (3, 3, 0)), white)[..., None]
    share = np.clip((seen - GLASS) / (TISSUE - GLASS), 0.0, 1.0)
    empty = image * home_white / white
    return empty + share * (rule(image.reshape(-1, 3)).reshape(image.shape) - empty)


def grey(stack: Tensor, groups: Sequence, source: Tensor) -> Tensor:
    """Luma in three equal channels; looks at neither the slides nor the source."""
    return luma(stack).expand(-1, 3, -1, -1).contiguous()


def histogram(stack: Tensor, groups: Sequence, source: Tensor) -> Tensor:
    """Give the tissue of a slide the source's cumulative histogram, colour by colour.

    As ``controls.histogram_match``, of slides instead of images. What is darkest in a colour
    becomes the darkest of the source, so that brown nuclei turn blue, as do brown membranes.
    """

    def method(home: np.ndarray, home_white: np.ndarray) -> Fit:
        def fit(seen: np.ndarray, white: np.ndarray) -> Rule:
            tables = [_table(seen[:, c], home[:, c]) for c in range(3)]
            return lambda pixels: np.stack(
                [table[pixels[:, c].astype(int)] for c, table in enumerate(tables)], axis=1
            )

        return fit

    return _by_slide(stack, groups, source, method)


def _table(own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """What every grey level becomes, (256,), so that ``own`` is distributed as ``wanted``."""
    levels, counts = np.unique(wanted, return_counts=True)
    reached = np.cumsum(np.bincount(own.astype(int), minlength=256)) / len(own)
    return np.interp(reached, np.cumsum(counts) / len(wanted), levels)


def reinhard(stack: Tensor, groups: Sequence, source: Tensor) -> Tensor:
    """Give the tissue of a slide the source's mean and spread of lightness and of both colours.

    Reinhard et al. 2001 (IEEE Computer Graphics and Applications 21:34), equations 10 and 11, in
    CIELAB, as stains are usually normalised by it. What has no spread is moved only.
    """

    def method(home: np.ndarray, home_white: np.ndarray) -> Fit:
        wanted = rgb2lab(home / 255)

        def fit(seen: np.ndarray, white: np.ndarray) -> Rule:
            own = rgb2lab(seen / 255)
            spread = own.std(axis=0)
            gain = np.divide(wanted.std(axis=0), spread, out=np.ones(3), where=spread > 0)

            def rule(pixels: np.ndarray) -> np.ndarray:
                lab = (rgb2lab(pixels / 255) - own.mean(axis=0)) * gain + wanted.mean(axis=0)
                with warnings.catch_warnings():  # of colours that no screen shows: they are cut
                    warnings.simplefilter("ignore")
                    return 255 * lab2rgb(lab)

            return rule

        return fit

    return _by_slide(stack, groups, source, method)


def _two_stains(seen: np.ndarray, white: np.ndarray) -> tuple[Stains, np.ndarray, np.ndarray]:
    """The stains of tissue, their amounts (P, 2) and what is full of each, (2,)."""
    stains = Stains(stain_vectors(optical_density(seen, white)), white)
    amounts = stains.amounts(seen)
    return stains, amounts, np.percentile(amounts, _FULL, axis=0)


def macenko(stack: Tensor, groups: Sequence, source: Tensor) -> Tensor:
    """Replace both stains of a slide by those of the source, and bring them to its strength.

    Macenko et al. 2009. Made for slides of the same two stains: DAB is taken for eosin, so that
    what was brown turns pink.
    """

    def method(home: np.ndarray, home_white: np.ndarray) -> Fit:
        wanted, _, wanted_full = _two_stains(home, home_white)

        def fit(seen: np.ndarray, white: np.ndarray) -> Rule:
            own, _, full = _two_stains(seen, white)
            return lambda pixels: wanted.light(own.amounts(pixels) * wanted_full / full)

        return fit

    return _by_slide(stack, groups, source, method)


def haematoxylin(stack: Tensor, groups: Sequence, source: Tensor) -> Tensor:
    """Keep the haematoxylin of haematoxylin and DAB, in the source's, on ground of even eosin.

    For membrane stains. Nuclei whose DAB hides their haematoxylin are lost.
    """
    return _recombined(stack, groups, source, lambda blue, brown: blue)


def recombination(stack: Tensor, groups: Sequence, source: Tensor) -> Tensor:
    """Haematoxylin and DAB both become the source's haematoxylin, on ground of even eosin.

    For nuclear stains: what is browner than the ground is a nucleus, made as dark as the blue ones.
    Of both dyes the stronger counts, since they add up in one nucleus.
    """
    return _recombined(stack, groups, source, lambda blue, brown: np.maximum(blue, brown))


def _recombined(
    stack: Tensor, groups: Sequence, source: Tensor,
    nuclear: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Tensor:  # fmt: skip
    """Colour deconvolution (Ruifrok & Johnston 2001) and recombination with the source's stains.

    Eosin has no counterpart in the target: tissue gets the median amount of the source's, the less
    the more it is nucleus.
    """

    def method(home: np.ndarray, home_white: np.ndarray) -> Fit:
        wanted, amounts, wanted_full = _two_stains(home, home_white)
        eosin = np.median(amounts[:, 1])

        def fit(seen: np.ndarray, white: np.ndarray) -> Rule:
            own = Stains(HAEMATOXYLIN_DAB, white)
            blue, brown = own.amounts(seen).T
            veil = np.median(brown)  # of the ground, which is most of a section
            is_brown = brown - veil > blue
            full = np.percentile(blue[~is_brown], _FULL)
            weaker = min(_typical(blue[~is_brown]) / _typical(brown[is_brown] - veil), 1.0)

            def rule(pixels: np.ndarray) -> np.ndarray:
                blue, brown = own.amounts(pixels).T
                share = nuclear(blue, weaker * (brown - veil)) / max(full, STAINED)
                share = np.clip(share, 0.0, 1.0)
                parts = [share * wanted_full[0], eosin * (1 - share)]
                return wanted.light(np.stack(parts, axis=1))

            return rule

        return fit

    return _by_slide(stack, groups, source, method)


def _typical(amounts: np.ndarray) -> float:
    """Median of the amounts (P,) that stain; ``STAINED`` where none does."""
    own = amounts[amounts >= STAINED]
    return float(np.median(own)) if len(own) else STAINED


CONTROLS: dict[str, Control] = {
    "grey": grey,
    "histogram": histogram,
    "reinhard": reinhard,
    "macenko": macenko,
    "haematoxylin": haematoxylin,
    "recombination": recombination,
}
