"""Functions of the compendium, shown where a notebook uses them."""

from __future__ import annotations

import inspect
from typing import Any

from IPython.display import Markdown


def show_source(*things: Any) -> Markdown:
    """The source of functions or classes as a code block."""
    code = "\n\n".join(inspect.getsource(thing).rstrip() for thing in things)
    return Markdown(f"```python\n{code}\n```")
