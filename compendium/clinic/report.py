"""The page that `translate` writes beside the images: pairs, gate scores, warnings."""

from __future__ import annotations

import html
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from compendium.clinic.pages import page, thumbnail
from engine.results import write_atomically
from lib.models.bundle import Bundle

SHOWN = 120  # pairs on the page, the strange ones first


def write_page(
    path: Path, table: pd.DataFrame, excluded: int, images: Path, out: Path, bundle: Bundle
) -> None:
    """Write the page; ``table`` is that of ``compendium.clinic.translation.translate_folder``."""
    p, names = bundle.params, bundle.params.label_names
    stopped = int((~table["passes"]).sum())
    unfound = int((~table["found"]).sum())
    limit = bundle.gate.classifier.threshold
    facts = [
        f"{len(table)} images translated from {bundle.domain} to {p.source_domain} by "
        f"{bundle.arm}; {excluded} files could not be read"
        f"{': excluded.csv says which, and why' if excluded else ''}.",
        f"<span class='stop'>{stopped}</span> lie outside what the classifier knows (gate above "
        f"{bundle.gate.threshold:.3f}): do not rely on their translation.",
        f"In <span class='stop'>{unfound}</span> the embryo was not found and the whole image was "
        "used." if p.framing == "embryo" else "Whole images were used.",
        f"Trained on {'synthetic phantoms' if p.data_kind == 'phantom' else 'real images'}. "
        "Research only: not a medical device.",
        f"Called {html.escape(names[1])} at a score of {limit:.3f} or more, the threshold frozen "
        f"on {p.source_domain} validation images.",
        f"What the translator saw, and where it fails: {bundle.arm}.md, beside its weights.",
    ]  # fmt: skip
    order = table.assign(strange=~table["passes"]).sort_values(
        ["strange", "gate"], ascending=False, kind="stable"
    )
    shown = list(order.head(SHOWN).itertuples())
    with ThreadPoolExecutor() as pool:
        pairs = list(pool.map(lambda row: _pair(row, images, out, names), shown))
    more = f"<p>The first {SHOWN} by gate score.</p>" if len(table) > SHOWN else ""
    write_atomically(path, page("Translated images", facts, more + "".join(pairs)).encode())


def _pair(row, images: Path, out: Path, names: dict[int, str]) -> str:
    file = html.escape(row.file)
    before = thumbnail(images / row.file)
    after = thumbnail(out / row.output)
    verdict = "" if row.passes else " <span class='stop'>outside</span>"
    found = "" if row.found else "<br><span class='stop'>embryo not found</span>"
    return (
        f"<figure><img src='{before}' alt='{file}, as it came'> "
        f"<img src='{after}' alt='{file}, translated'><figcaption>{file}<br>gate {row.gate:.3f}"
        f"{verdict}, score {row.score:.3f}: {html.escape(names[row.called])}"
        f"{found}</figcaption></figure>"
    )
