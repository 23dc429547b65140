"""The same arms from several training seeds and divisions, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from engine.errors import InputError
from engine.progress import progress
from lib.data.dataset import Dataset
from lib.evaluation.arms import Scene, fit_readers, predict_arms, show_arms, threshold_table
from lib.evaluation.groups import group_of
from lib.evaluation.metrics import METRICS, binary_metrics, combine_folds
from lib.evaluation.resplits import best_arm, combine_divisions, nested_choice
from lib.evaluation.seeds import combine_seeds, seed_difference, seed_gap_closed
from lib.evaluation.statistics import holm
from lib.models.fitting import fit_translators
from lib.models.recipes import Recipe


def judge_seed(
    dataset: Dataset, rows: pd.DataFrame, recipes: Mapping[str, Recipe], seed: int
) -> tuple[pd.DataFrame, dict[str, float], dict[str, Tensor]]:
    """Train classifiers and translators from another seed and judge every arm on ``rows``.

    Returns what ``arms.predict_arms`` does, and every translator's images, uint8 (N, 1, H, W).
    """
    other = dataset.with_params(seed=seed)
    readers = fit_readers(other, rows["domain"].iloc[0])
    classifiers = {name: fit.ensemble for name, fit in readers.items()}
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


def judge_divisions(
    dataset: Dataset, domain: str, recipes: Mapping[str, Recipe], count: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and judge every arm on ``count`` divisions of the images, each from its own seed.

    Division i is drawn and trained from ``seed + i``; division 0 is the run as it is.

    Returns
    -------
    predictions
        As ``arms.predict_arms`` of the hold-outs of ``domain``, with the column division.
    limits
        As ``arms.threshold_table``, with the columns division and train (images of ``domain`` that
        its hold-out leaves).

    Raises
    ------
    InputError
        As ``Dataset.divided``.
    """
    own = dataset.params.seed
    # Divided first: a division that cannot be drawn is told before hours of training.
    parts = [dataset, *(dataset.divided(own + number) for number in range(1, count))]
    predictions, limits = [], []
    for number, part in enumerate(progress(parts, label="divisions")):
        seed = own + number
        made, frozen, _ = judge_seed(part, part.rows(domain, "holdout"), recipes, seed)
        facts = dict(division=number, train=len(part.rows(domain, "train")))
        predictions.append(made.assign(division=number))
        limits.append(threshold_table(domain, frozen, seed).assign(**facts))
    return pd.concat(predictions, ignore_index=True), pd.concat(limits, ignore_index=True)


def metrics_by_division(predictions: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    """Columns arm, division, n (images of the hold-out), train and ``METRICS``.

    Every division at its own frozen threshold; parameters as ``judge_divisions`` returns them.
    """
    facts = limits.set_index(["arm", "division"])
    rows = []
    for division, part in predictions.groupby("division", sort=False):
        for arm, own in combine_folds(part).groupby("arm", sort=False):
            told = facts.loc[(arm, division)]
            metrics = binary_metrics(own["label"], own["score"], told["threshold"])
            rows.append(
                dict(arm=arm, division=division, n=len(own), train=told["train"], **metrics)
            )
    return pd.DataFrame(rows)


def _over_divisions(
    single: pd.DataFrame, values: pd.Series, least: float = -1.0
) -> dict[str, float]:
    """``resplits.combine_divisions`` between ``least`` and 1, with n and seeds.

    Sizes are those of the domain that is judged; they differ between divisions where groups do.
    """
    found = combine_divisions(values, single["n"].mean(), single["train"].mean())
    low, high = np.clip([found["low"], found["high"]], least, 1.0).tolist()
    return found | dict(low=low, high=high, n=round(single["n"].mean()), seeds=len(values))


def metrics_over_divisions(single: pd.DataFrame) -> pd.DataFrame:
    """Mean over divisions of every metric of every arm, by ``resplits.combine_divisions``.

    Parameters
    ----------
    single
        Output of ``metrics_by_division``.

    Returns
    -------
    Columns arm, metric, value, low, high (within the metric's range), sd, n (images of a hold-out,
    their mean), seeds (divisions, each with its own).
    """
    rows = []
    for arm, own in single.groupby("arm", sort=False):
        for metric in METRICS:
            least = -1.0 if metric == "kappa" else 0.0
            rows.append(dict(arm=arm, metric=metric) | _over_divisions(own, own[metric], least))
    return pd.DataFrame(rows).drop(columns="p")


def differences_over_divisions(single: pd.DataFrame, against: Mapping[str, str]) -> pd.DataFrame:
    """Arms minus the arms they are held against, paired by division.

    Parameters
    ----------
    single
        Output of ``metrics_by_division``.

    Returns
    -------
    Columns as those of ``differences_over_seeds``; seeds are divisions, and p that of the corrected
    resampled t test (``resplits.combine_divisions``).

    Raises
    ------
    InputError
        An arm lacks a division that the other has.
    """
    tables = {arm: own.set_index("division") for arm, own in single.groupby("arm", sort=False)}
    rows = []
    for arm, other in against.items():
        own, theirs = tables[arm], tables[other]
        if set(own.index) != set(theirs.index):
            raise InputError(
                f"{arm} has divisions {sorted(own.index)} and {other} {sorted(theirs.index)}: a "
                "paired difference needs the same. Judge both arms on all of them."
            )
        for metric in ("auc", "balanced_accuracy"):
            found = _over_divisions(own, own[metric] - theirs[metric])
            kept = {name: found[name] for name in ("low", "high", "sd", "n", "seeds", "p")}
            rows.append(
                dict(arm=arm, against=other, metric=metric, difference=found["value"], **kept)
            )
    table = pd.DataFrame(rows)
    return table.assign(p_holm=table.groupby("metric")["p"].transform(holm))


@dataclass(frozen=True)
class Choice:
    """The best arm that needs no target labels, and what its choice is worth.

    ``arms`` were to choose from. ``mean`` is the chosen arm's mean over the divisions that chose
    it; ``differences`` are all others minus it (``differences_over_divisions``). ``nested`` is the
    table of ``resplits.nested_choice`` and ``honest`` its mean; both means have the fields of
    ``resplits.combine_divisions``, n and seeds.
    """

    arm: str
    arms: list[str]
    mean: dict[str, float]
    differences: pd.DataFrame
    nested: pd.DataFrame
    honest: dict[str, float]


def choose_without_labels(single: pd.DataFrame, metric: str = "balanced_accuracy") -> Choice:
    """Choose an arm as ``resplits.best_arm`` does, once on all divisions and once nested.

    Parameters
    ----------
    single
        Output of ``metrics_by_division``.
    metric
        ``balanced_accuracy`` or ``auc``.

    Raises
    ------
    InputError
        One division only.
    """
    nested = nested_choice(single, metric)
    best = best_arm(single, metric)
    arms = [arm for arm in single["arm"].unique() if group_of(arm) != "bounds"]
    found = differences_over_divisions(single, {arm: best for arm in arms if arm != best})
    own = single[single["arm"] == best]
    return Choice(
        arm=best,
        arms=arms,
        mean=_over_divisions(own, own[metric], 0.0),
        differences=found[found["metric"] == metric].reset_index(drop=True),
        nested=nested,
        honest=_over_divisions(nested, nested[metric], 0.0),
    )
