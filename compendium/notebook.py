"""What a notebook shows of this floor; its run asks for it by name (`engine.upper`)."""

from __future__ import annotations

from typing import Any

import pandas as pd
from IPython.display import display

from compendium import widgets
from compendium.claims import published as published_tables
from compendium.claims.report import claims_of
from compendium.workshop.exercises import answer_checks
from engine.results import Finished


def show_claims(finished: Finished) -> None:
    """Show the published claims that stand on this notebook, judged by what it has kept."""
    claims = claims_of(finished)
    if claims.empty:
        print("No published claim stands on this notebook.")
    else:
        display(claims.round(3))


def check_answer(finished: Finished, number: int, answer: Any) -> None:
    """Say whether the answer to an exercise of the notebook is right, never what it is."""
    answer_checks(finished)(number, answer)


def widget(name: str, *shown: Any) -> Any:
    """Show the widget ``name``, a function of `compendium.widgets`."""
    return widgets.show(getattr(widgets, name), *shown)


def published(table: str, *of: str) -> pd.DataFrame:
    """A function of `compendium.claims.published` by name: ``table_1``, ``adaptation``."""
    return getattr(published_tables, table)(*of)
