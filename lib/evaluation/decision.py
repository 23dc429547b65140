"""What the calls at the frozen threshold are worth to a clinic that decides by them.

An image is called positive, called negative or, where there is a gate, stopped. Sensitivity and
specificity are shares of the called images of one class. The positive and the negative predictive
value (PPV, NPV) are shares of the images with one call; they follow by Bayes' theorem from how each
class is called and from the clinic's prevalence, its share of label 1 (Altman & Bland 1994, BMJ
309:102). A gate that stops more of one class changes the prevalence among those it lets pass, so
they are computed from shares of all images of a class, the stopped ones included.

Intervals are 95 %; the prevalence counts as known.

- Sensitivity and specificity: Wilson.
- PPV and NPV: at a given prevalence each follows from the ratio of two independent shares, and the
  limits of the ratio from the Wilson limits of both (Donner & Zou 2012; recommended for ratios by
  Fagerland, Lydersen & Laake 2015, Statistical Methods in Medical Research 24:224). The logit
  interval of Mercaldo, Lau & Zhou 2007 (Statistics in Medicine 26:2170) is nearly the same where
  every call occurs, and has no width or no end where one does not.
- Groups: counts are first divided by the design effect (Rao & Scott 1992, Biometrics 48:577), which
  is 1 where every image is its own group. That both classes of one group tend to be called alike is
  left out; it would make the intervals of PPV and NPV narrower.

The bootstrap of ``lib.evaluation.bootstrap`` needs every image and has no spread where nothing was
missed. These intervals need eight numbers, so they travel with a translator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from engine.errors import InputError
from lib.evaluation.intervals import share_interval

MEASURES = ("sensitivity", "specificity", "ppv", "npv")
CALLS = ("positive", "negative", "stopped")
IMAGES = ("all", "passed")  # without and with the gate


@dataclass(frozen=True)
class CallCounts:
    """How the images of a hold-out were called.

    Attributes
    ----------
    tp, fn : images of label 1, called positive and negative
    tn, fp : images of label 0, called negative and positive
    stopped_positive, stopped_negative : images of label 1 and 0 that the gate stopped
    effect_positive, effect_negative : design effect of either class, at least 1
    """

    tp: int
    fn: int
    tn: int
    fp: int
    stopped_positive: int = 0
    stopped_negative: int = 0
    effect_positive: float = 1.0
    effect_negative: float = 1.0

    @property
    def prevalence(self) -> float:
        """Share of label 1 among all images, the stopped ones included."""
        return sum(self.of(1)) / sum(self.of(1) + self.of(0))

    def prior(self, prevalence: float | None) -> float:
        """A prevalence that `check_prevalence` lets pass; None takes that of the hold-out."""
        check_prevalence(prevalence)
        return self.prevalence if prevalence is None else prevalence

    def of(self, label: int) -> tuple[int, int, int]:
        """Images of a class by call, in the order of ``CALLS``."""
        if label:
            return self.tp, self.fn, self.stopped_positive
        return self.fp, self.tn, self.stopped_negative

    def effective(self, label: int) -> np.ndarray:
        """As ``of``, in independent images: divided by the design effect; float (3,)."""
        return np.array(self.of(label)) / (self.effect_positive if label else self.effect_negative)


def check_prevalence(prevalence: float | None) -> None:
    """Refuse a prevalence at which nothing is to be decided; None stands for the hold-out's.

    Raises
    ------
    InputError
        Not between 0 and 1.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise InputError(
            f"prevalence {prevalence}: not between 0 and 1. Give the share of positives among the "
            "images of your clinic, as 0.4 for 40 of 100."
        )


def count_calls(
    predictions: pd.DataFrame, threshold: float, passes: np.ndarray | None = None
) -> CallCounts:
    """Count the calls of one arm.

    Parameters
    ----------
    predictions
        One row an image: columns score, label, group.
    threshold : float
        Called positive from here on.
    passes : (N,) bool
        Whether the gate lets the image pass; None lets all.
    """
    call = np.where(predictions["score"] >= threshold, 0, 1)
    call = call if passes is None else np.where(passes, call, 2)
    positive = predictions["label"].to_numpy() == 1
    counts = [np.bincount(call[own], minlength=3).tolist() for own in (positive, ~positive)]
    group = predictions["group"].to_numpy()
    effects = [
        max((design_effect(call[own] == each, group[own]) for each in set(call[own])), default=1.0)
        for own in (positive, ~positive)
    ]
    (tp, fn, stopped_positive), (fp, tn, stopped_negative) = counts
    return CallCounts(tp, fn, tn, fp, stopped_positive, stopped_negative, *effects)


def design_effect(hit: np.ndarray, group: np.ndarray) -> float:
    """Variance of a share over groups, as a multiple of that over independent images; at least 1.

    Ratio estimator (Rao & Scott 1992). Where all images are alike, or of one group, nothing is
    known of how groups differ, and every group counts as one image.

    Parameters
    ----------
    hit : (N,) bool
    group : (N,) what group each image is of
    """
    number, names = pd.factorize(group)
    n, groups = len(hit), len(names)
    if groups == n:
        return 1.0
    share = hit.mean()
    if groups == 1 or share in (0, 1):
        return n / groups
    rest = np.bincount(number, weights=hit) - share * np.bincount(number)
    clustered = groups / (groups - 1) * np.sum(rest**2) / n**2
    return float(max(1.0, clustered / (share * (1 - share) / (n - 1))))


def count_arms(
    combined: pd.DataFrame, frozen: Mapping[str, float], gates: Mapping[str, np.ndarray]
) -> dict[str, dict[str, CallCounts]]:
    """Arm to its counts without gate (``all``) and, where it has one, behind it (``passed``).

    Parameters
    ----------
    combined
        Output of ``lib.evaluation.metrics.combine_folds``.
    frozen
        Arm to the threshold that source validation chose.
    gates
        Arm to whether its gate lets each image pass (N,), in the order of ``combined``.
    """
    found = {}
    for arm, table in combined.groupby("arm", sort=False):
        found[arm] = {"all": count_calls(table, frozen[arm])}
        if arm in gates:
            found[arm]["passed"] = count_calls(table, frozen[arm], gates[arm])
    return found


def decision_values(counts: CallCounts, prevalence: float | None = None) -> pd.DataFrame:
    """Sensitivity, specificity, PPV and NPV with 95 % intervals.

    Parameters
    ----------
    prevalence : float
        Share of label 1 where it is to be decided; None takes that of the hold-out.

    Returns
    -------
    Columns metric, value, low, high, n (images it stands on), prevalence; one row for each of
    ``MEASURES``. A number without images is NaN: sensitivity without label 1 among the called,
    PPV without either class or without a positive call.

    Raises
    ------
    InputError
        A prevalence that is not between 0 and 1.
    """
    prior = counts.prior(prevalence)
    called = counts.tp + counts.fn + counts.tn + counts.fp
    rows = {
        "sensitivity": _share(counts.tp, counts.tp + counts.fn, counts.effect_positive),
        "specificity": _share(counts.tn, counts.tn + counts.fp, counts.effect_negative),
        "ppv": dict(_predictive(counts, prior, 1), n=called),
        "npv": dict(_predictive(counts, prior, 0), n=called),
    }
    return pd.DataFrame(
        [dict(metric=metric, **row, prevalence=prior) for metric, row in rows.items()]
    )


def _share(count: int, n: int, effect: float) -> dict[str, float]:
    return dict(share_interval(count / effect, n / effect), n=n)


def _predictive(counts: CallCounts, prior: float, label: int) -> dict[str, float]:
    """Of the images called ``label``, the share that are it."""
    call = 0 if label else 1
    cells = [counts.effective(each) for each in (label, 1 - label)]
    right, wrong = (share_interval(own[call], own.sum()) for own in cells)
    if not (right["n"] and wrong["n"] and right["value"] + wrong["value"]):
        return dict(value=np.nan, low=np.nan, high=np.nan)
    odds = logit(prior if label else 1 - prior)
    with np.errstate(divide="ignore"):
        value = expit(odds + np.log(right["value"]) - np.log(wrong["value"]))
        low, high = expit(odds + np.log(_ratio_limits(right, wrong)))
    return dict(value=float(value), low=float(low), high=float(high))


def _ratio_limits(one: Mapping[str, float], other: Mapping[str, float]) -> tuple[float, float]:
    """Limits of ``one / other`` from the limits of either (Donner & Zou 2012, MOVER-R)."""
    p, q = one["value"], other["value"]
    low, high = 0.0, np.inf
    if p > 0:
        below, beyond = one["low"] * (2 * p - one["low"]), other["high"] * (2 * q - other["high"])
        low = below / (p * q + np.sqrt((p * q) ** 2 - below * beyond))
    if q > 0:
        above, within = one["high"] * (2 * p - one["high"]), other["low"] * (2 * q - other["low"])
        high = (p * q + np.sqrt((p * q) ** 2 - above * within)) / within
    return low, high


def decision_table(
    counts: Mapping[str, Mapping[str, CallCounts]], prevalence: float | None = None
) -> pd.DataFrame:
    """``decision_values`` of every arm of ``count_arms``; columns images (``IMAGES``), arm, …"""
    parts = [
        decision_values(own[images], prevalence).assign(images=images, arm=arm)
        for images in IMAGES
        for arm, own in counts.items()
        if images in own
    ]
    order = ["images", "arm", "metric", "value", "low", "high", "n", "prevalence"]
    return pd.concat(parts, ignore_index=True)[order]


def by_prevalence(counts: Mapping[str, Mapping[str, CallCounts]]) -> pd.DataFrame:
    """PPV and NPV of every arm, without gate, over prevalences from 0.01 to 0.99.

    Columns arm, metric, prevalence, value, low, high.
    """
    parts = [
        decision_values(own["all"], float(prior)).assign(arm=arm)
        for arm, own in counts.items()
        for prior in np.linspace(0.01, 0.99, 50)
    ]
    table = pd.concat(parts, ignore_index=True).query("metric in ('ppv', 'npv')")
    return table[["arm", "metric", "prevalence", "value", "low", "high"]].reset_index(drop=True)


def misses(
    predictions: pd.DataFrame, threshold: float, gate: np.ndarray, passes: np.ndarray
) -> pd.DataFrame:
    """The images that one arm calls wrongly, those it is surest of first.

    Parameters
    ----------
    predictions
        One row an image: columns id, score, label.
    gate, passes : (N,)
        The gate's score of every image, and whether it lets it pass.

    Returns
    -------
    Columns place (row of ``predictions``), id, kind (false negative, false positive), label,
    score, gate, passes. First the false negatives, each kind by its distance from the threshold.
    """
    table = predictions[["id", "label", "score"]].reset_index(drop=True)
    table = table.assign(gate=gate, passes=passes).rename_axis("place").reset_index()
    wrong = table[(table["score"] >= threshold) != table["label"]]
    wrong = wrong.assign(kind=np.where(wrong["label"] == 1, "false negative", "false positive"))
    far = (wrong["score"] - threshold).abs()
    order = ["place", "id", "kind", "label", "score", "gate", "passes"]
    ranked = wrong.assign(far=-far).sort_values(["kind", "far"], kind="stable")
    return ranked[order].reset_index(drop=True)


def as_facts(counts: Mapping[str, CallCounts], prevalence: float | None) -> dict[str, Any]:
    """An arm's counts and the clinic's prevalence, as JSON values for the facts of a bundle."""
    return dict(prevalence=prevalence, **{images: asdict(own) for images, own in counts.items()})


def from_facts(facts: Mapping[str, Any]) -> tuple[dict[str, CallCounts], float | None]:
    """What ``as_facts`` kept under ``decision``; no counts where a bundle was made without."""
    kept = facts.get("decision", {})
    counts = {images: CallCounts(**kept[images]) for images in IMAGES if images in kept}
    return counts, kept.get("prevalence")
