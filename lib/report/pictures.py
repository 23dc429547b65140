"""Pictures in executed notebooks, and which figure of the run each of them is."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path


def png_of(output: dict) -> bytes | None:
    """The PNG that an output of a cell shows; None where it shows none."""
    shown = output.get("data", {}).get("image/png")
    return base64.b64decode("".join(shown)) if shown else None


def cell_numbers(notebook: Path) -> dict[str, int]:
    """SHA-256 of every picture in an executed notebook, to the number its cell carries there."""
    if not notebook.is_file():
        return {}
    cells = json.loads(notebook.read_text())["cells"]
    return {
        hashlib.sha256(png).hexdigest(): cell["execution_count"]
        for cell in cells
        for output in cell.get("outputs", [])
        if (png := png_of(output))
    }
