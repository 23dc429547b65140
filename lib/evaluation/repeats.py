"""The same arms from several training seeds, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from torch import Tensor

from engine.progress import progress
from lib.data.dataset import Dataset
from lib.evaluation.arms import Scene, predict_arms, show_arms
from lib.evaluation.metrics import METRICS, binary_metrics
from lib.evaluation.seeds import combine_seeds, seed_difference, seed_gap_closed
from lib.evaluation.statistics import holm
from lib.models.fitting import fit_classifiers, fit_translators
from lib.models.recipes import Recipe


def judge_seed(
    dataset: Dataset, rows: pd.DataFrame, recipes: Mapping[str, Recipe], seed: int
) -> tuple[pd.DataFrame, dict[str, float], dict[str, Tensor]]:
    """Train classifiers and translators from another seed and judge every arm on ``rows``.

    Returns what ``arms.predict_arms`` does, and every translator's images, uint8 (N, 1, H, W).
    """
    other = dataset.with_params(seed=seed)
    classifiers = {name: fit.ensemble for name, fit in fit_classifiers(other).items()}
    fits = fit_translators(other, recipes, classifiers["grey"].networks[0])
    translators = {arm: networks.to_source for arm, (networks, _) in fits.items()}
    shown = show_arms(Scene(other, rows, classifiers, translators))
    looks = {arm: shown[arm][0] for arm in translators}
    return *predict_arms(shown, rows, seed), looks


def _limits_of(limits: pd.DataFrame, arm: str) -> dict[int, float]:
    own = limits[limits["arm"] == arm]
    return dict(zip(own["seed"], own["threshold"], strict=True))


def metrics_by_seed(combined: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    """Columns arm, seed and ``METRICS``, at every seed's own frozen threshold.

    Parameters
    ----------
    combined
        Output of ``metrics.combine_folds`` over all seeds.
    limits
        Columns arm, seed, threshold.
    """
    return pd.DataFrame(
        dict(arm=arm, seed=seed,
             **binary_metrics(part["label"], part["score"], _limits_of(limits, arm)[seed]))
        for (arm, seed), part in combined.groupby(["arm", "seed"], sort=False)
    )  # fmt: skip


def metrics_over_seeds(combined: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    """Every metric of every arm by ``seeds.combine_seeds``; parameters as ``metrics_by_seed``.

    Returns
    -------
    Columns arm, metric, value, low, high, sd, test_error, n, groups, seeds.
    """
    rows = [
        dict(arm=arm, metric=metric, **combine_seeds(part, _limits_of(limits, arm), metric))
        for arm, part in progress(combined.groupby("arm", sort=False), label="intervals of arms")
        for metric in METRICS
    ]
    return pd.DataFrame(rows)


def differences_over_seeds(
    combined: pd.DataFrame, limits: pd.DataFrame, against: Mapping[str, str]
) -> pd.DataFrame:
    """Arms minus the arms they are held against, paired by image and seed.

    Returns
    -------
    Columns arm, against, metric (auc, balanced_accuracy), difference, low, high, sd (between
    seeds), n, seeds, p (t test with the variances of ``seeds.combine_seeds``), p_holm (corrected
    over the rows of the metric).
    """
    tables = dict(list(combined.groupby("arm", sort=False)))
    rows = []
    for arm, other in progress(against.items(), label="differences"):
        cuts = _limits_of(limits, other), _limits_of(limits, arm)
        for metric in ("auc", "balanced_accuracy"):
            found = seed_difference(tables[other], tables[arm], metric, *cuts)
            kept = {name: found[name] for name in ("low", "high", "sd", "n", "seeds", "p")}
            rows.append(
                dict(arm=arm, against=other, metric=metric, difference=found["value"], **kept)
            )
    table = pd.DataFrame(rows)
    return table.assign(p_holm=table.groupby("metric")["p"].transform(holm))


def gaps_over_seeds(combined: pd.DataFrame) -> pd.DataFrame:
    """Share of the AUC gap from raw to oracle that each arm closes; columns arm, value, low, …"""
    tables = dict(list(combined.groupby("arm", sort=False)))
    rows = [
        dict(arm=arm, **seed_gap_closed(tables["raw"], table, tables["oracle"]))
        for arm, table in progress(tables.items(), label="intervals of arms")
        if arm not in ("raw", "oracle")
    ]
    return pd.DataFrame(rows).drop(columns="p")
