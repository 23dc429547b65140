"""The arms of cell segmentation: ways to find cells in the target with what the source taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from skimage.filters import sobel, threshold_otsu
from skimage.morphology import remove_small_holes
from torch import Tensor, nn

from engine.progress import progress
from lib.data.field_set import FieldSet
from lib.evaluation import pooled
from lib.evaluation.controls import fourier_adapt, histogram_match
from lib.evaluation.overlap import METRICS, SHARES, dice, field_scores
from lib.evaluation.pooled import differences_to
from lib.evaluation.seeds import mean_over_seeds
from lib.models.cell_readers import fit_readers, readers_of
from lib.models.cell_translators import fit_translators, translators_of
from lib.models.classifier import normalised_by
from lib.models.cyclegan import Generator
from lib.models.readers import FittedReader
from lib.models.translation import translate
from lib.models.unet_training import chances

UNTOUCHED = "unet"  # the source's U-Net on the target's images as they are
UPPER = "target"  # the U-Net that was trained on the target's labels
ORACLE = "oracle"  # the source's U-Net on the same fields by the source's device
CONTROLS = ("otsu", "gradient", "half", "adabn", "histogram", "fda", "randomised")
# What no clinic has without drawing cells in images of its own, or at all.
BOUNDS = (ORACLE, UPPER)
GROUPS = (
    "untouched", "controls", "source images", "gradient reversal", "translators", "labels",
    "bounds",
)  # fmt: skip


_STARTS = {
    "labels_": "labels",
    "reversal_": "gradient reversal",
    "unet_": "source images",
    "random_optics": "source images",
}


def group_of(arm: str) -> str:
    """The one of ``GROUPS`` that an arm belongs to."""
    if arm in BOUNDS:
        return "bounds"
    if arm == UNTOUCHED:
        return "untouched"
    if arm in CONTROLS:
        return "controls"
    for start, group in _STARTS.items():
        if arm.startswith(start):
            return group
    return "translators"


def needs_no_labels(arm: str) -> bool:
    """Whether nobody has to draw cells in target images for it."""
    return group_of(arm) not in ("labels", "bounds")


def otsu_mask(image: np.ndarray) -> np.ndarray:
    """What is further from the background's grey than Otsu's threshold (Otsu 1979), bool (H, W).

    The background is the median grey: cells are brighter in one picture and darker in another.
    """
    away = np.abs(image.astype(float) - np.median(image))
    return away > threshold_otsu(away) if np.ptp(away) else np.zeros(image.shape, bool)


def gradient_mask(image: np.ndarray) -> np.ndarray:
    """Cells by their rough look, whatever their grey, as phase contrast was segmented classically.

    Sobel gradient above Otsu's threshold, closed and filled; after the empirical gradient threshold
    of Chalfoun et al. 2015, doi:10.1111/jmi.12269, whose own threshold was fitted to its images.
    """
    steep = sobel(ndimage.gaussian_filter(image.astype(float), 1.0))
    if not np.ptp(steep):
        return np.zeros(image.shape, bool)
    closed = ndimage.binary_closing(steep > threshold_otsu(steep), iterations=2)
    filled = remove_small_holes(closed, max_size=image.size // 16)
    return ndimage.binary_opening(filled, iterations=1)


@dataclass(frozen=True)
class Fits:
    """What was trained from one seed: U-Nets and generators by name, and their histories."""

    readers: Mapping[str, FittedReader]
    translators: Mapping[str, tuple[Generator, pd.DataFrame]]


def fit(fields: FieldSet) -> Fits:
    """Train every U-Net and translator of the parameters."""
    return Fits(
        fit_readers(fields, readers_of(fields)),
        fit_translators(fields, translators_of(fields.params)),
    )


def _found(network: nn.Module, stack: Tensor, threshold: float) -> Tensor:
    return chances(network, stack) >= threshold


def find_cells(fields: FieldSet, fits: Fits, rows: pd.DataFrame) -> dict[str, Tensor]:
    """Every arm's masks, bool (N, 1, S, S), of target fields ``rows``; grouped as ``GROUPS``."""
    params = fields.params
    stack = fields.stack(rows)
    home = fields.stack(fields.rows(params.source_domain, "train"))
    unlabelled = fields.stack(fields.rows(params.target_domain, "train", drawn=False))
    own = fits.readers[UNTOUCHED]
    found = {
        "otsu": _each(otsu_mask, stack),
        "gradient": _each(gradient_mask, stack),
        "half": _found(own.network, stack, 0.5),
        "adabn": _found(normalised_by(own.network, unlabelled), stack, own.threshold),
        "histogram": _found(own.network, histogram_match(stack, home), own.threshold),
        "fda": _found(own.network, fourier_adapt(stack, home, params.fda_beta), own.threshold),
    }
    for name, reader in progress(fits.readers.items(), label="U-Nets"):
        found[name] = _found(reader.network, stack, reader.threshold)
    recipes = translators_of(params)
    for name, (generator, _) in progress(fits.translators.items(), label="translations"):
        reader = fits.readers[recipes[name].reader if name in recipes else UNTOUCHED]
        found[name] = _found(reader.network, translate(generator, stack), reader.threshold)
    if fields.has_truth():
        found[ORACLE] = _found(own.network, fields.stack(rows, params.source_domain), own.threshold)
    return {arm: found[arm] for arm in sorted(found, key=lambda a: GROUPS.index(group_of(a)))}


def gaps_closed(scores: pd.DataFrame) -> pd.DataFrame:
    """``gap_closed`` of every arm for which nobody draws cells in target images; column arm.

    Without rows where no U-Net could learn from the target's labels.
    """
    arms = [arm for arm in scores["arm"].unique() if needs_no_labels(arm) and arm != UNTOUCHED]
    known = UPPER in set(scores["arm"])
    rows = [dict(arm=arm, **gap_closed(scores, arm)) for arm in arms if known]
    return pd.DataFrame(rows, columns=["arm", "value", "low", "high", "n", "groups", "seeds"])


def read_home(fields: FieldSet, fits: Fits) -> pd.DataFrame:
    """Dice of every U-Net without target labels on the source's hold-out, with its interval.

    Columns arm, threshold, value, low, high, n, groups, seeds.
    """
    rows = fields.rows(fields.params.source_domain, "holdout")
    stack, masks = fields.stack(rows), fields.masks(rows).numpy()
    arms = {name: reader for name, reader in fits.readers.items() if needs_no_labels(name)}
    parts = []
    for name, reader in progress(arms.items(), label="U-Nets at home"):
        found = _found(reader.network, stack, reader.threshold).numpy()
        values = [dice(*pair) for pair in zip(found, masks, strict=True)]
        parts.append(rows[["id", "group"]].assign(arm=name, seed=fields.params.seed, dice=values))
    table = compare_arms(pd.concat(parts, ignore_index=True), ["dice"])
    limits = [arms[name].threshold for name in table["arm"]]
    table.insert(1, "threshold", limits)
    return table.drop(columns=["kind", "metric"])


def _each(find, stack: Tensor) -> Tensor:
    masks = [find(image) for image in stack[:, 0].numpy()]
    return torch.from_numpy(np.stack(masks))[:, None]


def score_arms(
    fields: FieldSet, found: Mapping[str, Tensor], rows: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Prediction table: a row an arm and field, columns arm, seed and those of ``field_scores``."""
    instances = fields.instances(rows)
    parts = [
        field_scores(masks, instances, rows).assign(arm=arm, seed=seed)
        for arm, masks in progress(found.items(), label="arms scored")
    ]
    return pd.concat(parts, ignore_index=True)


def compare_arms(scores: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Table 1: mean over fields and seeds of every metric of every arm, with its 95 % interval.

    Fields of one frame or slide are one group, and training seeds add their own variance: see
    ``seeds.mean_over_seeds``. Limits end where the metric does. Columns arm, kind (of arms),
    metric, value, low, high, sd, test_error, n, groups, seeds.
    """
    rows = []
    for arm, table in progress(scores.groupby("arm", sort=False), label="intervals of arms"):
        for metric in metrics:
            values = table.rename(columns={metric: "value"})[["id", "group", "seed", "value"]]
            found = mean_over_seeds(values)
            if metric in SHARES:
                found |= dict(low=max(found["low"], 0.0), high=min(found["high"], 1.0))
            rows.append(dict(arm=arm, kind=group_of(arm), metric=metric, **found))
    return pd.DataFrame(rows).drop(columns=["p"])


def compare_with(scores: pd.DataFrame, other: str, metric: str = "dice") -> pd.DataFrame:
    """Difference of every arm to ``other`` on the same fields and seeds, with Holm's correction.

    Columns arm, difference, low, high, p, p_holm, n, groups, seeds.
    """
    return differences_to(_shares(scores, metric), other)


def gap_closed(scores: pd.DataFrame, arm: str, metric: str = "dice") -> dict[str, float]:
    """Share of the way from the untouched U-Net to the target-trained one that an arm goes.

    As ``pooled.gap_closed``.
    """
    return pooled.gap_closed(_shares(scores, metric), arm, UNTOUCHED, UPPER)


def _shares(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A mean over fields, as ``lib.evaluation.pooled`` takes it."""
    return scores[["arm", "id", "group", "seed"]].assign(top=scores[metric], bottom=1.0)


def worth_a_look(table: pd.DataFrame, metric: str = "dice") -> list[str]:
    """The untouched U-Net and the best arm of every other kind, in the order of ``GROUPS``."""
    own = table[table["metric"] == metric]
    best = own.loc[own.groupby("kind", sort=False)["value"].idxmax(), ["kind", "arm"]]
    kinds = best.set_index("kind")["arm"]
    return [kinds[kind] for kind in GROUPS if kind in kinds.index]


def best_without_labels(table: pd.DataFrame, metric: str = "dice") -> str:
    """The arm with the highest mean among those for which nobody draws cells in target images."""
    own = table[(table["metric"] == metric) & table["arm"].map(needs_no_labels)]
    return str(own.loc[own["value"].idxmax(), "arm"])
