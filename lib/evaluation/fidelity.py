"""How true a translated image is to its object, where the truth is known.

Inside the embryo only, where its outline is known, too: the wall of the well lies elsewhere in
every photograph, so no translation can know it, and it would be half of every number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.dataset import Dataset
from lib.data.interface import STRUCTURES
from lib.evaluation.bootstrap import LEVEL
from lib.evaluation.intervals import mean_interval, share_interval
from lib.evaluation.relevance import with_verdicts
from lib.evaluation.safety import DISTURBANCES, PRESENT, structure_kept
from lib.evaluation.seeds import mean_over_seeds
from lib.models.classifier import soften

_WINDOW, _SIGMA = 11, 1.5  # of Wang et al. 2004
_BATCH = 64
_SHARES = ("invented", "erased")  # of images: 0 or 1 for each
# Dice on the true photograph from which on a judge of a structure is heard: below, it errs more
# than it sees.
SEES = 0.5
# How a judge is shown the true photographs: also as soft and noisy as translations come out, since
# one whom that misleads would take it for a fault of the structure.
VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "as taken": lambda stack: stack,
    "blur 1 px, noise 5": lambda stack: DISTURBANCES["noise 5"](soften(stack, 1.0)),
    "blur 1.5 px, noise 5": lambda stack: DISTURBANCES["noise 5"](soften(stack, 1.5)),
}
KEYS = ["arm", "seed", "id", "group"]


def ssim_map(truth: Tensor, image: Tensor) -> Tensor:
    """Structural similarity at every place (Wang et al. 2004, eq. 13; Gaussian window).

    Parameters
    ----------
    truth, image : uint8 (N, 1, H, W), H and W at least 11

    Returns
    -------
    float64 (N, 1, H - 10, W - 10), at most 1: the windows that lie wholly in the image. Place
    (0, 0) is that of pixel (5, 5).
    """
    place = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    line = torch.exp(-(place**2) / (2 * _SIGMA**2))
    line = line / line.sum()

    def mean(values: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(values, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))

    a, b = truth.double(), image.double()
    stable = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = mean(a), mean(b)
    spread_a, spread_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    shared = mean(a * b) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + stable[0]) / (mean_a**2 + mean_b**2 + stable[0])
    return brightness * (2 * shared + stable[1]) / (spread_a + spread_b + stable[1])


def likeness(truth: Tensor, image: Tensor, inside: Tensor | None = None) -> pd.DataFrame:
    """SSIM, and mean absolute error in grey levels, of each image inside a mask or as a whole.

    Parameters
    ----------
    truth, image : uint8 (N, 1, H, W)
    inside : bool (N, 1, H, W), or None where nobody has drawn it

    Returns
    -------
    Columns inside_ssim (mean over the windows whose middle is inside), inside_error, NaN where
    nothing is; ssim and error, of the whole image, without a mask.
    """
    edge, where = _WINDOW // 2, "" if inside is None else "inside_"
    inside = torch.ones_like(truth, dtype=torch.bool) if inside is None else inside
    ssim, error = [], []
    for a, b, mask in zip(*(x.split(_BATCH) for x in (truth, image, inside)), strict=True):
        ssim.append(_mean_inside(ssim_map(a, b), mask[..., edge:-edge, edge:-edge]))
        error.append(_mean_inside((a.double() - b.double()).abs(), mask))
    return pd.DataFrame(
        {f"{where}ssim": torch.cat(ssim).numpy(), f"{where}error": torch.cat(error).numpy()}
    )


def _mean_inside(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3))


def structure_fidelity(read: Tensor, truth: Tensor, radius: np.ndarray) -> pd.DataFrame:
    """What became of one structure in each image.

    Parameters
    ----------
    read, truth : bool (N, H, W)
        The structure as read in the image and as it is.
    radius : (N,), of the embryo in pixels

    Returns
    -------
    Columns dice, erased (0 or 1; both NaN where there is none), invented (0 or 1; NaN where there
    is one), shift: between the centroids of both, in embryo radii; NaN where either is missing. A
    structure is there from ``safety.PRESENT`` on.
    """
    has, sees = (m.float().mean((1, 2)).numpy() >= PRESENT for m in (truth, read))
    both, total = (read & truth).sum((1, 2)), read.sum((1, 2)) + truth.sum((1, 2))
    dice = (2 * both.double() / total).numpy()
    apart = (_centroid(read) - _centroid(truth)).norm(dim=1).numpy() / radius
    return pd.DataFrame(
        dict(dice=np.where(has, dice, np.nan), erased=np.where(has, ~sees, np.nan),
             invented=np.where(has, np.nan, sees), shift=np.where(has & sees, apart, np.nan))
    )  # fmt: skip


def _centroid(masks: Tensor) -> Tensor:
    """Mean place (y, x) of what is inside, float64 (N, 2)."""
    height, width = masks.shape[1:]
    inside = masks.double()
    area = inside.sum((1, 2))
    y = (inside.sum(2) * torch.arange(height)).sum(1) / area
    return torch.stack([y, (inside.sum(1) * torch.arange(width)).sum(1) / area], dim=1)


def judge_sight(
    judge: Callable[[Tensor], Tensor], truth: Tensor, drawn: Tensor, names: tuple[str, ...]
) -> pd.DataFrame:
    """How well a judge of structures reads the true photographs, in each of ``VIEWS``.

    Parameters
    ----------
    judge
        Images to the masks that it reads in them.
    truth : uint8 (N, 1, H, W)
        The photographs by the source's device.
    drawn : bool (N, K, H, W)
        The structures ``names`` as they are.

    Returns
    -------
    Columns structure, view, value (Dice), low, high, n, speaks: whether the structure's Dice is
    ``SEES`` or more in every view; below, the judge's word on it is left out.
    """
    read = {view: judge(show(truth)) for view, show in VIEWS.items()}
    kept = structure_kept(read, drawn, names).rename(columns={"arm": "view"})
    order = ["structure", "view", "value", "low", "high", "n"]
    sight = kept.loc[kept["measure"] == "dice", order]
    sight = sight.sort_values("structure", kind="stable", key=lambda of: of.map(names.index))
    worst = sight.groupby("structure")["value"].transform(lambda dice: dice.min(skipna=False))
    return sight.assign(speaks=worst >= SEES).reset_index(drop=True)  # not where it is undefined


def spoken_of(sight: pd.DataFrame) -> list[str]:
    """The structures that a judge is heard on, from an output of ``judge_sight``."""
    return sight.loc[sight["speaks"], "structure"].unique().tolist()


def measure(
    dataset: Dataset, rows: pd.DataFrame, looks: Mapping[str, Tensor], seed: int,
    found: Mapping[str, Tensor] | None = None, names: Sequence[str] = (),
) -> pd.DataFrame:  # fmt: skip
    """Every measure of every image of ``rows`` in every arm.

    Parameters
    ----------
    looks
        Arm to uint8 (N, 1, H, W).
    seed
        Of the training that made the arms.
    found
        Arm to the masks of ``interface.STRUCTURES`` read in it, bool (N, K, H, W).
    names
        The structures that the judge speaks of, see ``spoken_of``.

    Returns
    -------
    ``KEYS``, the columns of ``likeness``, inside the embryo where its outline is known, and for
    every structure of ``names`` those of ``structure_fidelity`` after its name: cavity_dice,
    cavity_erased, … The arm ``oracle`` has the judge's own errors.

    Raises
    ------
    InputError
        The truth of these images is not known.
    """
    truth = dataset.truth(rows)
    outline = dataset.outline(rows) if dataset.source.has_structures else None
    if names:
        drawn = dataset.structures(rows)
        radius = (outline.double().sum((1, 2, 3)) / np.pi).sqrt().numpy()
    parts = []
    for arm, stack in looks.items():
        columns = [rows[["id", "group"]], likeness(truth, stack, outline)]
        for name in names:
            k = STRUCTURES.index(name)
            one = structure_fidelity(found[arm][:, k], drawn[:, k], radius)
            columns.append(one.add_prefix(f"{name}_"))
        parts.append(pd.concat(columns, axis=1).assign(arm=arm, seed=seed))
    table = pd.concat(parts, ignore_index=True)
    return table[[*KEYS, *(name for name in table if name not in KEYS)]]


def measures_in(each: pd.DataFrame) -> list[str]:
    """The measures of an output of ``measure``."""
    return [name for name in each if name not in KEYS]


def summarise(each: pd.DataFrame) -> pd.DataFrame:
    """The mean of every measure in every arm.

    Parameters
    ----------
    each
        Output of ``measure``, of one seed or of several below each other.

    Returns
    -------
    Columns arm, metric, value, low, high, n, seeds, and own: that of the oracle, so the judge's own
    error. Intervals: BCa over images, Wilson for shares; of several seeds as
    ``seeds.combine_seeds``.
    """
    rows = []
    for arm, table in each.groupby("arm", sort=False):
        seeds = table["seed"].nunique()
        for metric in measures_in(each):
            numbers = _mean(table.rename(columns={metric: "value"}), metric)
            rows.append(dict(arm=arm, metric=metric, **numbers, seeds=seeds))
    result = pd.DataFrame(rows)
    own = result[result["arm"] == "oracle"].set_index("metric")["value"]
    return result.assign(own=result["metric"].map(own))


def _mean(table: pd.DataFrame, metric: str) -> dict[str, float]:
    values = table["value"].to_numpy(dtype=float)
    if table["seed"].nunique() > 1:
        over = mean_over_seeds(table)
        if metric.endswith(_SHARES):
            over |= {name: float(np.clip(over[name], 0, 1)) for name in ("low", "high")}
        return {name: over[name] for name in ("value", "low", "high", "n")}
    if metric.endswith(_SHARES):
        return share_interval(float(np.nansum(values)), int(np.isfinite(values).sum()))
    return mean_interval(values)


def compare(each: pd.DataFrame, against: Mapping[str, str]) -> pd.DataFrame:
    """Arms minus the arms they are held against, paired by image and by seed.

    Returns
    -------
    Columns arm, against, metric, difference, low, high, n, seeds, verdict (``relevance.verdict``).
    Intervals: BCa over images; of several seeds as ``seeds.combine_seeds``; of shares that differ
    in no image, what n images without a difference leave open (Clopper and Pearson 1934).
    """
    tables = {arm: table.set_index(["id", "group", "seed"]) for arm, table in each.groupby("arm")}
    rows = []
    for arm, other in against.items():
        for metric in measures_in(each):
            change = (tables[arm][metric] - tables[other][metric]).rename("value").reset_index()
            seeds = change["seed"].nunique()
            if seeds > 1:
                found = mean_over_seeds(change)
            else:
                found = mean_interval(change["value"].to_numpy(dtype=float))
            kept = {name: found[name] for name in ("low", "high", "n")}
            if metric.endswith(_SHARES) and found["low"] == found["high"]:
                # No image differs; of few images that says little (as statistics.limits_at_one).
                unseen = 1 - ((1 - LEVEL) / 2) ** (1 / found["n"])
                kept |= dict(low=found["low"] - unseen, high=found["high"] + unseen)
            rows.append(
                dict(arm=arm, against=other, metric=metric, difference=found["value"], **kept,
                     seeds=seeds)
            )  # fmt: skip
    return with_verdicts(pd.DataFrame(rows))
