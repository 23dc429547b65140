"""What readers answered: ratings, shares and agreement, each with its 95 % interval.

Answers to one image by several readers are not independent, nor are those of one reader. Numbers
over all readers therefore resample readers and images, each by itself (the pigeonhole bootstrap,
Owen 2007, arXiv:0712.1111, which errs on the wide side); percentile limits. Numbers of one reader
speak of that reader only and resample images: BCa for a mean, Wilson for a share. Where all answers
to a share are alike, nothing spreads, and its limits are Wilson's over the images. Kappas resample
images, BCa: readers drawn twice would agree with themselves. Only the agreement within a reader
looks at second showings.

The answer table has columns reader, image, showing (1 or 2), quality (1 to 5), judged_real, called
(0 or 1), kind, real, label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa

from engine.errors import InputError
from lib.evaluation.bootstrap import LEVEL, bootstrap, resample
from lib.evaluation.intervals import mean_interval, share_interval
from lib.evaluation.statistics import limits_at_one

ALL = "all"  # readers, or kinds
QUESTIONS = ("quality", "judged_real", "called")
_CATEGORIES = 6  # answers are numbers from 0 to 5
_RESAMPLES = 2000


def estimates(answers: pd.DataFrame) -> pd.DataFrame:
    """Mean rating and share judged real of every kind; sensitivity and specificity.

    ``call`` is the label a reader gave (positive: label 1), ``detection`` the judgement real or
    translated (positive: translated).

    Returns
    -------
    Columns quantity, kind (or "all"), reader (or "all"), value, low, high, readers, images,
    resampled (what the interval resamples).

    Raises
    ------
    InputError
        Nobody has answered yet.
    """
    if answers.empty:
        raise InputError("the study has no answers yet: let a reader judge some images first.")
    first = answers[answers["showing"] == 1]
    parts = [
        _estimate(part, value, is_share).assign(quantity=quantity, kind=kind)
        for quantity, kind, part, value, is_share in _quantities(first)
        if len(part)
    ]
    table = pd.concat(parts, ignore_index=True)
    return table[["quantity", "kind", *table.columns.drop(["quantity", "kind"])]]


def _quantities(first: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame, pd.Series, bool]]:
    """Name, kind, rows, their values, and whether these are shares."""
    called, real = first["called"].astype(float), first["judged_real"].astype(float)
    kinds = list(
        dict.fromkeys(first.sort_values(["real", "kind"], ascending=[False, True])["kind"])
    )
    for kind in kinds:
        yield "rating", kind, first[first["kind"] == kind], first["quality"].astype(float), False
    for kind in kinds:
        yield "judged real", kind, first[first["kind"] == kind], real, True
    yield "detection sensitivity", ALL, first[~first["real"]], 1 - real, True
    yield "detection specificity", ALL, first[first["real"]], real, True
    for kind in (ALL, *kinds):
        own = first if kind == ALL else first[first["kind"] == kind]
        yield "call sensitivity", kind, own[own["label"] == 1], called, True
        yield "call specificity", kind, own[own["label"] == 0], 1 - called, True


def _estimate(rows: pd.DataFrame, values: pd.Series, is_share: bool) -> pd.DataFrame:
    """One row over all readers, then one for each."""
    table = rows.assign(value=values).pivot(index="reader", columns="image", values="value")
    each = [
        dict(reader=reader, readers=1, resampled="images", **_of_one(own.dropna(), is_share))
        for reader, own in table.iterrows()
    ]
    if len(table) == 1:
        return pd.DataFrame([each[0] | dict(reader=ALL), *each]).rename(columns={"n": "images"})
    value, low, high = crossed_interval(table.to_numpy())
    images = table.shape[1]
    if is_share and low == high:  # all alike: no spread to resample
        low, high = (share_interval(round(value * images), images)[end] for end in ("low", "high"))
    whole = dict(
        reader=ALL, readers=len(table), resampled="readers and images", value=value, low=low,
        high=high, n=images,
    )  # fmt: skip
    return pd.DataFrame([whole, *each]).rename(columns={"n": "images"})


def _of_one(values: pd.Series, is_share: bool) -> dict[str, float]:
    if is_share:
        return share_interval(int(values.sum()), len(values))
    return mean_interval(values.to_numpy())


def crossed_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean of ``values`` (readers, images; NaN where not answered) and its 95 % limits.

    Readers and images are resampled, each by itself (Owen 2007).
    """
    readers, images = values.shape
    answered = np.isfinite(values)
    of_readers = np.concatenate(list(resample(readers, readers, _RESAMPLES, seed)))
    of_images = np.concatenate(list(resample(images, images, _RESAMPLES, seed + 1)))
    weight = ((of_readers @ answered) * of_images).sum(axis=1)
    total = ((of_readers @ np.where(answered, values, 0.0)) * of_images).sum(axis=1)
    # No weight: the readers drawn have answered none of the images drawn.
    means = total[weight > 0] / weight[weight > 0]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(values[answered].mean()), float(low), float(high)


def agreement_between(answers: pd.DataFrame) -> pd.DataFrame:
    """Agreement of the readers with each other on the images that all of them have judged.

    Fleiss' kappa (1971) of both judgements; of the quality, whose steps are ordered, the mean over
    pairs of readers of Cohen's kappa with quadratic weights (Light 1971).

    Returns
    -------
    Columns question, statistic, value, low, high, readers, images; NaN where everybody always gave
    one answer. Empty for one reader, or without a common image.
    """
    first = answers[answers["showing"] == 1]
    rows = []
    for question in QUESTIONS:
        wide = first.pivot(index="image", columns="reader", values=question).dropna().astype(int)
        images, readers = wide.shape
        if readers < 2 or images < 2:
            continue
        weighted = question == "quality"
        kappa = _light(wide.to_numpy()) if weighted else _fleiss(wide.to_numpy())
        value, low, high = _kappa_interval(kappa, np.arange(images), wide.iloc[:, 0].to_numpy())
        name = "mean pairwise kappa, quadratic weights" if weighted else "Fleiss' kappa"
        rows.append((question, name, value, low, high, readers, images))
    names = ["question", "statistic", "value", "low", "high", "readers", "images"]
    return pd.DataFrame(rows, columns=names)


def agreement_within(answers: pd.DataFrame) -> pd.DataFrame:
    """Agreement of every reader with themselves on images shown twice: Cohen's kappa.

    With quadratic weights for the quality.

    Returns
    -------
    Columns question, reader (or "all": the pairs of all readers together), value, low, high, same
    (share of equal answers), same_low, same_high (Wilson), pairs. Empty without repeats.
    """
    columns = ["reader", "image", *QUESTIONS]
    first, again = (answers.loc[answers["showing"] == n, columns] for n in (1, 2))
    pairs = first.merge(again, on=["reader", "image"], suffixes=("", "_again"))
    parts = [(ALL, pairs), *pairs.groupby("reader")] if len(pairs) else []
    rows = []
    for question in QUESTIONS:
        for reader, own in parts:
            a, b = (own[name].to_numpy().astype(int) for name in (question, f"{question}_again"))
            kappa = _cohen(a, b, weighted=question == "quality")
            interval = _kappa_interval(kappa, pd.factorize(own["image"])[0], a)
            same = share_interval(int((a == b).sum()), len(own))
            rows.append((question, reader, *interval, same["value"], same["low"], same["high"],
                         len(own)))  # fmt: skip
    names = ["value", "low", "high", "same", "same_low", "same_high", "pairs"]
    return pd.DataFrame(rows, columns=["question", "reader", *names])


Kappa = Callable[[np.ndarray], float]  # of whole-numbered weights, one for each row


def _fleiss(ratings: np.ndarray) -> Kappa:
    counts = aggregate_raters(ratings, n_cat=_CATEGORIES)[0]
    return lambda weights: fleiss_kappa(np.repeat(counts, weights, axis=0))


def _cohen(a: np.ndarray, b: np.ndarray, weighted: bool) -> Kappa:
    cells = a * _CATEGORIES + b
    kind = "quadratic" if weighted else None

    def kappa(weights: np.ndarray) -> float:
        table = np.bincount(cells, weights, minlength=_CATEGORIES**2)
        square = table.reshape(_CATEGORIES, _CATEGORIES)
        return cohens_kappa(square, wt=kind, return_results=False)

    return kappa


def _light(ratings: np.ndarray) -> Kappa:
    pairs = [_cohen(a, b, weighted=True) for a, b in combinations(ratings.T, 2)]
    return lambda weights: float(np.mean([kappa(weights) for kappa in pairs]))


def _kappa_interval(
    kappa: Kappa, images: np.ndarray, answers: np.ndarray
) -> tuple[float, float, float]:
    """Value and BCa limits; ``images`` (N,) numbers the image of each row, ``answers`` are one
    reader's.
    """

    def of_all(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.array([kappa(row[images].astype(int)) for row in weights])

    count = images.max() + 1
    value, low, high = bootstrap(of_all, count, count, _RESAMPLES // 2, seed=0)
    if low == high == 1.0:
        low, high = limits_at_one("kappa", pd.DataFrame(dict(label=answers, group=images)))
    return value, low, high
