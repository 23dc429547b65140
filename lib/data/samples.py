"""What the samples of a pixel are: grey or colours, channels of which one is meant, opacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.errors import InputError

# What a file says of a sample beyond grey or the colours.
Meaning = Literal["", "alpha", "associated alpha"]


@dataclass(frozen=True)
class Samples:
    """One picture of the samples of a page.

    Attributes
    ----------
    pixels : (H, W) for grey, (H, W, colours) else
    alpha : (H, W) opacity, ``opaque`` where nothing shines through
    opaque : largest number of ``alpha``
    unused : what was left out, a phrase each
    channels : how many there were to choose from
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    opaque: float = 255.0
    unused: tuple[str, ...] = ()
    channels: int = 1


def split_samples(
    pixels: np.ndarray, base: int, meanings: Sequence[Meaning], name: object, channel: int,
    declared: int | None,
) -> Samples:  # fmt: skip
    """Tell colours, channels and opacity apart.

    Parameters
    ----------
    pixels : (H, W), or (H, W, samples) of which the first ``base`` are grey (1) or colours
    meanings : of the further samples, as far as the file says
    channel : which of several greys, from 1; 0: there must not be several
    declared : bits that the file speaks of, None where it does not

    Raises
    ------
    InputError
        Several greys without a stated meaning, and none or one that is not there is chosen.
    """
    if pixels.ndim == 2:
        return Samples(pixels)
    pixels, extra = pixels[..., :base], np.moveaxis(pixels[..., base:], -1, 0)
    meanings = [*meanings, *[""] * len(extra)][: len(extra)]
    plain = [layer for layer, meaning in zip(extra, meanings, strict=True) if not meaning]
    unused, channels = (), 1
    if base == 1:
        layers = [pixels[..., 0], *plain]
        channels = len(layers)
        at = choose_channel(channel, channels, name) if plain else 0
        pixels = layers[at]
        unused = (f"{channels - 1} of {channels} channels",) if plain else ()
    elif plain:
        unused = (f"{len(plain)} extra samples without a stated meaning",)
    seen = next((n for n, meaning in enumerate(meanings) if meaning), None)
    if seen is None:
        return Samples(pixels, unused=unused, channels=channels)
    opaque = _opaque(extra[seen], declared)
    alpha, words = without_empty_alpha(extra[seen])
    if alpha is not None and meanings[seen] == "associated alpha":
        pixels = _unassociated(pixels, alpha, opaque)
    return Samples(pixels, alpha, opaque, unused + words, channels)


def choose_channel(channel: int, count: int, name: object) -> int:
    """Place, from 0, of the channel (from 1) that was asked for among ``count``.

    Raises
    ------
    InputError
        None was asked for (0), or one that is not there.
    """
    if channel == 0:
        raise InputError(
            f"{name}: {count} channels, and nothing says which one is meant. Set channel (1 to "
            f"{count}), or save the one that is meant."
        )
    if channel > count:
        raise InputError(
            f"{name}: channel {channel} was asked for; there are {count}. Set channel."
        )
    return channel - 1


def without_empty_alpha(alpha: np.ndarray) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """``alpha``, or None and a word where nobody filled it in.

    So where it is 0 everywhere, or deep and the same everywhere: its scale is not known then.
    """
    if alpha.itemsize > 1 and alpha.any() and (alpha == alpha.flat[0]).all():
        return None, ()
    if alpha.any():
        return alpha, ()
    return None, ("an alpha channel that is 0 everywhere and was taken as never filled in",)


def _opaque(alpha: np.ndarray, declared: int | None) -> float:
    """The largest number of alpha; what is declared of the colours may hold of them only."""
    if alpha.dtype.kind == "f":
        return 1.0 if alpha.max() <= 1 else float(max(255, alpha.max()))
    if declared and alpha.max() < 2**declared:
        return float(2**declared - 1)
    return float(np.iinfo(alpha.dtype).max)


def _unassociated(pixels: np.ndarray, alpha: np.ndarray, opaque: float) -> np.ndarray:
    """Colours that were stored already multiplied by their opacity, as they were before."""
    share = alpha.astype(np.float64) / opaque
    share = share if pixels.ndim == 2 else share[..., None]
    whole = pixels / np.where(share > 0, share, 1)
    if pixels.dtype.kind == "f":
        return whole.astype(pixels.dtype)
    return np.clip(np.rint(whole), 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
