"""The data card of a run on fields: what its images are, and who drew what is in them."""

from __future__ import annotations

import pandas as pd

from compendium.card_parts import left_out, licence
from compendium.claims.report import markdown_table
from engine.results import Finished, tables_in
from lib.data.field_parameters import FieldParameters
from lib.data.interface import NOTHING

_DRAWN_BY = {
    "simulation": "known, since the fields are simulated",
    "expert": "drawn by experts",
    "model": "output of a network of the images' authors: agreement with it is no accuracy",
    "nobody": "drawn by nobody; such images are adapted to and judge nothing",
}


def field_card(audit: Finished, params: FieldParameters, data: str) -> str:
    """Markdown: origin, counts, who drew the cells, what was left out, split, licence.

    ``audit`` is the notebook that divided the fields, ``data`` their fingerprint.
    """
    split = audit.table("split")
    split["drawn_by"] = split["drawn_by"].fillna("nobody")
    kept = tables_in(audit.folder / "tables")
    left = audit.table("excluded") if "excluded" in kept else NOTHING
    drawn = dict.fromkeys(split["drawn_by"])
    parts = [
        f"# Data card: the images of profile {params.profile}",
        origin(params),
        f"Fingerprint of the images: `{data}`.",
        "## How many",
        markdown_table(_counts(split)),
        f"Split by group before anything learnt, seed {params.seed}: a group is a frame, a video, "
        "a well or, where the list names none, an image.",
        "## Who drew the cells",
        "\n".join(f"- {by}: {_DRAWN_BY[by]}" for by in drawn),
        "## What was left out",
        left_out(left),
        "## Framing",
        params.framing,
        "## Licence, consent, use",
        licence(params.data_kind),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def origin(params: FieldParameters) -> str:
    """What the images of a run are, in bold."""
    if params.data_kind == "phantom":
        return f"**Synthetic.** {params.origin}"
    return f"**Real** images, as the user brought them in `{params.data_dir}`."


def _counts(split: pd.DataFrame) -> pd.DataFrame:
    """Images and groups of every domain and part, and how many have drawn cells."""
    rows = [
        dict(
            domain=domain, part=part, images=len(own), groups=own["group"].nunique(),
            drawn=int((own["drawn_by"] != "nobody").sum()),
        )
        for (domain, part), own in split.groupby(["domain", "split"], sort=False)
    ]  # fmt: skip
    return pd.DataFrame(rows)
