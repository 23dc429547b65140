"""The published claims and the verdicts on them, as one table that can be filtered."""

from __future__ import annotations

from collections.abc import Sequence

from compendium.claims.book import ClaimBook, load_claims
from compendium.claims.consistency import VERDICTS, Verdict
from compendium.claims.report import RUNGS, claim_cells, summary
from compendium.site.markup import PERCENT, escaped, scrolling, table
from compendium.site.run import SiteRun
from engine.errors import InputError

FILTERS = {"system": "Document", "verdict": "Verdict", "rung": "Rung"}
MEANINGS = {
    "reproduced": "it agrees",
    "direction only": "the same direction, but another size or synthetic images",
    "contradicted": "what was found here excludes it, chance allowed for",
    "inconclusive": "the interval found here is too wide to tell",
    "inconsistent": "other published figures exclude it",
    "not run": "this run cannot say",
}


def claims_page(run: SiteRun) -> str:
    """The page, as MyST Markdown.

    Raises
    ------
    InputError
        The verdicts are on other claims than those of the claims file.
    """
    book = load_claims()
    verdicts = [Verdict(**fields) for fields in run.verdicts()]
    unknown = {verdict.claim for verdict in verdicts} - set(book.by_id())
    if unknown:
        raise InputError(
            f"{run.folder}: claim '{min(unknown)}' is judged there and no longer in the claims "
            f"file. Run `make claims PROFILE={run.profile}` again."
        )
    return "\n".join(
        [
            "---\nhtml_theme.sidebar_secondary.remove: true\n---",
            "# Published claims",
            "",
            f"{len(book.claims)} figures and statements of {len(book.systems)} documents, held "
            "against each other and against this run. Some are judged on two rungs.",
            "",
            *meanings(verdicts),
            "",
            "`reproduced` on the rung arithmetic says that a figure agrees with those printed "
            "beside it, not that anything was measured. Synthetic images never reproduce a "
            f"published figure; this run is on {run.images}. Intervals are {PERCENT}.",
            "",
            counts(verdicts),
            "",
            "## The documents",
            "",
            *(f"- {system}: {title}" for system, title in book.systems.items()),
            "",
            "## Every verdict",
            "",
            _controls(book, verdicts),
            "",
            _verdicts(book, verdicts),
        ]
    )


def meanings(verdicts: Sequence[Verdict]) -> list[str]:
    """Lists in Markdown: what the rungs and the verdicts that occur mean."""
    rungs = {verdict.rung for verdict in verdicts}
    given = {verdict.verdict for verdict in verdicts}
    return [
        *(f"- Rung *{rung}*: {words}" for rung, words in RUNGS.items() if rung in rungs),
        *(f"- Verdict *{name}*: {words}" for name, words in MEANINGS.items() if name in given),
    ]


def counts(verdicts: Sequence[Verdict]) -> str:
    """Number of verdicts by rung, as a table in HTML."""
    numbers = summary(verdicts).reset_index()
    rows = [[escaped(cell) for cell in row] for row in numbers.itertuples(index=False)]
    return table([str(column) for column in numbers.columns], rows, "Verdicts by rung")


def _controls(book: ClaimBook, verdicts: Sequence[Verdict]) -> str:
    """Choices that a script shows; without it the table is whole."""
    there = {
        "system": list(book.systems),
        "verdict": [name for name in VERDICTS if any(v.verdict == name for v in verdicts)],
        "rung": [name for name in RUNGS if any(v.rung == name for v in verdicts)],
    }
    choices = []
    for name, label in FILTERS.items():
        options = "".join(f"<option>{escaped(value)}</option>" for value in there[name])
        choices.append(
            f'<label>{label} <select name="{name}"><option value="">all</option>{options}'
            "</select></label>"
        )
    return (
        f'<form id="claims-filter" hidden>{"".join(choices)}<output aria-live="polite"></output>'
        "</form>"
    )


def _verdicts(book: ClaimBook, verdicts: Sequence[Verdict]) -> str:
    claims = book.by_id()
    rows, columns = [], []
    for verdict in verdicts:
        cells = claim_cells(claims[verdict.claim], verdict)
        columns = list(cells)
        marks = "".join(f' data-{name}="{escaped(getattr(verdict, name))}"' for name in FILTERS)
        filled = "".join(
            f'<td data-column="{column}">{_cell(column, value)}</td>'
            for column, value in cells.items()
        )
        rows.append(f"<tr{marks}>{filled}</tr>\n")
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return scrolling(
        f'<table id="claims"><thead><tr>{head}</tr></thead>\n<tbody>\n{"".join(rows)}</tbody>'
        "</table>",
        "Every verdict",
    )


def _cell(column: str, value: str) -> str:
    text = escaped(value)
    if column == "verdict":
        return f'<span class="verdict {text.replace(" ", "-")}">{text}</span>'
    return f"<code>{text}</code>" if column == "claim" else text
