"""What a finished run of cells has kept, as sentences and tables are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from engine.results import Finished, tables_in
from lib.evaluation.cell_arms import UNTOUCHED


class CellResults(NamedTuple):
    """Scores of every arm and field, Table 1, and Dice of the source's own U-Net at home."""

    scores: pd.DataFrame
    table: pd.DataFrame
    home: pd.Series


def cell_results(folder: Path) -> CellResults:
    """Those of the results ``folder`` of a profile of cells."""
    (name,) = (
        place.name for place in folder.glob("[0-9]*") if "gaps" in tables_in(place / "tables")
    )
    finished = Finished(name, folder / name)
    home = finished.table("home").set_index("arm").loc[UNTOUCHED]
    return CellResults(finished.predictions("fields"), finished.table("table_1"), home)
