"""The table of all arms of a run on fields, for its first page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from compendium.site.markup import escaped, table
from lib.figures.style import interval_text


def arm_table(
    arms: pd.DataFrame, measures: Mapping[str, str], name_of: Callable[[str], str], images: str
) -> str:
    """A row an arm, a column each of ``measures`` (metric to its heading); HTML.

    ``arms`` is Table 1 of a study on fields, ``name_of`` the printed name of an arm.
    """
    values = {(row["arm"], row["metric"]): row for row in arms.to_dict("records")}
    rows = []
    for arm in dict.fromkeys(arms["arm"]):
        told = [values[arm, metric] for metric in measures]
        rows.append([
            escaped(told[0]["kind"]), escaped(name_of(arm)), *map(interval_text, told),
            str(told[0]["n"]), str(told[0]["seeds"]),
        ])  # fmt: skip
    columns = ["kind", "arm", *measures.values(), "n", "trainings"]
    return table(columns, rows, f"Every arm, {images}")
