"""Arms that need no training: the target image is changed by a fixed rule, nothing is learnt.

Every function takes and returns an image stack, uint8 (N, C, H, W). ``reference`` is the stack of
the source domain's *training* images, so that no control looks at an image it is judged on.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.errors import InputError

_BATCH = 64  # images whose float copies are in memory at once


def _check_channels(stack: Tensor, reference: Tensor, control: str) -> None:
    if stack.shape[1] != reference.shape[1]:
        raise InputError(
            f"{control}: the stack has {stack.shape[1]} channel(s), the reference "
            f"{reference.shape[1]}. Bring both to one colour with grey() first."
        )


def grey(stack: Tensor) -> Tensor:
    """Luma of Rec. 601, rounded as Pillow's ``convert("L")`` does; (N, 1, H, W).

    A stack of one channel is returned as it is.
    """
    if stack.shape[1] == 1:
        return stack
    parts = []
    for part in stack.split(_BATCH):
        red, green, blue = part.to(torch.int32).unbind(1)
        luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
        parts.append(luma.to(torch.uint8)[:, None])
    return torch.cat(parts)


def _shares(images: Tensor) -> np.ndarray:
    """Share of the pixels at each grey level, one histogram per leading index; (..., 256)."""
    counts = [torch.bincount(image.flatten(), minlength=256) for image in images.flatten(0, 1)]
    counts = torch.stack(counts).reshape(*images.shape[:2], 256).double().numpy()
    return counts / counts.sum(axis=-1, keepdims=True)


def histogram_match(stack: Tensor, reference: Tensor) -> Tensor:
    """Give each image the mean cumulative histogram of ``reference``, channel by channel.

    Same rule as ``skimage.exposure.match_histograms``, which takes a single reference image;
    here the reference is the mean histogram of a domain, counted once.

    Parameters
    ----------
    stack : uint8 (N, C, H, W)
    reference : uint8 (M, C, H', W')

    Raises
    ------
    InputError
        The numbers of channels differ.
    """
    _check_channels(stack, reference, "histogram_match")
    wanted = sum(_shares(part).sum(axis=0) for part in reference.split(_BATCH)) / len(reference)
    present = [np.flatnonzero(channel) for channel in wanted]
    reached = [np.cumsum(channel)[levels] for channel, levels in zip(wanted, present, strict=True)]
    out = torch.empty_like(stack)
    for i, image in enumerate(stack):
        for c, shares in enumerate(_shares(image[None])[0]):
            levels = np.interp(np.cumsum(shares), reached[c], present[c])
            table = torch.from_numpy(levels.round().astype(np.uint8))
            out[i, c] = table[image[c].long()]
    return out


def fourier_adapt(stack: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Replace the low-frequency amplitudes by the mean ones of ``reference``; keep the phase.

    Fourier domain adaptation, Yang & Soatto 2020 (arXiv:2004.05498), equation 3, towards the
    source and with the mean source amplitude in place of that of one drawn image.

    Parameters
    ----------
    stack : uint8 (N, C, H, W)
    reference : uint8 (M, C, H, W)
    beta : float in (0, 0.5]
        Half side of the replaced square of the centred spectrum, as a share of the shorter side.

    Raises
    ------
    InputError
        The numbers of channels or the image sizes differ.
    """
    _check_channels(stack, reference, "fourier_adapt")
    height, width = stack.shape[2:]
    if reference.shape[2:] != stack.shape[2:]:
        raise InputError(
            f"fourier_adapt: the stack is {height}x{width}, the reference "
            f"{reference.shape[2]}x{reference.shape[3]} pixels. Load both at one size."
        )
    amplitude = torch.zeros(stack.shape[1:], dtype=torch.float64)
    for part in reference.split(_BATCH):
        amplitude += torch.fft.fft2(part.float()).abs().double().sum(dim=0)
    amplitude = (amplitude / len(reference)).float()

    half = int(beta * min(height, width))
    rows = torch.fft.fftfreq(height, 1 / height).abs() <= half
    columns = torch.fft.fftfreq(width, 1 / width).abs() <= half
    low = rows[:, None] & columns[None, :]
    parts = []
    for part in stack.split(_BATCH):
        spectrum = torch.fft.fft2(part.float())
        mixed = torch.polar(torch.where(low, amplitude, spectrum.abs()), spectrum.angle())
        image = torch.fft.ifft2(mixed).real
        parts.append(image.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(parts)
