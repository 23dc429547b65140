"""Which measures of image quality put arms in the order in which they serve to find nuclei."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import scipy.stats

from engine.errors import InputError
from lib.evaluation.bootstrap import LEVEL, number_groups, resample
from lib.evaluation.image_quality import MEASURES, PAIRED
from lib.evaluation.nuclei import ratio

LEAST = 4  # arms; of fewer every order is too likely
_KEYS = ["arm", "seed", "id", "group"]


def rank_agreement(
    scores: pd.DataFrame, quality: pd.DataFrame, distances: pd.DataFrame,
    resamples: int = 2000, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Spearman's rank correlation over arms of every measure with the F1 of nuclei.

    1 where a measure ranks the arms as F1 does, whatever its direction; -1 in the reverse order. F1
    is pooled over fields, a paired measure is a mean over them; both are means over seeds.
    Intervals: percentiles of a bootstrap over groups, one resample for F1 and the measure alike (a
    bias-corrected one would be [1, 1] wherever the value is 1, whatever the resamples say). That of
    a distance holds its values as they are and resamples F1 alone. That only these arms were
    compared is in no interval.

    Parameters
    ----------
    scores
        Rows of ``nuclei.nuclei_scores`` with columns arm and seed.
    quality
        Columns arm, seed, id, group and those of ``image_quality.paired_quality``, of the same
        fields. Arms that are not in both tables are left out; leave the true images out, too, as
        every paired measure puts them first by definition.
    distances
        Columns arm, measure, value, as of ``image_quality.unpaired_quality``; may have no rows.

    Returns
    -------
    Columns measure, name, value, low, high, arms, n (fields), groups.

    Raises
    ------
    InputError
        Fewer than ``LEAST`` arms, one group, or other fields in the tables.
    """
    arms = [arm for arm in scores["arm"].unique() if arm in set(quality["arm"])]
    if len(arms) < LEAST:
        raise InputError(
            f"{len(arms)} arms have both images and nuclei ({', '.join(arms)}), but ranks need "
            f"{LEAST}. Add arms."
        )
    top, bottom = ratio(scores, "f1")
    nuclei = scores[_KEYS].assign(top=top, bottom=bottom)
    table, images = (t[t["arm"].isin(arms)] for t in (nuclei, quality))
    table = table.merge(images, on=_KEYS, how="outer", validate="one_to_one", indicator="side")
    alone = table.loc[table["side"] != "both", "id"]
    if len(alone):
        raise InputError(
            f"{alone.nunique()} fields, {alone.iloc[0]} the first, are in one table alone. Give "
            "nuclei and quality of the same fields."
        )
    numbers, groups = number_groups(table)
    ranked = _over_arms(table, numbers, groups, "top", "bottom", arms)
    table = table.assign(one=1.0)
    measures = {name: _over_arms(table, numbers, groups, name, "one", arms) for name in PAIRED} | {
        name: _fixed(own, arms) for name, own in distances.groupby("measure", sort=False)
    }
    signs = np.array([1 if MEASURES[name].higher_is_better else -1 for name in measures])

    def agreement(weights: np.ndarray) -> np.ndarray:
        f1 = ranked(weights)
        return signs * np.stack([spearman(of(weights), f1) for of in measures.values()], axis=1)

    drawn = [agreement(w) for w in resample(groups, len(table), resamples, seed)]
    low, high = np.nanquantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return pd.DataFrame(
        dict(measure=list(measures), name=[MEASURES[name].name for name in measures],
             value=agreement(np.ones((1, groups)))[0], low=low, high=high,
             arms=len(arms), n=table["id"].nunique(), groups=groups)
    )  # fmt: skip


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation of each row of (R, A) and (R, A), ties sharing their mean rank: (R,).

    NaN where a row has a NaN or all its values are alike.
    """
    ranks = [scipy.stats.rankdata(x, axis=1, nan_policy="propagate") for x in (a, b)]
    a, b = (x - x.mean(axis=1, keepdims=True) for x in ranks)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), scale, out=np.full(len(a), np.nan), where=scale > 0)


def _over_arms(
    table: pd.DataFrame, numbers: np.ndarray, groups: int, top: str, bottom: str, arms: list[str]
) -> Callable[[np.ndarray], np.ndarray]:
    """Group weights (R, G) to each arm's ratio of sums, mean over its seeds: (R, A)."""

    def summed(rows: np.ndarray, column: str) -> np.ndarray:
        return np.bincount(numbers[rows], table[column].to_numpy()[rows], groups)

    sums = []
    for arm in arms:
        own = table["arm"].to_numpy() == arm
        each = [own & (table["seed"].to_numpy() == key) for key in table.loc[own, "seed"].unique()]
        sums.append([(summed(rows, top), summed(rows, bottom)) for rows in each])

    def of(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):  # of a resample without nuclei
            means = [np.mean([weights @ t / (weights @ b) for t, b in arm], axis=0) for arm in sums]
        return np.stack(means, axis=1)

    return of


def _fixed(own: pd.DataFrame, arms: list[str]) -> Callable[[np.ndarray], np.ndarray]:
    """The values of a distance, whatever the weights."""
    values = own.groupby("arm")["value"].mean().loc[arms].to_numpy()
    return lambda weights: np.broadcast_to(values, (len(weights), len(values)))
