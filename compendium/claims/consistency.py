"""The arithmetic rung: what the published figures say of each other, with no data at all."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from compendium.claims.arithmetic import (
    Confusion,
    Printed,
    accuracy_p_limits,
    auc_interval,
    auc_limits,
    fitting_confusions,
    meets,
    possible_counts,
    read_printed,
)
from compendium.claims.book import Check, Claim, ClaimBook, Difference, Interval, Ordering, Value

VERDICTS = (
    "reproduced", "direction only", "contradicted", "inconclusive", "inconsistent", "not run",
)  # fmt: skip
TABLE_METRICS = ("accuracy", "balanced_accuracy", "f1", "kappa", "precision", "recall")


@dataclass(frozen=True)
class Verdict:
    """One verdict on one claim.

    ``rung``: ``arithmetic`` (published figures against each other), ``stored`` (kept predictions),
    ``retrained`` (a run of this checkout). ``low`` and ``high``: 95 % interval of the published
    figure where one confusion matrix, or the AUC with its class counts, gives it.
    """

    claim: str
    system: str
    rung: str
    verdict: str
    why: str
    published: str = ""
    low: float | None = None
    high: float | None = None
    ours: float | None = None
    ours_low: float | None = None
    ours_high: float | None = None
    n: int | None = None
    seeds: int | None = None

    def as_dict(self) -> dict:
        """Fields by name."""
        return asdict(self)


@functools.lru_cache(maxsize=512)
def _fitting(
    printed: tuple[tuple[str, Printed], ...], counts: tuple[tuple[int, int], ...]
) -> list[Confusion]:
    return fitting_confusions(dict(printed), counts)


class Arithmetic:
    """Everything that the published figures say of each other."""

    def __init__(self, book: ClaimBook) -> None:
        self.claims = book.by_id()
        self.values: Mapping[str, Value] = {
            name: claim for name, claim in self.claims.items() if isinstance(claim, Value)
        }
        self.tables = self._recover()

    def _recover(self) -> dict[str, list[Confusion]]:
        """Table to the confusion matrices that fit all of its metrics and the printed matrix."""
        members: dict[str, list[Value]] = {}
        for claim in self.values.values():
            if claim.table and (claim.counts or claim.total):
                members.setdefault(claim.table, []).append(claim)
        found = {}
        for table, claims in members.items():
            printed = {c.metric: c.printed for c in claims if c.metric in TABLE_METRICS}
            if len(printed) < 2:  # one metric alone fits many
                continue
            counts = claims[0].counts or possible_counts(claims[0].total)
            fitting = _fitting(tuple(sorted(printed.items())), tuple(counts))
            if claims[0].matrix:
                fitting = [c for c in fitting if ((c.tn, c.fp), (c.fn, c.tp)) == claims[0].matrix]
            found[table] = fitting
        return found

    def recovered(self, claim: Value) -> Confusion | None:
        """The one confusion matrix behind a figure, if just one fits."""
        fitting = self.tables.get(claim.table, [])
        return fitting[0] if len(fitting) == 1 else None

    def exact(self, name: str) -> Printed:
        """A published value, to all digits where the matrix behind it is known."""
        claim = self.values[name]
        table = self.recovered(claim)
        if table is not None and claim.metric in ("accuracy", "balanced_accuracy", "f1", "kappa"):
            row = table.intervals().loc[claim.metric]
            return Printed(float(row["value"]), 0.0)
        return claim.printed

    def interval(self, claim: Value) -> tuple[float, float] | None:
        """95 % interval of a published figure, which its authors did not print."""
        table = self.recovered(claim)
        if table is None:
            return None
        if claim.metric == "auc":
            return auc_interval(claim.printed.value, table.tn + table.fp, table.fn + table.tp)
        metrics = table.intervals()
        if claim.metric not in metrics.index:
            return None
        return float(metrics.loc[claim.metric, "low"]), float(metrics.loc[claim.metric, "high"])

    def judge(self, claim: Claim) -> Verdict | None:
        """Verdict of this rung; None where nothing published can be held against the claim."""
        findings = list(self._findings(claim))
        if not findings:
            return None
        fails = [why for fine, why in findings if not fine]
        limits = self.interval(claim) if isinstance(claim, Value) else None
        low, high = limits or (None, None)
        return Verdict(
            claim.id, claim.system, "arithmetic", "inconsistent" if fails else "reproduced",
            "; ".join(fails or [why for _, why in findings]),
            getattr(claim, "published", ""), low, high,
        )  # fmt: skip

    def _findings(self, claim: Claim):
        if isinstance(claim, Value):
            yield from self._of_table(claim)
            for check in claim.checks:
                yield self._of_check(claim.printed, check)
        elif isinstance(claim, Ordering):
            for other in claim.below if claim.above else []:
                above, below = self.values[claim.above], self.values[other]
                fine = above.printed.value > below.printed.value
                words = f"{above.published} {'>' if fine else 'is not above'} {below.published}"
                yield fine, words + self._test(above, below)
        elif isinstance(claim, Difference) and claim.published:
            first, second = (self.exact(name) for name in claim.of)
            least = first.limits[0] - second.limits[1]
            most = first.limits[1] - second.limits[0]
            yield meets(read_printed(claim.published), least, most, "the difference")
        elif isinstance(claim, Interval):
            value = self.values[claim.of]
            low, high = read_printed(claim.low).value, read_printed(claim.high).value
            fine = low <= value.printed.value <= high
            yield (
                fine,
                f"{value.published} lies {'in' if fine else 'outside'} {claim.low} to {claim.high}",
            )

    def _test(self, one: Value, other: Value) -> str:
        """The test that could have been printed beside a comparison on the same images."""
        a, b = self.recovered(one), self.recovered(other)
        if a is None or b is None or (a.tn + a.fp, a.fn + a.tp) != (b.tn + b.fp, b.fn + b.tp):
            return ""
        low, high = accuracy_p_limits(b, a)
        return f" (accuracy {a} against {b}: exact McNemar p from {low:.2g} to {high:.2g})"

    def _of_table(self, claim: Value):
        fitting = self.tables.get(claim.table)
        if fitting is None:
            return
        if claim.metric == "auc":
            if len(fitting) == 1:
                low, high = auc_limits(fitting[0])
                yield meets(claim.printed, low, high, f"an AUC with {fitting[0]} on its curve")
            return
        if claim.metric not in TABLE_METRICS:
            return
        if not fitting:
            yield False, "no confusion matrix with these class counts gives all its metrics"
        elif len(fitting) == 1:
            yield True, f"exactly one confusion matrix fits: {fitting[0]}"
        else:
            yield True, f"{len(fitting)} confusion matrices fit"

    def _of_check(self, printed: Printed, check: Check) -> tuple[bool, str]:
        if check.kind == "share":
            count = round(printed.value * check.n)
            fine = printed.holds(count / check.n)
            return fine, f"{'is' if fine else 'is no share of whole items:'} {count}/{check.n}"
        others = [self.exact(name) for name in check.of]
        low, high = (np.array(side) for side in zip(*(o.limits for o in others), strict=True))
        if check.kind == "rounds":
            return meets(printed, float(low[0]), float(high[0]), "the same number, printed finer,")
        if check.kind == "sum":
            return meets(printed, float(low.sum()), float(high.sum()), "the sum")
        if check.kind == "mean":
            return meets(printed, float(low.mean()), float(high.mean()), "the mean")
        values = np.array([other.value for other in others])
        # Each value moves the SD by at most its own rounding.
        slack = max(other.half_unit for other in others)
        spread = values.std()
        if check.kind == "sd":
            return meets(printed, spread - slack, spread + slack, "the SD")
        ratio = spread / values.mean()
        slack /= values.mean()
        return meets(printed, ratio - slack, ratio + slack, "the SD over the mean")
