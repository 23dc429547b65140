"""Pieces of HTML and Markdown that several pages are made of."""

from __future__ import annotations

import html
from collections.abc import Sequence

PERCENT = "95\N{NO-BREAK SPACE}%"


def escaped(text: object) -> str:
    """Text for HTML, also between quotation marks."""
    return html.escape(str(text))


def scrolling(table: str, label: str) -> str:
    """A table in a frame of its own that scrolls, by keyboard too, so that the page does not."""
    return (
        f'<div class="scrolling" role="region" tabindex="0" aria-label="{escaped(label)}">'
        f"{table}</div>"
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], label: str) -> str:
    """A table of cells that are HTML already, its columns named in text."""
    head = "".join(f'<th scope="col">{escaped(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows)
    return scrolling(
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>", label
    )


def details(summary: str, content: str) -> str:
    """Text kept as it is, folded; opens without a script."""
    return (
        f"<details><summary>{escaped(summary)}</summary>"
        f'<pre class="trail">{escaped(content)}</pre></details>'
    )
