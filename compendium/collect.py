"""What is made when all notebooks of a run are done: metrics, cards, manifest, claims."""

from __future__ import annotations

from engine.manifest import write_manifest, write_metrics
from engine.paths import results_root

# Cards and claims take seconds to import: they are, where a run has something for them.


def collect(profile: str, data: str) -> None:
    """Write ``metrics.json``, the cards, ``manifest.json`` and the claims of a run.

    ``data`` is the fingerprint of the images. Without a split table there are no images to speak
    of, without predictions nothing was judged.

    Raises
    ------
    InputError
        A notebook has no finished results.
    """
    folder = results_root() / profile
    write_metrics(profile)
    cards = []
    if any(folder.glob("*/tables/split.csv")):
        from compendium.cards import DATA_CARD, write_cards

        write_cards(folder, data)
        cards = [DATA_CARD]
    write_manifest(profile, data, cards)
    if any(folder.glob("*/predictions/*.csv")):
        from compendium.claims.report import write_claims

        write_claims(folder)
