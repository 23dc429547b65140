"""What a notebook shows of the floor above: claims, answers to exercises, widgets.

A notebook asks for them by name, through its run. They lie in ``compendium/notebook.py``, which the
engine finds when it is asked and imports at no other time.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

MODULE = "compendium.notebook"


def notebook_part(name: str) -> Callable[..., Any]:
    """The function ``name`` of ``compendium/notebook.py``."""
    return getattr(importlib.import_module(MODULE), name)
