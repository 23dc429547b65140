"""What is made when all notebooks of a run are done: metrics, cards, manifest, claims."""

from __future__ import annotations

from compendium.cards import DATA_CARD, write_cards
from compendium.claims.evidence import THRESHOLDS
from compendium.claims.report import write_claims
from engine.manifest import write_manifest, write_metrics
from engine.paths import results_root


def collect(profile: str, data: str) -> None:
    """Write ``metrics.json``, the cards, ``manifest.json`` and the claims of a run.

    ``data`` is the fingerprint of the images.

    Raises
    ------
    InputError
        A notebook has no finished results.
    """
    folder = results_root() / profile
    write_metrics(profile)
    split = any(folder.glob("*/tables/split.csv"))  # else there are no images to speak of
    if split:
        write_cards(folder, data)
    write_manifest(profile, data, [DATA_CARD] if split else [])
    if any(folder.glob(f"*/tables/{THRESHOLDS}.csv")):  # something was judged
        write_claims(folder)
