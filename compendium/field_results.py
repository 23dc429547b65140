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
    return _results(folder, lambda home: home[home["arm"] == cell_arms.UNTOUCHED])


def stain_results(folder: Path) -> FieldResults:
    """Those of the results ``folder`` of a profile of stains; at home F1."""
    return _results(
        folder,
        lambda home: home[(home["arm"] == stain_arms.UNTOUCHED) & (home["metric"] == "f1")],
    )


def _results(folder: Path, own) -> FieldResults:
    finished = finished_notebook(folder)
    home = own(finished.table("home")).iloc[0]
    return FieldResults(finished.predictions("fields"), finished.table("table_1"), home)
