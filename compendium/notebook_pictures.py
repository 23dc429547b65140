"""Pictures in executed notebooks, and which figure of the run each of them is."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

ORIGINAL = "sha256"  # among the metadata of a picture that was reduced


def png_of(output: dict) -> bytes | None:
    """The PNG that an output of a cell shows; None where it shows none."""
    shown = output.get("data", {}).get("image/png")
    return base64.b64decode("".join(shown)) if shown else None


def digest_of(output: dict) -> str | None:
    """SHA-256 of the picture of an output as the run drew it; None where it shows none.

    A kept notebook shows reduced pictures and names the digest of each one's original.
    """
    png = png_of(output)
    if png is None:
        return None
    noted = output.get("metadata", {}).get("image/png", {}).get(ORIGINAL)
    return noted or hashlib.sha256(png).hexdigest()


def cell_numbers(notebook: Path) -> dict[str, int]:
    """SHA-256 of every picture in an executed notebook, to the number its cell carries there."""
    if not notebook.is_file():
        return {}
    cells = json.loads(notebook.read_text())["cells"]
    return {
        digest: cell["execution_count"]
        for cell in cells
        for output in cell.get("outputs", [])
        if (digest := digest_of(output))
    }
