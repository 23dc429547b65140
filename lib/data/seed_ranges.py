"""Which seeds belong to whom, so that no phantom of a run is one that anything learnt from."""

from __future__ import annotations

from collections.abc import Sequence

BLOCK = 1_000_000  # seeds per domain, the most phantoms a domain may have
RUNS = 300_000  # so that all seeds lie below those that trained the framing (2**40)
# Phantoms from here on are met in no experiment: those of runs lie below 2**40, those that trained
# the framing follow from there.
FIRST_SIMULATED = 1 << 41


def numbered(domains: Sequence[str], counts: Sequence[int], seed: int) -> list[tuple[str, int]]:
    """Domain and seed of every phantom of a run: so many of each domain, and none in two."""
    first = (seed % RUNS) * len(domains) * BLOCK
    return [
        (domain, first + place * BLOCK + number)
        for place, (domain, count) in enumerate(zip(domains, counts, strict=True))
        for number in range(count)
    ]
