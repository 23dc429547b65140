"""How good translated images are, by measures that look at images alone.

Paired measures hold each image against the true one (piq 0.8.0). Unpaired ones hold a set of images
against real ones of other sections: Frechet and kernel distance of features. On ImageNet features
of EfficientNet-Lite0 they are called so; FID and KID are the same distances on those of one
Inception network, and nothing else is called by their names.

A distance of few images lies above that of many (of equal sets, far above 0), so it says nothing
without its floor: the distance of two halves of the real images. Every arm is measured on as many
slides as the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import piq
import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import InputError
from engine.progress import progress
from lib.evaluation.bootstrap import LEVEL
from lib.evaluation.stain_density import check_colour
from lib.models.classifier import to_unit
from lib.models.imagenet import imagenet_network

FLOOR = "floor"  # two halves of the real images
# Side at which EfficientNet-Lite0 sees images, px: half of its own tells arms of 64 px apart as
# well, at a quarter of the time.
_SIDE = 128
_BATCH = 32
_INCEPTION = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # SHA-256


@dataclass(frozen=True)
class Measure:
    """A measure of image quality.

    name : as figures print it
    higher_is_better : direction
    best : of an image that is the true one, and of sets of one distribution (expected)
    unit : "" where it has none
    source : who defined it
    """

    name: str
    higher_is_better: bool
    best: float
    unit: str
    source: str


MEASURES: dict[str, Measure] = {
    # piq adds 1e-8 to the mean squared error of colours in [0, 1]: no image has more than 80 dB.
    "psnr": Measure("PSNR", True, 80.0, "dB", "10 log10 of squared range over squared error"),
    "ssim": Measure("SSIM", True, 1.0, "", "Wang et al. 2004, doi:10.1109/TIP.2003.819861"),
    "ms_gmsd": Measure("MS-GMSD", False, 0.0, "", "Zhang, Sander & Bermak 2017, ICASSP"),
    "mdsi": Measure("MDSI", False, 0.0, "", "Nafchi et al. 2016, arXiv:1608.07433"),
    "haarpsi": Measure("HaarPSI", True, 1.0, "", "Reisenhofer et al. 2018, arXiv:1607.06140"),
    "frechet_lite0": Measure(
        "Frechet, Lite0", False, 0.0, "", "Heusel et al. 2017, arXiv:1706.08500, equation 6"
    ),
    "kernel_lite0": Measure(
        "kernel, Lite0", False, 0.0, "", "Binkowski et al. 2018, arXiv:1801.01401, equation 4"
    ),
    "fid": Measure("FID", False, 0.0, "", "Heusel et al. 2017, arXiv:1706.08500"),
    "kid": Measure("KID", False, 0.0, "", "Binkowski et al. 2018, arXiv:1801.01401"),
}


def _haarpsi(image: Tensor, truth: Tensor) -> Tensor:
    found = piq.haarpsi(image, truth, reduction="none")
    return torch.where(found.isinf(), 1.0, found)  # infinite, of two black images


PAIRED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "psnr": lambda image, truth: piq.psnr(image, truth, reduction="none"),
    # Not halved from 384 px on, as piq does unasked: the same picture had another SSIM then.
    "ssim": lambda image, truth: piq.ssim(image, truth, reduction="none", downsample=False),
    "ms_gmsd": lambda image, truth: piq.multi_scale_gmsd(image, truth, reduction="none"),
    "mdsi": lambda image, truth: piq.mdsi(image, truth, reduction="none"),
    "haarpsi": _haarpsi,
}
# px; below, piq has no window or scale for SSIM (11), HaarPSI (16) or MS-GMSD (17).
SMALLEST = 17


def paired_quality(images: Tensor, truth: Tensor) -> pd.DataFrame:
    """Every paired measure of every image against the true one.

    MS-GMSD sees luma alone, and both it and HaarPSI see edges without their sign: a photographic
    negative is near to its original. MDSI halves pictures of 384 px and more, as published; compare
    it within one size.

    Parameters
    ----------
    images, truth : uint8 (N, 3, H, W), ``SMALLEST`` px or more

    Returns
    -------
    Columns ``PAIRED``, a row an image.

    Raises
    ------
    InputError
        No colour images, other numbers or sizes, or too small ones.
    """
    check_colour(images, "images")
    check_colour(truth, "truth")
    if images.shape != truth.shape:
        raise InputError(
            f"{tuple(images.shape)} images against {tuple(truth.shape)} true ones. Give every "
            "image its truth at its size."
        )
    if min(images.shape[2:]) < SMALLEST:
        raise InputError(
            f"images of {images.shape[2]}x{images.shape[3]} px: MS-GMSD needs {SMALLEST}. Set a "
            "larger image size."
        )
    parts = {name: [] for name in PAIRED}
    for a, b in zip(images.split(_BATCH), truth.split(_BATCH), strict=True):
        for name, measure in PAIRED.items():
            parts[name].append(measure(a / 255, b / 255).double())
    return pd.DataFrame({name: torch.cat(part).numpy() for name, part in parts.items()})


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of two normal distributions fitted to features (N, D), (M, D).

    Heusel et al. 2017, equation 6. The trace of the root of both covariances' product is the sum of
    the singular values of the centred features' product, (N, M): exact, and quick for few images.
    """
    centred_a, centred_b = (x - x.mean(axis=0) for x in (a, b))
    free_a, free_b = len(a) - 1, len(b) - 1
    shared = np.linalg.svd(centred_a @ centred_b.T, compute_uv=False).sum()
    spread = (centred_a**2).sum() / free_a + (centred_b**2).sum() / free_b
    apart = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    return float(apart + spread - 2 * shared / np.sqrt(free_a * free_b))


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of features (N, D), (M, D), cubic kernel.

    Binkowski et al. 2018, equation 4, kernel (x y / D + 1)^3. Below 0 by chance where both sets are
    of one distribution.
    """

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        values = kernel(x, x)
        return (values.sum() - np.trace(values)) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())


def lite0_features(stack: Tensor) -> np.ndarray:
    """What EfficientNet-Lite0 makes of images before its last layer, float64 (N, 1280)."""
    check_colour(stack, "images")
    network = imagenet_network(3).eval()
    parts = []
    with torch.inference_mode():
        for part in stack.split(_BATCH):
            seen = F.interpolate(to_unit(part), size=_SIDE, mode="bicubic", antialias=True)
            seen = network.forward_features(seen.clamp(-1, 1))
            parts.append(network.forward_head(seen, pre_logits=True))
    return torch.cat(parts).double().numpy()


def inception_features(stack: Tensor, weights: Path) -> np.ndarray:
    """What FID and KID are defined on: last features of one Inception network, float64 (N, 2048).

    torch-fidelity's network, which resizes as the original did.

    Parameters
    ----------
    weights
        weights-inception-2015-12-05-6726825d.pth, which no package holds.

    Raises
    ------
    InputError
        No such file, another one, or torch-fidelity is not installed.
    """
    check_colour(stack, "images")
    name = f"weights-inception-2015-12-05-{_INCEPTION[:8]}.pth"
    if not weights.is_file():
        raise InputError(
            f"{weights}: no file, and FID and KID are of one network. Save {name} of "
            "torch-fidelity's release v0.2.0 there, or leave FID and KID out."
        )
    if sha256(weights.read_bytes()).hexdigest() != _INCEPTION:
        raise InputError(
            f"{weights}: not the weights that FID and KID are defined on (SHA-256). Save {name} of "
            "torch-fidelity's release v0.2.0 there."
        )
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ModuleNotFoundError as error:
        raise InputError(
            "FID and KID need torch-fidelity. Install it with: python -m pip install --no-deps "
            "torch-fidelity==0.4.0"
        ) from error
    # It unpickles its file, which is safe for one of a known hash only.
    network = FeatureExtractorInceptionV3(
        "inception", ["2048"], feature_extractor_weights_path=str(weights)
    )
    with torch.inference_mode():
        parts = [network(part)[0] for part in stack.split(_BATCH)]
    return torch.cat(parts).double().numpy()


_DISTANCES = (frechet_distance, kernel_distance)
_NAMES = {"lite0": ("frechet_lite0", "kernel_lite0"), "inception": ("fid", "kid")}


def unpaired_quality(
    real: Tensor, real_groups: Sequence, arms: Mapping[str, Tensor], groups: Sequence,
    inception: Path | None = None, halvings: int = 100, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Distance of every arm's images to real ones, with its 95 % interval and the floor.

    Each time, half of the slides of either side are drawn and held against each other, and the two
    halves of the real ones for the floor. Halves are drawn without replacement: a slide that is in
    a sample twice would make it narrower, and its distance larger, than it is. The mean is the
    value, of as many slides for the arms as for the floor; the spread over halves is the standard
    error of a number from all slides (delete-d jackknife, Shao & Wu 1989, with d half of them).

    Parameters
    ----------
    real : uint8 (M, 3, H, W), of slides ``real_groups`` (M,) that no arm was trained on
    arms : arm to uint8 (N, 3, H, W), of slides ``groups`` (N,)
    inception
        Weights for FID and KID, see ``inception_features``; None leaves both out.

    Returns
    -------
    Columns arm (the first is ``FLOOR``), measure, value, low, high, n (images of the arm), groups.

    Raises
    ------
    InputError
        Fewer than four slides on a side, or see ``inception_features``.
    """
    own, home = pd.factorize(np.asarray(groups))[0], pd.factorize(np.asarray(real_groups))[0]
    half = (1 + min(own.max(), home.max())) // 2
    if half < 2:
        raise InputError(
            f"{1 + home.max()} real slides, {1 + own.max()} of the arms: halves of both need four. "
            "Add images of further slides."
        )
    extractors = {"lite0": lite0_features}
    if inception is not None:
        extractors["inception"] = lambda stack: inception_features(stack, inception)
    rows = []
    for kind, extract in extractors.items():
        truth = extract(real)
        features = {arm: extract(x) for arm, x in progress(arms.items(), label="arms seen")}
        rng = np.random.default_rng(seed)
        drawn = {arm: [] for arm in (FLOOR, *arms)}
        for _ in range(halvings):
            order, others = rng.permutation(1 + home.max()), rng.permutation(1 + own.max())
            one = truth[np.isin(home, order[:half])]
            two = truth[np.isin(home, order[half : 2 * half])]
            taken = np.isin(own, others[:half])
            for arm in drawn:
                other = two if arm == FLOOR else features[arm][taken]
                drawn[arm].append([distance(one, other) for distance in _DISTANCES])
        for arm, values in drawn.items():
            side = home if arm == FLOOR else own
            for measure, column in zip(_NAMES[kind], np.transpose(values), strict=True):
                reach = scipy.stats.norm.ppf((1 + LEVEL) / 2) * column.std()
                rows.append(
                    dict(arm=arm, measure=measure, value=column.mean(),
                         low=column.mean() - reach, high=column.mean() + reach,
                         n=len(side), groups=1 + side.max())
                )  # fmt: skip
    return pd.DataFrame(rows)
