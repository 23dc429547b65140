"""The source of functions and classes, as a notebook shows it where it uses them."""

from __future__ import annotations

import inspect
from typing import Any


def source_of(*things: Any) -> str:
    """The source of functions or classes, one after the other."""
    return "\n\n".join(inspect.getsource(thing).rstrip() for thing in things)
