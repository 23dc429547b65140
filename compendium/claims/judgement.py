"""Verdicts: what speaks for or against a claim, on which rung, and what would decide it."""

from __future__ import annotations

import math

from compendium.claims.book import Claim, ClaimBook, Difference, Interval, Ordering, Value
from compendium.claims.consistency import Arithmetic, Verdict
from compendium.claims.evidence import Evidence, Ours
from engine.progress import progress


def judge(book: ClaimBook, evidence: Evidence | None) -> list[Verdict]:
    """Every verdict on every claim: arithmetic where possible, and against our predictions."""
    arithmetic = Arithmetic(book)
    verdicts = []
    for claim in progress(book.claims, label="claims"):
        found = [arithmetic.judge(claim)]
        if evidence is not None:
            found.append(_judge_here(claim, arithmetic, evidence))
        found = [verdict for verdict in found if verdict is not None]
        if not found:
            found = [_not_run(claim, "nothing published can be held against it" + _needs(claim))]
        verdicts += found
    return verdicts


def _needs(claim: Claim) -> str:
    if not claim.profile:
        return "; it needs the data and models of its authors"
    return f"; profile {claim.profile} would answer it" + (
        f" and needs {claim.missing}" if claim.missing else ""
    )


def _not_run(claim: Claim, why: str, **numbers) -> Verdict:
    printed = getattr(claim, "published", "")
    return Verdict(claim.id, claim.system, "none", "not run", why, printed, **numbers)


def _judge_here(claim: Claim, arithmetic: Arithmetic, evidence: Evidence) -> Verdict | None:
    keys = getattr(claim, "here", None)
    if not keys or isinstance(claim, Interval):
        return None
    keys = [keys] if isinstance(keys, str) else list(keys)
    ours = evidence.number(keys[0]) if len(keys) == 1 else evidence.difference(*keys)
    if ours is None:
        return None
    synthetic = evidence.profile == "smoke" or any(
        key.split(".")[1] in evidence.synthetic for key in keys
    )
    if isinstance(claim, Value):
        verdict, why = _of_value(claim, arithmetic, ours)
        if synthetic or evidence.profile != claim.profile:
            verdict = "not run"
            why = f"{'synthetic' if synthetic else 'other'} images here" + _needs(claim)
    elif evidence.same_scores(*keys):  # two methods never agree on every image: one was not run
        verdict, why = "not run", "both have the same scores for every image"
    else:
        verdict, why = _of_difference(claim, arithmetic, ours)
        if synthetic and verdict == "reproduced":
            verdict = "direction only"
        if synthetic:
            why += "; synthetic images"
    return Verdict(
        claim.id, claim.system, evidence.rung, verdict, why, getattr(claim, "published", ""),
        ours=ours.value, ours_low=ours.low, ours_high=ours.high, n=ours.n,
        seeds=ours.seeds,
    )  # fmt: skip


def _of_value(claim: Value, arithmetic: Arithmetic, ours: Ours) -> tuple[str, str]:
    """Against the range that rounding and the published test set leave the figure."""
    least, most = arithmetic.interval(claim) or claim.printed.limits
    if least <= ours.value <= most:
        return "reproduced", f"inside [{least:.4f}, {most:.4f}]"
    if ours.low <= most and least <= ours.high:
        return "inconclusive", _deciding(ours, min(abs(ours.value - least), abs(ours.value - most)))
    return "contradicted", f"outside [{least:.4f}, {most:.4f}]"


def _of_difference(
    claim: Difference | Ordering, arithmetic: Arithmetic, ours: Ours
) -> tuple[str, str]:
    sign, size = 1.0, None
    if isinstance(claim, Difference):
        first, second = (arithmetic.exact(name).value for name in claim.of)
        size = first - second
        sign = math.copysign(1.0, size)
    if ours.low == ours.high == 0.0:
        return "contradicted", "no difference at all"
    if min(sign * ours.low, sign * ours.high) > 0:
        if size is None or ours.low <= size <= ours.high:
            return "reproduced", "the same direction" + (" and size" if size else "")
        return "direction only", f"the same direction, another size than {size:+.4f}"
    if max(sign * ours.low, sign * ours.high) < 0:
        return "contradicted", "the other direction"
    return "inconclusive", _deciding(ours, abs(ours.value))


def _deciding(ours: Ours, distance: float) -> str:
    """How many images or seeds: each shrinks its own part of the variance, and that alone.

    One training says nothing of other seeds, so of one only images are counted.
    """
    if distance < 1e-6:
        return "no difference to decide"
    wanted = (distance / (0.5 * (ours.high - ours.low))) ** 2  # share of the variance that may stay
    of_seeds, of_images = ours.training_share, 1.0 - ours.training_share
    if of_images < wanted and of_seeds > of_images:
        seeds = math.ceil(ours.seeds * of_seeds / (wanted - of_images))
        return f"about {max(seeds, ours.seeds + 1)} seeds would decide it"
    if of_seeds < wanted:
        images = math.ceil(ours.n * of_images / (wanted - of_seeds))
        return f"about {max(images, ours.n + 1)} images would decide it"
    factor = math.ceil(1.0 / wanted)
    return f"about {ours.n * factor} images and {ours.seeds * factor} seeds would decide it"
