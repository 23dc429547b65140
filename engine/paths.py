"""Where things lie: the project, the results, the real images."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"


def results_root() -> Path:
    """Folder of all results: ``COMPENDIUM_RESULTS``, else ``results`` of the project."""
    return Path(os.environ.get("COMPENDIUM_RESULTS", ROOT / "results")).resolve()


def data_root() -> Path:
    """Folder of the real images: ``COMPENDIUM_DATA``, else ``data`` of the project.

    It is no parameter of a notebook, so that executed notebooks name no path of a machine.
    """
    return Path(os.environ.get("COMPENDIUM_DATA", ROOT / "data")).resolve()


def stamp_path(notebook: str, profile: str) -> Path:
    """The file that holds the key of a notebook's results."""
    return results_root() / profile / f".{notebook}.key"
