"""What a finished run on fields has kept, as sentences and tables are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from engine.results import Finished, tables_in
from lib.evaluation import cell_arms, stain_arms


class FieldResults(NamedTuple):
    """Scores of every arm and field, Table 1, and the source's own network at home."""

    scores: pd.DataFrame
    table: pd.DataFrame
    home: pd.Series


def finished_notebook(folder: Path) -> Finished:
    """The notebook of the results ``folder`` of a profile whose study has one."""
    (name,) = (
        place.name for place in folder.glob("[0-9]*") if "gaps" in tables_in(place / "tables")
    )
    return Finished(name, folder / name)


def cell_results(folder: Path) -> FieldResults:
    """Those of the results ``folder`` of a profile of cells; at home Dice."""
    kept = finished_notebook(folder)
    return _results(kept, kept.table("home"), cell_arms.UNTOUCHED)


def stain_results(folder: Path) -> FieldResults:
    """Those of the results ``folder`` of a profile of stains; at home F1."""
    kept = finished_notebook(folder)
    return _results(kept, kept.table("home").query("metric == 'f1'"), stain_arms.UNTOUCHED)


def _results(kept: Finished, home: pd.DataFrame, arm: str) -> FieldResults:
    own = home.set_index("arm").loc[arm]
    return FieldResults(kept.predictions("fields"), kept.table("table_1"), own)
