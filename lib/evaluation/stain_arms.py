"""The arms of stain translation: ways to find nuclei in IHC with what H&E taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from engine.progress import progress
from lib.data.tissue_set import TissueSet
from lib.evaluation import pooled
from lib.evaluation.nuclei import METRICS, RATIOS, nuclei_scores, ratio
from lib.evaluation.pooled import differences_to
from lib.evaluation.seeds import ratio_over_seeds
from lib.evaluation.stain_controls import CONTROLS
from lib.models.hovernet_training import find_nuclei, network_maps
from lib.models.nuclei_maps import nuclei_from_maps
from lib.models.readers import FittedReader
from lib.models.stain_readers import PUBLISHED, detectors_of, fit_detectors
from lib.models.stain_translators import fit_stain_translators
from lib.models.translation import translate

UNTOUCHED = "hovernet"  # the source's detector on the target's images as they are
UPPER = "target"  # the detector that was trained on the target's nuclei
ORACLE = "oracle"  # the source's detector on the same tissue in the source's stain
ENSEMBLE = "ensemble"  # its maps, averaged over all translations
ADAPTED = ("stained", "random_stains", PUBLISHED)  # or trained by others
GROUPS = ("untouched", "colour controls", "adapted detectors", "translators", "bounds")


def group_of(arm: str) -> str:
    """The one of ``GROUPS`` that an arm belongs to."""
    if arm in (ORACLE, UPPER):
        return "bounds"
    if arm == UNTOUCHED:
        return "untouched"
    if arm in ADAPTED:
        return "adapted detectors"
    return "colour controls" if arm in CONTROLS else "translators"


@dataclass(frozen=True)
class StainFits:
    """What was trained from one seed: detectors and translators by name, with their histories."""

    detectors: Mapping[str, FittedReader]
    translators: Mapping[str, tuple[nn.Module, pd.DataFrame]]


def fit(tissue: TissueSet) -> StainFits:
    """Train every detector and translator of the parameters."""
    return StainFits(fit_detectors(tissue, detectors_of(tissue)), fit_stain_translators(tissue))


def in_source_stain(tissue: TissueSet, fits: StainFits, rows: pd.DataFrame) -> dict[str, Tensor]:
    """Target fields ``rows`` as each arm hands them to the source's detector, uint8 (N, 3, S, S).

    As they are, by every colour control, by every translator and, where it can be had, the same
    tissue in the source's stain.
    """
    params = tissue.params
    stack = tissue.stack(rows)
    home = tissue.stack(tissue.rows(params.source_domain, "train", drawn=False))
    images = {UNTOUCHED: stack}
    for name, control in progress(CONTROLS.items(), label="colour controls"):
        images[name] = control(stack, rows["group"].tolist(), home)
    for name, (networks, _) in progress(fits.translators.items(), label="translations"):
        images[name] = translate(networks.to_source, stack)
    if tissue.has_truth():
        images[ORACLE] = tissue.stack(rows, params.source_domain)
    return images


def find_by_arm(
    tissue: TissueSet, fits: StainFits, images: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Every arm's nuclei, int32 (N, 1, S, S), grouped as ``GROUPS``.

    ``images`` is output of ``in_source_stain``; thresholds are frozen.
    """
    scale, own = tissue.params.um_per_px, fits.detectors[UNTOUCHED]
    found, parts = {}, []
    for name, stack in progress(images.items(), label="arms read"):
        maps = network_maps(own.network, stack)
        found[name] = _nuclei(maps, scale, own.threshold)
        if name in fits.translators:
            parts.append(maps)
    together = tuple(torch.stack(part).mean(0) for part in zip(*parts, strict=True))
    found[ENSEMBLE] = _nuclei(together, scale, own.threshold)
    for name, reader in fits.detectors.items():
        if name != UNTOUCHED:
            found[name] = find_nuclei(reader.network, images[UNTOUCHED], scale, reader.threshold)
    return {arm: found[arm] for arm in sorted(found, key=lambda a: GROUPS.index(group_of(a)))}


def _nuclei(maps: tuple[Tensor, Tensor], um_per_px: float, threshold: float) -> Tensor:
    chance, offsets = (part.numpy() for part in maps)
    return torch.from_numpy(nuclei_from_maps(chance[:, 0], offsets, um_per_px, threshold))[:, None]


def read_home(tissue: TissueSet, fits: StainFits) -> pd.DataFrame:
    """Nuclei of the source's own hold-out by every detector; columns as ``score_arms``."""
    rows = tissue.rows(tissue.params.source_domain, "holdout")
    stack, scale = tissue.stack(rows), tissue.params.um_per_px
    found = {
        name: find_nuclei(reader.network, stack, scale, reader.threshold)
        for name, reader in fits.detectors.items()
    }
    return score_arms(tissue, found, rows)


def score_arms(tissue: TissueSet, found: Mapping[str, Tensor], rows: pd.DataFrame) -> pd.DataFrame:
    """Prediction table: a row an arm and field; columns arm, seed and of ``nuclei_scores``."""
    truth, params = tissue.instances(rows), tissue.params
    parts = [
        nuclei_scores(nuclei, truth, rows, params.um_per_px).assign(arm=arm, seed=params.seed)
        for arm, nuclei in progress(found.items(), label="arms scored")
    ]
    return pd.concat(parts, ignore_index=True)


def _shares(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What a measure is a ratio of, as ``lib.evaluation.pooled`` takes it."""
    keys = scores[["arm", "id", "group", "seed"]]
    if metric not in RATIOS:  # a mean over fields
        return keys.assign(top=scores[metric], bottom=1.0)
    top, bottom = ratio(scores, metric)
    return keys.assign(top=top, bottom=bottom)


def compare_arms(scores: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Table 1: every measure of every arm, pooled over fields, with its 95 % interval.

    Sums over all fields, so that a field without nuclei is no perfect one. Intervals are over
    slides or patients and, where there are several, over trainings: ``seeds.ratio_over_seeds``.
    Columns arm, kind, metric, value, low, high, sd, test_error, n, groups, seeds.
    """
    rows = []
    for metric in metrics:
        for arm, own in _shares(scores, metric).groupby("arm", sort=False):
            found = ratio_over_seeds(own)
            if metric in RATIOS:
                found |= dict(low=max(found["low"], 0.0), high=min(found["high"], 1.0))
            rows.append(dict(arm=arm, kind=group_of(arm), metric=metric, **found))
    return pd.DataFrame(rows).drop(columns=["p"])


def compare_with(
    scores: pd.DataFrame, other: str, arms: Sequence[str] = (), metric: str = "f1"
) -> pd.DataFrame:
    """Difference of arms to ``other`` on the same fields and seeds, with Holm's correction.

    Of all arms where none are named. Columns arm, difference, low, high, p, p_holm, n, groups,
    seeds.
    """
    return differences_to(_shares(scores, metric), other, arms)


def gap_closed(scores: pd.DataFrame, arm: str, upper: str, metric: str = "f1") -> dict[str, float]:
    """Share of the way from untouched to ``upper`` that an arm goes: ``pooled.gap_closed``."""
    return pooled.gap_closed(_shares(scores, metric), arm, UNTOUCHED, upper)


def gaps_closed(scores: pd.DataFrame) -> pd.DataFrame:
    """``gap_closed`` of every arm without labels of the target, to the oracle where there is one,
    else to the target-trained detector; column arm. Without rows where there is neither."""
    known = set(scores["arm"])
    upper = next((bound for bound in (ORACLE, UPPER) if bound in known), None)
    arms = [arm for arm in scores["arm"].unique() if group_of(arm) not in ("untouched", "bounds")]
    rows = [dict(arm=arm, **gap_closed(scores, arm, upper)) for arm in arms if upper]
    return pd.DataFrame(rows, columns=["arm", "value", "low", "high", "n", "groups", "seeds"])


def best_of(table: pd.DataFrame, kind: str, metric: str = "f1") -> str:
    """The arm of a kind of ``GROUPS`` with the highest value in Table 1."""
    own = table[(table["metric"] == metric) & (table["kind"] == kind)]
    return str(own.loc[own["value"].idxmax(), "arm"])


def worth_a_look(table: pd.DataFrame) -> list[str]:
    """The untouched detector and the best arm of every other kind, in the order of ``GROUPS``."""
    kinds = [kind for kind in GROUPS if kind in set(table["kind"])]
    return [best_of(table, kind) for kind in kinds]
