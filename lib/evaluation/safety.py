"""What a translation may do to the structure that is diagnosed: measured, each with its control."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from engine.progress import progress
from lib.evaluation.intervals import mean_interval, share_interval
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import CycleGAN, Generator
from lib.models.translation import translate

# A structure counts as there where it covers this share of the crop: a disc of a seventh of the
# embryo's diameter, the smallest cavity that is graded.
PRESENT = 0.012
# Shares of positives that the stressed translators are trained with.
PRIORS = (0.0, 0.25, 0.5, 0.75, 1.0)


def label_flips(called: Mapping[str, np.ndarray], label: np.ndarray) -> pd.DataFrame:
    """How often the judge's call on an arm differs from its call on the untouched image.

    Parameters
    ----------
    called
        Arm to the judge's calls (N,) of 0 and 1; ``grey`` is the untouched image.

    Returns
    -------
    Columns arm, label (true class), flips, value (share), low, high (95 % Wilson), n, and
    ``to_positive``: how many flips called a positive.
    """
    rows = []
    for arm, calls in called.items():
        if arm == "grey":
            continue
        flipped = calls != called["grey"]
        for value in (0, 1):
            own = label == value
            count = int((flipped & own).sum())
            rows.append(
                dict(arm=arm, label=value, flips=count, **share_interval(count, int(own.sum())),
                     to_positive=int((flipped & own & (calls == 1)).sum()))
            )  # fmt: skip
    return pd.DataFrame(rows)


def prior_stress(
    translators: Mapping[float, Generator], judge: FoldEnsemble, stack: Tensor, label: np.ndarray
) -> pd.DataFrame:
    """``label_flips`` of translators that were trained on other shares of positives.

    Parameters
    ----------
    translators
        Share of positives among the target images that it saw, to the translator.
    stack : uint8 (N, 1, H, W), the untouched images, read by one model of ``judge``

    Returns
    -------
    Columns of ``label_flips``, with arm ``mix``, and share.
    """

    def called(images: Tensor) -> np.ndarray:
        return judge.fold_scores(images)[0] >= judge.threshold

    untouched, parts = called(stack), []
    for share, generator in translators.items():
        calls = {"grey": untouched, "mix": called(translate(generator, stack))}
        parts.append(label_flips(calls, label).assign(share=share))
    return pd.concat(parts, ignore_index=True)


def structure_kept(
    found: Mapping[str, Tensor], truth: Tensor, names: tuple[str, ...]
) -> pd.DataFrame:
    """Dice of every structure against the truth, and how often one was invented or erased.

    Parameters
    ----------
    found
        Arm to the masks read from it, bool (N, K, H, W).
    truth : bool (N, K, H, W)
    names
        The K structures.

    Returns
    -------
    Columns arm, structure, measure (dice, invented, erased), value, low, high, n. Dice is over
    images that have the structure; ``invented`` is a share of those without it, ``erased`` of those
    with it. Intervals: BCa over images, Wilson for shares.
    """
    rows = []
    there = truth.float().mean((2, 3)).numpy() >= PRESENT
    for arm, masks in found.items():
        seen = masks.float().mean((2, 3)).numpy() >= PRESENT
        both = (masks & truth).float().sum((2, 3))
        dice = (2 * both / (masks.float().sum((2, 3)) + truth.float().sum((2, 3)))).numpy()
        for k, name in enumerate(names):
            has, sees = there[:, k], seen[:, k]
            measures = dict(
                dice=mean_interval(dice[has, k]),
                invented=share_interval(int((sees & ~has).sum()), int((~has).sum())),
                erased=share_interval(int((has & ~sees).sum()), int(has.sum())),
            )
            rows += [
                dict(arm=arm, structure=name, measure=measure, **numbers)
                for measure, numbers in measures.items()
            ]
    return pd.DataFrame(rows)


def _jpeg(stack: Tensor, quality: int) -> Tensor:
    images = []
    for image in stack[:, 0].numpy():
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=quality)
        images.append(torch.from_numpy(np.array(Image.open(stream))))
    return torch.stack(images)[:, None]


def _noise(stack: Tensor, sigma: float) -> Tensor:
    noise = torch.randn(stack.shape, generator=torch.Generator().manual_seed(0)) * sigma
    return (stack.float() + noise).round().clamp(0, 255).to(torch.uint8)


DISTURBANCES: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda stack: stack,
    "noise 2": lambda stack: _noise(stack, 2.0),
    "noise 5": lambda stack: _noise(stack, 5.0),
    "noise 10": lambda stack: _noise(stack, 10.0),
    "JPEG 95": lambda stack: _jpeg(stack, 95),
    "JPEG 75": lambda stack: _jpeg(stack, 75),
    "JPEG 50": lambda stack: _jpeg(stack, 50),
}


def hidden_information(networks: CycleGAN, stack: Tensor) -> pd.DataFrame:
    """Error of the round trip after a disturbance of the translated image that no eye minds.

    A generator can hide what the way back needs in faint patterns (Chu et al. 2017,
    arXiv:1712.02950). Then the round trip breaks when they are wiped out, long before the image
    looks different.

    Returns
    -------
    Columns disturbance, value (mean absolute error against the original, grey levels), low, high
    (BCa over images), n.
    """
    translated = translate(networks.to_source, stack)
    rows = []
    for name, disturb in progress(DISTURBANCES.items(), label="disturbances"):
        back = translate(networks.to_target, disturb(translated))
        error = (back.float() - stack.float()).abs().mean((1, 2, 3)).double().numpy()
        rows.append(dict(disturbance=name, **mean_interval(error)))
    return pd.DataFrame(rows)


def risk_coverage(
    wrong: np.ndarray, doubts: Mapping[str, np.ndarray], resamples: int = 500
) -> pd.DataFrame:
    """Share of wrong calls among the images that are kept, least doubtful first.

    Parameters
    ----------
    wrong : (N,) bool, calls at the frozen threshold
    doubts
        Name to scores (N,), the greater the more doubtful.

    Returns
    -------
    Columns doubt, coverage, risk, low, high (95 % bootstrap over images). ``at random`` keeps
    images by chance: its risk is the same at every coverage.
    """
    grid = np.linspace(0.1, 1.0, 19)
    rng = np.random.default_rng(0)
    n = len(wrong)
    rows = []
    for name, doubt in doubts.items():
        curves = []
        for draw in [np.arange(n), *(rng.integers(0, n, n) for _ in range(resamples))]:
            ordered = wrong[draw][np.argsort(doubt[draw], kind="stable")]
            risk = np.cumsum(ordered) / np.arange(1, n + 1)
            curves.append(risk[np.maximum(1, np.round(grid * n).astype(int)) - 1])
        low, high = np.quantile(curves[1:], [0.025, 0.975], axis=0)
        rows.append(
            pd.DataFrame(dict(doubt=name, coverage=grid, risk=curves[0], low=low, high=high))
        )
    flat = float(wrong.mean())
    limits = share_interval(int(wrong.sum()), n)
    rows.append(
        pd.DataFrame(
            dict(doubt="at random", coverage=grid, risk=flat, low=limits["low"],
                 high=limits["high"])
        )
    )  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def nearest_known(stack: Tensor, known: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute difference (N,) in grey levels to the nearest of ``known``, and which it is."""
    flat = known.flatten(1).float()
    best, place = [], []
    for part in stack.flatten(1).float().split(64):
        distance = torch.cdist(part, flat, p=1) / flat.shape[1]
        value, index = distance.min(dim=1)
        best.append(value)
        place.append(index)
    return torch.cat(best).double().numpy(), torch.cat(place).numpy()


def memorisation(shown: Mapping[str, Tensor], unseen: Tensor, known: Tensor) -> pd.DataFrame:
    """Whether translated images copy images that the translator was trained on.

    Parameters
    ----------
    shown
        Arm to uint8 images (N, 1, H, W).
    unseen, known
        Source images that no training saw, and the training images.

    Returns
    -------
    Columns arm, value (mean distance to the nearest training image, grey levels), low, high, n,
    and ``copies``: share nearer than all but 1 % of the unseen real images are.
    """
    usual, _ = nearest_known(unseen, known)
    limit = np.quantile(usual, 0.01)
    distances = {"unseen source images": usual}
    distances |= {arm: nearest_known(stack, known)[0] for arm, stack in shown.items()}
    return pd.DataFrame(
        [
            dict(arm=arm, **mean_interval(nearest), copies=float((nearest < limit).mean()))
            for arm, nearest in distances.items()
        ]
    )


def fates(read: Tensor, control: Tensor, truth: Tensor) -> pd.DataFrame:
    """What became of a structure in each translated image.

    Only images in whose true photograph the segmenting network is right about the structure: where
    it fails on the good device's own photograph, its reading of a translation says nothing.

    Parameters
    ----------
    read, control, truth : bool (N, H, W)
        The structure as read in the translation and in the true photograph, and as it is.

    Returns
    -------
    Columns place (0 to N - 1), verdict (``invented``, ``erased``, or ``kept``, also where
    there is none and none is read), read, true (shares of the image). A structure is there from
    ``lib.evaluation.safety.PRESENT`` on.
    """
    shares = {"read": read, "control": control, "true": truth}
    table = pd.DataFrame({name: m.float().mean((1, 2)).double() for name, m in shares.items()})
    there = table >= PRESENT
    table["verdict"] = "kept"
    table.loc[there["read"] & ~there["true"], "verdict"] = "invented"
    table.loc[~there["read"] & there["true"], "verdict"] = "erased"
    sure = there["control"] == there["true"]
    return table[sure].rename_axis("place").reset_index()[["place", "verdict", "read", "true"]]


def first_of_each(table: pd.DataFrame, count: int, skip: int = 0) -> pd.DataFrame:
    """Up to ``count`` images of every verdict after the first ``skip``, in the order of images."""
    turn = table.groupby("verdict").cumcount()
    return table[(turn >= skip) & (turn < skip + count)].reset_index(drop=True)
