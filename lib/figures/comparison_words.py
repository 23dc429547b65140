"""Sentences that compare two arms, printed from results."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def told_apart(name: str, other: str, row: Mapping[str, float]) -> str:
    """How ``name`` stands to ``other``: ``row`` has difference, low and high; more is better."""
    verdict = "not told apart from"
    if row["low"] > 0:
        verdict = "better than"
    elif row["high"] < 0:
        verdict = "worse than"
    return (
        f"**{name}** is {verdict} {other}: difference "
        f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    )


def trainings(scores: pd.DataFrame) -> str:
    """A method needs several seeds; one training speaks for itself."""
    seeds = scores["seed"].nunique()
    return f"over {seeds} trainings" if seeds > 1 else "in this training"
