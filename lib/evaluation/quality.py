"""How close a translated image is to its truth."""

from __future__ import annotations

import pandas as pd
import piq
import torch
from torch import Tensor

from engine.errors import InputError

_BATCH = 64  # images whose float copies are in memory at once


def paired_image_quality(truth: Tensor, image: Tensor) -> pd.DataFrame:
    """SSIM (Wang et al. 2004) and PSNR in dB of each image against its truth.

    Parameters
    ----------
    truth, image : uint8 (N, C, H, W), H and W at least 11

    Returns
    -------
    One row per image, columns ``ssim`` (at most 1) and ``psnr`` (dB; 80 for identical images).

    Raises
    ------
    InputError
        The shapes differ.
    """
    if truth.shape != image.shape:
        raise InputError(
            f"truth is {tuple(truth.shape)}, image {tuple(image.shape)}: quality needs pairs of "
            "one shape. Select the same ids and one colour."
        )
    ssim, psnr = [], []
    for a, b in zip(truth.split(_BATCH), image.split(_BATCH), strict=True):
        a, b = a / 255, b / 255
        ssim.append(piq.ssim(a, b, data_range=1.0, reduction="none", downsample=False))
        psnr.append(piq.psnr(a, b, data_range=1.0, reduction="none"))
    return pd.DataFrame(
        dict(ssim=torch.cat(ssim).double().numpy(), psnr=torch.cat(psnr).double().numpy())
    )
