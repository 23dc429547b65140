"""What published figures say of each other: rounding, sums, means, and the tables behind metrics.

Nothing here needs data. A figure is known to half a unit of its last printed digit.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from engine.errors import InputError
from lib.evaluation.statistics import metric_intervals

# Slack for the binary representation of decimal numbers, far below any printed digit.
_SLACK = 1e-9


@dataclass(frozen=True)
class Printed:
    """A number as it was printed: its value and half a unit of its last digit."""

    value: float
    half_unit: float

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest number that is printed so."""
        return self.value - self.half_unit, self.value + self.half_unit

    def holds(self, number: float) -> bool:
        """Whether ``number`` is printed so."""
        return abs(number - self.value) <= self.half_unit + _SLACK


def read_printed(text: str) -> Printed:
    """Read ``"0.9655"``, ``"-.05"``, ``"2440"`` or ``"82.09 %"`` (a share: 0.8209).

    Raises
    ------
    InputError
        ``text`` is none of these.
    """
    match = re.fullmatch(r"\s*(-?)(\d*)(?:\.(\d+))?\s*(%?)\s*", text)
    if not match or not (match[2] or match[3]):
        raise InputError(f"'{text}' is no printed number: write digits, a point, and % if printed.")
    digits = len(match[3] or "")
    scale = 0.01 if match[4] else 1.0
    value = float(f"{match[1]}{match[2] or '0'}.{match[3] or '0'}")
    return Printed(value * scale, 0.5 * 10.0**-digits * scale)


@dataclass(frozen=True)
class Confusion:
    """Counts of a two-class table: true and false negatives and positives."""

    tn: int
    fp: int
    fn: int
    tp: int

    def predictions(self) -> pd.DataFrame:
        """A prediction table with this confusion at the threshold one half."""
        label = np.repeat([0, 0, 1, 1], [self.tn, self.fp, self.fn, self.tp])
        score = np.repeat([0.0, 1.0, 0.0, 1.0], [self.tn, self.fp, self.fn, self.tp])
        names = [f"{i}" for i in range(len(label))]
        return pd.DataFrame(dict(id=names, label=label, score=score, group=names))

    @functools.cache  # noqa: B019 - a handful of tables, asked for again and again
    def intervals(self) -> pd.DataFrame:
        """Metrics with the 95 % BCa intervals that their authors could have given; no AUC.

        Columns value, low, high, n by metric.
        """
        table = metric_intervals(self.predictions(), 0.5).set_index("metric")
        return table.drop(index="auc")[["value", "low", "high", "n"]]

    def __str__(self) -> str:
        return f"[[{self.tn}, {self.fp}], [{self.fn}, {self.tp}]]"


def _metrics(negatives: int, positives: int) -> dict[str, np.ndarray]:
    """Metrics of every table with these class counts, indexed by (tn, tp)."""
    tn = np.arange(negatives + 1.0)[:, None]
    tp = np.arange(positives + 1.0)[None, :]
    fp, fn, n = negatives - tn, positives - tp, negatives + positives
    with np.errstate(divide="ignore", invalid="ignore"):
        accuracy = (tn + tp) / n
        chance = ((tn + fn) * negatives + (tp + fp) * positives) / n**2
        return dict(
            accuracy=accuracy,
            balanced_accuracy=(tn / negatives + tp / positives) / 2,
            f1=2 * tp / (2 * tp + fp + fn),
            kappa=(accuracy - chance) / (1 - chance),
            precision=tp / (tp + fp),
            recall=tp / positives + 0 * tn,
        )


def metric_of(confusion: Confusion, metric: str) -> float:
    """One metric of a confusion matrix."""
    tables = _metrics(confusion.tn + confusion.fp, confusion.fn + confusion.tp)
    return float(tables[metric][confusion.tn, confusion.tp])


def fitting_confusions(
    printed: Mapping[str, Printed], counts: Sequence[tuple[int, int]]
) -> list[Confusion]:
    """Every confusion matrix whose metrics are printed as given.

    Parameters
    ----------
    printed
        Metric (accuracy, balanced_accuracy, f1, kappa, precision, recall) to the printed number.
    counts
        Possible pairs of negatives and positives.
    """
    found = []
    for negatives, positives in counts:
        metrics = _metrics(negatives, positives)
        fits = np.ones((negatives + 1, positives + 1), dtype=bool)
        for name, number in printed.items():
            fits &= np.abs(metrics[name] - number.value) <= number.half_unit + _SLACK
        found += [
            Confusion(int(tn), negatives - int(tn), positives - int(tp), int(tp))
            for tn, tp in zip(*np.nonzero(fits), strict=True)
        ]
    return found


def possible_counts(total: int) -> list[tuple[int, int]]:
    """Every split of ``total`` images into two classes."""
    return [(negatives, total - negatives) for negatives in range(1, total)]


def auc_limits(confusion: Confusion) -> tuple[float, float]:
    """Least and greatest AUC of any score with this confusion at one of its thresholds.

    The curve passes through (1 - specificity, sensitivity) and only rises.
    """
    specificity = confusion.tn / (confusion.tn + confusion.fp)
    sensitivity = confusion.tp / (confusion.tp + confusion.fn)
    return sensitivity * specificity, 1 - (1 - sensitivity) * (1 - specificity)


def auc_interval(auc: float, negatives: int, positives: int) -> tuple[float, float]:
    """95 % interval of an AUC known by its value alone (Hanley & McNeil 1982), within [0, 1]."""
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (
        auc * (1 - auc) + (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    ) / (positives * negatives)
    half = 1.959964 * np.sqrt(max(0.0, variance))
    return max(0.0, auc - half), min(1.0, auc + half)


def accuracy_p_limits(a: Confusion, b: Confusion) -> tuple[float, float]:
    """Least and greatest p of an exact McNemar test between two tables of the same images.

    Which images each got right is not published: in each class, the number that only one of the
    two got right is anything from the difference of their right answers to all they do not have to
    share.
    """
    fewest = most = 0
    for right_a, right_b, n in ((a.tn, b.tn, a.tn + a.fp), (a.tp, b.tp, a.tp + a.fn)):
        fewest += abs(right_a - right_b)
        most += right_a + right_b - 2 * max(0, right_a + right_b - n)
    lead = (b.tn + b.tp) - (a.tn + a.tp)
    p_values = [
        binomtest((disagree + abs(lead)) // 2, disagree).pvalue if disagree else 1.0
        for disagree in range(fewest, most + 1, 2)
    ]
    return float(min(p_values)), float(max(p_values))


def meets(printed: Printed, low: float, high: float, what: str) -> tuple[bool, str]:
    """Whether a printed number can be one in [low, high], and the sentence that says so."""
    least, most = printed.limits
    fine = least - _SLACK <= high and low - _SLACK <= most
    digits = max(2, 1 - math.floor(math.log10(2 * printed.half_unit)))
    shown = f"{low:.{digits}f}"
    if f"{high:.{digits}f}" != shown:
        shown += f" to {high:.{digits}f}"
    return fine, f"{what} is {shown}{'' if fine else ', printed otherwise'}"
