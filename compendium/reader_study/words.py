"""What the page of the reader study says, as HTML."""

from __future__ import annotations

import html
from pathlib import Path

from compendium.reader_study.study import Study

_STYLE = Path(__file__).with_name("page.css")

KEYS = (
    "<p class='reader-quiet'>Keys: <kbd>1</kbd>–<kbd>5</kbd> quality, <kbd>r</kbd> <kbd>t</kbd>, "
    "<kbd>b</kbd> <kbd>n</kbd>, <kbd>c</kbd> comment (<kbd>Esc</kbd> leaves it), "
    "<kbd>Enter</kbd> next. Next writes the answer down; it cannot be changed after that.</p>"
)
_LOST = (
    "<p class='reader-refused reader-hidden-message' role='alert'>The server does not answer. "
    "Reload this page and start again with the same code: every image that was counted is kept."
    "</p>"
)


def style() -> str:
    """The style sheet, and the message that the page shows when the server is gone."""
    return f"<style>{_STYLE.read_text()}</style>{_LOST}"


def note(study: Study) -> str:
    """What the images are."""
    if study.synthetic:
        return (
            "<p class='reader-note'><strong>Synthetic embryos</strong> from a simulation, no "
            "patient's.</p>"
        )
    return f"<p class='reader-note'>{html.escape(study.file.note.capitalize())}.</p>"


def welcome(study: Study) -> str:
    """What is asked, before the first image."""
    n = len(study.order(""))
    real = "raw" if study.synthetic else "real"
    label_0, label_1 = map(html.escape, study.file.label_names)
    return (
        f"<h1>Reader study</h1>{note(study)}"
        f"<p>You will see {n} images, one at a time, some of them twice. Of each we ask its "
        f"quality from 1 (poor) to 5 (excellent), whether it is <em>{real}</em> (as the device "
        "took it, in grey) or <em>translated</em> (made by a program to look like another "
        f"device's), and whether it shows <em>{label_1}</em> or <em>{label_0}</em>.</p>"
        f"{KEYS}<p>Stop whenever you like: the same code goes on where you stopped.</p>"
        "<p><strong>Your code</strong> (letters, digits, - and _; not your name):</p>"
    )


def thanks(n: int, path: Path) -> str:
    """The end."""
    return (
        f"<h1>Thank you</h1><p role='status'>All {n} images are answered; the answers are kept in "
        f"{html.escape(path.name)}. You can close this page.</p>"
    )


def problem(error: Exception) -> str:
    """Why the study cannot be shown."""
    return (
        "<h1>The study cannot go on</h1><p class='reader-refused' role='alert'>"
        f"{html.escape(str(error))}</p>"
    )
