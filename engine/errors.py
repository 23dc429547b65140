"""The one error that is for a user and not for a programmer."""

from __future__ import annotations


class InputError(ValueError):
    """Something a user handed in cannot be used; the message names it and the remedy."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook or page shows: the message, which is for a user, and no lines of code."""
        return [f"error: {self}"]
