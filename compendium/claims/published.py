"""Tables of published numbers, as the claims print them; nothing here is ours."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from compendium.claims.book import Value, load_claims
from engine.keys import safe_key
from lib.evaluation.metrics import METRICS

# Where Table 1 stands among the claims; a table of it is a fold.
_TABLE_1, _TABLE_1_NAME = "s1.table1", "EfficientNet-B7, grey"


def table_1() -> pd.DataFrame:
    """Table 1 of the published study: columns series, fold, and the metrics it prints."""
    table = _tables(f"{_TABLE_1}.")
    return table.assign(series=_TABLE_1_NAME, fold=range(len(table))).drop(
        columns=["published_as", "where"]
    )


def adaptation(domain: str) -> pd.DataFrame:
    """What the published study prints for a domain: published_as, where, and its metrics."""
    return _tables(f"s1.{safe_key(domain)}.")


def readers() -> pd.DataFrame:
    """What readers of another study said: published_as, where, rating (1 to 5), judged_real."""
    return _tables("s5.", ("rating", "judged_real"))


def _tables(start: str, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """One row for each group of metrics whose claims begin with ``start``, in their order."""
    rows: dict[str, dict[str, object]] = {}
    for claim in load_claims().claims:
        if isinstance(claim, Value) and claim.table.startswith(start) and claim.metric in metrics:
            words = claim.what.removesuffix(f": {claim.metric}")
            row = rows.setdefault(claim.table, dict(published_as=words, where=claim.where))
            row[claim.metric] = claim.printed.value
    names = ["published_as", "where", *metrics]
    table = pd.DataFrame(rows.values())
    return table[[name for name in names if name in table]]
