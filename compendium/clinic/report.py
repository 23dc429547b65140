"""The page that `translate` writes beside the images: what to expect, pairs, gate scores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from compendium.clinic.expectation import expectation
from compendium.clinic.pages import page, thumbnail
from compendium.clinic.reader import Reader
from engine.results import write_atomically
from lib.data.images import decode
from lib.models.bundle import Bundle

SHOWN = 120  # pairs on the page, the strange ones first
KEPT = 40  # rows of a list on the page


def write_page(
    path: Path, table: pd.DataFrame, excluded: pd.DataFrame, out: Path, bundle: Bundle,
    reader: Reader, prevalence: float | None = None,
) -> None:  # fmt: skip
    """Write the page; ``table`` is that of ``compendium.clinic.translation.translate_folder``.

    ``prevalence`` is the clinic's; None takes that of the run or of its hold-out.
    """
    order = table.assign(strange=~table["passes"]).sort_values(
        ["strange", "gate"], ascending=False, kind="stable"
    )

    def pair(row: Any) -> tuple[Any, str, str]:
        return row, thumbnail(reader.levels(row)), thumbnail(decode(out / row.output))

    with ThreadPoolExecutor() as pool:
        pairs = list(pool.map(pair, order.head(SHOWN).itertuples()))
    text = page(
        "translated", title="Translated images", bundle=bundle, table=table, excluded=excluded,
        depths=table.attrs["depths"], unused=table[table["unused"] != ""], kept=KEPT,
        stopped=int((~table["passes"]).sum()), unfound=int((~table["found"]).sum()), pairs=pairs,
        most=SHOWN, expected=expectation(bundle, table, prevalence),
    )  # fmt: skip
    write_atomically(path, text.encode())
