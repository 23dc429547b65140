"""Claims put to the test: evidence and published figures are spoilt, and a verdict must change.

A mutant that changes no verdict has escaped; a claim that no mutant moves is vacuous, since it
would be judged the same whatever were true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from compendium.claims.arithmetic import fitting_confusions, metric_of
from compendium.claims.book import ClaimBook, Interval, Ordering, Value, part_of, references
from compendium.claims.consistency import TABLE_METRICS, Verdict
from compendium.claims.evidence import Evidence
from compendium.claims.judgement import judge
from engine.errors import InputError
from engine.progress import progress
from lib.evaluation.overlap import SHARES

Tables = dict[tuple[str, str], pd.DataFrame]
_RNG = 0  # every mutant is the same each time


@dataclass(frozen=True)
class Outcome:
    """A mutant and the claims whose verdicts it changed."""

    mutant: str
    changed: tuple[str, ...]


def _each(evidence: Evidence, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Evidence:
    return replace(
        evidence, predictions={key: change(table) for key, table in evidence.predictions.items()}
    )


def _as(evidence: Evidence, arm: str, other: str) -> Evidence:
    """``arm`` gets the scores of ``other``."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        if not {arm, other} <= set(table["arm"]):
            return table
        copied = table[table["arm"] == other].assign(arm=arm)
        return pd.concat([table[table["arm"] != arm], copied], ignore_index=True)

    return _each(evidence, change)


def _thresholds(evidence: Evidence, value: float) -> Evidence:
    return replace(evidence, thresholds=dict.fromkeys(evidence.thresholds, value))


def _shuffled(table: pd.DataFrame) -> pd.DataFrame:
    names = table["id"].unique()
    label = table.drop_duplicates("id").set_index("id")["label"].loc[names].to_numpy()
    drawn = dict(zip(names, np.random.default_rng(_RNG).permutation(label), strict=True))
    return table.assign(label=table["id"].map(drawn))


def _noisy(table: pd.DataFrame) -> pd.DataFrame:
    noise = np.random.default_rng(_RNG).random(len(table))
    return table.assign(score=noise)


def _few(table: pd.DataFrame) -> pd.DataFrame:
    kept = table.drop_duplicates("id").groupby("label")["id"].head(6)
    return table[table["id"].isin(kept)]


def _turned(evidence: Evidence, arm: str, other: str) -> Evidence:
    """``arm`` becomes perfect where it is behind ``other``, and noise where it is not."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        parts = dict(list(table.groupby("arm", sort=False)))
        if not {arm, other} <= set(parts):
            return table
        own, rival = (roc_auc_score(parts[name]["label"], parts[name]["score"])
                      for name in (arm, other))  # fmt: skip
        label = parts[arm]["label"].astype(float)
        spoilt = _noisy(parts[arm]) if own >= rival else parts[arm].assign(score=label)
        return pd.concat([table[table["arm"] != arm], spoilt], ignore_index=True)

    return _each(evidence, change)


def _swapped_domains(evidence: Evidence) -> Evidence:
    """The predictions of every judged domain stand under the name of another one."""
    keys = sorted(evidence.predictions)
    turned = keys[1:] + keys[:1]
    known = {domain for _, domain in keys}
    if len(known) < 2:
        raise InputError("one domain only: use a run with two, here is nothing to swap")
    swapped = dict(zip(keys, turned, strict=True))
    limits = {
        (*key, arm, seed): evidence.thresholds.get((*other, arm, seed), 0.5)
        for key, other in swapped.items()
        for arm, seed in evidence.predictions[other].groupby(["arm", "seed"]).groups
    }
    predictions = {key: evidence.predictions[other] for key, other in swapped.items()}
    return replace(evidence, predictions=predictions, thresholds=limits)


def _inverted(evidence: Evidence) -> Evidence:
    """What each image measures becomes what is missing of it to 1."""
    turned = {
        key: table.assign(**{name: 1 - table[name] for name in SHARES if name in table})
        for key, table in evidence.measured.items()
    }
    return replace(evidence, measured=turned)


def _fewer(evidence: Evidence) -> Evidence | None:
    """One image lost of every count."""
    if not evidence.counts:
        return None
    return replace(evidence, counts={key: n - 1 for key, n in evidence.counts.items()})


# None: there is nothing of the kind to spoil.
EVIDENCE: dict[str, Callable[[Evidence], Evidence | None]] = {
    "labels shuffled": lambda e: _each(e, _shuffled),
    "labels inverted": lambda e: _each(e, lambda t: t.assign(label=1 - t["label"])),
    "scores inverted": lambda e: _each(e, lambda t: t.assign(score=1 - t["score"])),
    "scores constant": lambda e: _each(e, lambda t: t.assign(score=0.5)),
    "scores replaced by noise": lambda e: _each(e, _noisy),
    "scores perfect": lambda e: _each(e, lambda t: t.assign(score=t["label"].astype(float))),
    "domains swapped": _swapped_domains,
    "texture weight zeroed": lambda e: _as(e, "cyclegan_texture", "cyclegan"),
    "translation left out": lambda e: _as(e, "cyclegan_texture", "grey"),
    "RGB turned round against grey": lambda e: _turned(e, "rgb", "grey"),
    "threshold above every score": lambda e: _thresholds(e, np.inf),
    "threshold below every score": lambda e: _thresholds(e, -np.inf),
    "a class dropped": lambda e: _each(e, lambda t: t[t["label"] == 1]),
    "twelve images kept": lambda e: _each(e, _few),
    "an image lost": _fewer,
    "synthetic images taken for real": lambda e: (
        replace(e, synthetic=frozenset()) if e.synthetic else None
    ),
    "predictions missing": lambda e: replace(e, predictions={}, measured={}),
    "overlap inverted": lambda e: _inverted(e) if e.measured else None,
}


def _reprinted(value: Value, text: str) -> Value:
    return value.model_copy(update=dict(published=text))


def _printed(text: str, number: float) -> str:
    percent = "%" in text
    digits = len(text.replace("%", "").strip().partition(".")[2])
    return f"{number * (100 if percent else 1):.{digits}f}{' %' if percent else ''}"


def _spoilt(claim: Value) -> Iterator[tuple[str, Value]]:
    number, unit = claim.printed.value, 2 * claim.printed.half_unit
    yield "last digit up by 3", _reprinted(claim, _printed(claim.published, number + 3 * unit))
    yield "ten times as large", _reprinted(claim, _printed(claim.published, 10 * number))
    yield "one tenth", _reprinted(claim, _printed(claim.published, number / 10))


def _repaired(book: ClaimBook, claim: Value) -> Iterator[Value]:
    """The claim as it would have to be printed to agree with the others, if one figure is wrong."""
    known = {c.id: c for c in book.claims if isinstance(c, Value)}
    for check in claim.checks:
        if check.kind == "sum":
            total = sum(known[name].printed.value for name in check.of)
            yield _reprinted(claim, _printed(claim.published, total))
    others = {
        c.metric: c.printed
        for c in known.values()
        if c.table and c.table == claim.table and c is not claim and c.metric in TABLE_METRICS
    }
    if claim.counts and claim.metric in TABLE_METRICS and len(others) > 1:
        fitting = fitting_confusions(others, claim.counts)
        if len(fitting) == 1:
            value = metric_of(fitting[0], claim.metric)
            yield _reprinted(claim, _printed(claim.published, value))


def published_mutants(book: ClaimBook) -> Iterator[tuple[str, str, ClaimBook]]:
    """Name, the claim that was spoilt, and the book with one published figure or order changed."""
    known = book.by_id()

    def changed(claim, new) -> ClaimBook:
        claims = [new if other is claim else other for other in book.claims]
        return book.model_copy(update=dict(claims=claims))

    for claim in book.claims:
        if isinstance(claim, Value):
            for name, new in _spoilt(claim):
                yield name, claim.id, changed(claim, new)
            for new in _repaired(book, claim):
                if new.printed != claim.printed:
                    yield "set to what would agree", claim.id, changed(claim, new)
        elif isinstance(claim, Ordering) and claim.above:
            new = claim.model_copy(update=dict(above=claim.below[0], below=[claim.above]))
            yield "order turned round", claim.id, changed(claim, new)
        elif isinstance(claim, Interval):
            value = known[claim.of]
            new = _reprinted(value, _printed(value.published, 10 * value.printed.value))
            yield "ten times as large", claim.id, changed(value, new)


def _verdicts(book: ClaimBook, evidence: Evidence | None) -> dict[tuple[str, str], str]:
    found: list[Verdict] = judge(book, evidence)
    return {(v.claim, v.rung): v.verdict for v in found if v.rung != "none"}


def run_mutants(book: ClaimBook, evidence: Evidence) -> tuple[list[Outcome], list[str]]:
    """Outcome of every mutant, and the claims that have a verdict and that none of them moves."""
    arithmetic = _verdicts(book, None)
    # Evidence mutants leave arithmetic alone, published ones leave our numbers alone.
    answered = part_of(book, [c.id for c in book.claims if getattr(c, "here", None)])
    ours = {key: v for key, v in _verdicts(answered, evidence).items() if key not in arithmetic}
    outcomes, moved = [], set()
    for name, spoil in progress(EVIDENCE.items(), label="spoilt predictions"):
        try:
            other = spoil(evidence)
            if other is None:
                continue
            spoilt = _verdicts(answered, other)
        except InputError:  # refused by name: noticed, but it tells no claim from another
            outcomes.append(Outcome(f"{name} (refused)", tuple(sorted({c for c, _ in ours}))))
            continue
        changed = {key for key, verdict in ours.items() if spoilt.get(key) != verdict}
        if other.predictions:  # without any, every claim moves
            moved |= changed
        outcomes.append(Outcome(name, tuple(sorted({claim for claim, _ in changed}))))
    together: dict[str, set[str]] = {}
    known = book.by_id()
    published = list(published_mutants(book))
    for name, claim, spoilt_book in progress(published, label="spoilt figures"):
        if not any(key[0] == claim for key in arithmetic) and not _is_part(book, claim):
            continue
        # Only these can change; the others need not be judged again.
        table = getattr(known[claim], "table", "") or claim
        near = {c.id for c in book.claims if table in (c.id, getattr(c, "table", ""))}
        near |= {c.id for c in book.claims if near & set(references(c))}
        spoilt = _verdicts(part_of(spoilt_book, near), None)
        before = {key: verdict for key, verdict in arithmetic.items() if key[0] in near}
        changed = {key for key, verdict in before.items() if spoilt.get(key) != verdict}
        moved |= changed
        together.setdefault(name, set()).update(key[0] for key in changed)
    outcomes += [Outcome(f"published: {name}", tuple(sorted(c))) for name, c in together.items()]
    judged = {*arithmetic, *(key for key, verdict in ours.items() if verdict != "not run")}
    return outcomes, sorted({claim for claim, _ in judged - moved})


def _is_part(book: ClaimBook, claim: str) -> bool:
    return any(claim in references(other) for other in book.claims)
