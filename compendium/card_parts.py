"""What the data cards of all studies say alike: what was left out, and whose the images are."""

from __future__ import annotations

import pandas as pd

from compendium.claims.report import markdown_table


def left_out(excluded: pd.DataFrame) -> str:
    """Markdown: how many images of each domain, and why; ``excluded`` has id, domain, reason."""
    if excluded.empty:
        return "Nothing."
    table = excluded.groupby(["domain", "reason"]).size().rename("images").reset_index()
    return markdown_table(table)


def licence(data_kind: str) -> str:
    """Whose the images are, and what may be done with them."""
    if data_kind == "phantom":
        return "The images are made by the code of this compendium and are free as it is (MIT)."
    return (
        "Licence, consent and ethical approval are not known to this compendium: whoever brought "
        "the images has to state them. Notebooks and figures of the run show some of the images; "
        "`make reference` keeps none."
    )
