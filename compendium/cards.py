"""Cards of a run: what its images are, and what each translator it keeps can do and cannot.

After Gebru et al. 2021 (Datasheets for datasets, arXiv:1803.09010) and Mitchell et al. 2019 (Model
cards for model reporting, arXiv:1810.03993). Every number is read from the tables of the run.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from compendium.card_parts import left_out, licence
from compendium.claims.report import markdown_table
from compendium.field_card import field_card
from compendium.model_card import model_card
from engine.errors import InputError
from engine.parameters import check_record
from engine.results import Finished, tables_in, write_atomically
from lib.data.field_parameters import FieldParameters
from lib.models.parameters import TranslationParameters

DATA_CARD = "data_card.md"


def write_cards(folder: Path, data: str) -> list[Path]:
    """Write the data card of the results ``folder``, and beside every translator its model card.

    ``data`` is the fingerprint of the images.

    Returns
    -------
    The files: ``data_card.md``, and ``NOTEBOOK/models/ARM.md``.

    Raises
    ------
    InputError
        A table that a card is made of is not there.
    """
    audit = audit_of(folder)
    cards = {folder / DATA_CARD: data_card(audit, data)}
    for weights in sorted(folder.glob("*/models/*.safetensors")):
        place = weights.parent.parent
        judged = Finished(place.name, place)
        cards[weights.with_suffix(".md")] = model_card(weights, audit, judged)
    for path, text in cards.items():
        write_atomically(path, text.encode())
    return list(cards)


def audit_of(folder: Path) -> Finished:
    """The finished notebook that has split the images of a run.

    Raises
    ------
    InputError
        None has.
    """
    for place in sorted(folder.glob("[0-9]*")):
        if "split" in tables_in(place / "tables"):
            return Finished(place.name, place)
    raise InputError(f"{folder}: no table 'split' in it. Run: make reproduce PROFILE={folder.name}")


def data_card(audit: Finished, data: str) -> str:
    """Markdown: what the images of a run are. ``audit`` has split them; ``data``: fingerprint.

    Raises
    ------
    InputError
        A table of the audit is missing.
    """
    params = check_record(audit.record()["parameters"], f"the record of {audit.notebook}")
    if isinstance(params, FieldParameters):
        return field_card(audit, params, data)
    return _embryo_card(audit, params, data)


def _embryo_card(audit: Finished, params: TranslationParameters, data: str) -> str:
    """Markdown: origin, counts, what was left out, duplicates, split and framing of the images."""
    split, integrity = audit.table("split"), audit.table("integrity")
    exact, near = audit.table("exact_duplicates"), audit.table("near_duplicates")
    across = int((~near["same_domain"].astype(bool)).sum())
    repeated = int(audit.table("name_collisions")["repeated_names"].sum())
    leaks = audit.table("group_leaks")
    parts = [
        f"# Data card: the images of profile {params.profile}",
        origin(params),
        f"Fingerprint of the images: `{data}`.",
        "## How many",
        markdown_table(counts(split, params)),
        f"Split by group before anything learnt, stratified by domain and label, seed {params.seed}"
        f"; the training part in {params.folds} folds. Groups in more than one part: {len(leaks)}.",
        _groups(split, params),
        "## What they are",
        markdown_table(integrity),
        "Widths and heights in pixels.",
        *_depths(integrity),
        "## What was left out",
        left_out(audit.table("excluded")),
        *_unused(audit),
        "## Duplicates",
        f"Images with an exact twin: {len(exact)}. Pairs that look alike: {len(near)}, of them "
        f"across domains: {across}. The images of a pair are in one group. File names that occur "
        f"more than once: {repeated}; images are told apart by path.",
        "## Framing",
        _framing(audit, split, params),
        "## Licence, consent, use",
        licence(params.data_kind),
    ]
    return "\n\n".join(parts) + "\n"


def origin(params: TranslationParameters) -> str:
    """What the images of a run are, in bold: synthetic, real, or in part semi-synthetic."""
    if params.data_kind == "phantom":
        return (
            "**Synthetic.** Phantom embryos, drawn by a program and photographed by simulated "
            "devices. No patient, no embryo and no microscope stands behind any of them, and no "
            "number made from them says anything of real embryos."
        )
    text = f"**Real** images, as the user brought them in `{params.data_dir}`."
    if params.second_target_optics:
        text += (
            f" **{params.second_target_domain} is semi-synthetic**: images of "
            f"{params.source_domain} photographed again by the simulated optics of "
            f"{params.second_target_optics}."
        )
    return text


def counts(split: pd.DataFrame, params: TranslationParameters) -> pd.DataFrame:
    """Images and groups of every domain and part, and images of either label."""
    rows = []
    for (domain, part), own in split.groupby(["domain", "split"], sort=False):
        labels = {name: int((own["label"] == value).sum())
                  for value, name in params.label_names.items()}  # fmt: skip
        rows.append(
            dict(domain=domain, part=part, images=len(own), groups=own["group"].nunique(), **labels)
        )
    return pd.DataFrame(rows)


def _groups(split: pd.DataFrame, params: TranslationParameters) -> str:
    if params.data_kind == "table" and params.group_column:
        return f"A group is one value of `{params.group_column}`, with near duplicates joined."
    if params.data_kind in ("phantom", "timelapse"):
        return "A group is one embryo, with near duplicates joined."
    single = split["group"].nunique() == len(split)
    return (
        f"Patients are unknown: {'every' if single else 'nearly every'} image is its own group, so "
        "images of one patient may lie on both sides of the split, and intervals are too narrow if "
        "they do."
    )


def _depths(integrity: pd.DataFrame) -> list[str]:
    """What the column bits says; nothing of results that are older than it."""
    if "bits" not in integrity:
        return []
    return ["bits: depth of the device, 0 for floats of 0 to 1."]


def _unused(audit: Finished) -> list[str]:
    """Parts of used files that are not used; nothing of results from before these were counted."""
    if "unused" not in tables_in(audit.folder / "tables"):
        return []
    return [
        "In the files that are used, but not used themselves (pages, focal planes, channels):",
        left_out(audit.table("unused")),
    ]


def _framing(audit: Finished, split: pd.DataFrame, params: TranslationParameters) -> str:
    if params.framing == "whole":
        return f"None: whole images ({params.fit} to a square of {params.image_size} pixels)."
    frames = audit.table("frames").merge(split[["id", "domain"]], on="id")
    found = frames.groupby("domain", sort=False)["found"].agg(["sum", "count"])
    each = [
        f"{domain} {int(row['sum'])} of {int(row['count'])}" for domain, row in found.iterrows()
    ]
    return (
        f"Cropped to the embryo ({params.field_of_view} radii to each side), "
        f"{params.image_size} pixels. Embryos found: {', '.join(each)}; of the others the whole "
        "image is used."
    )
