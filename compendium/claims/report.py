"""What is written of the verdicts: ``claims.json``, ``claims.md``, and the notebooks' own part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from compendium.claims.book import Claim, ClaimBook, load_claims, part_of
from compendium.claims.consistency import VERDICTS, Verdict
from compendium.claims.evidence import Evidence, evidence_of, read_evidence
from compendium.claims.judgement import judge
from engine.results import Finished, write_atomically

RUNGS = {
    "arithmetic": "published figures held against each other; needs no data",
    "stored": "recomputed from kept predictions",
    "retrained": "recomputed from predictions of networks trained by this checkout",
    "none": "nothing here can be held against it",
}


def write_claims(folder: str | Path, claims: str | Path = "") -> list[Verdict]:
    """Judge every claim by the predictions in ``folder`` and write claims.json and claims.md there.

    Raises
    ------
    InputError
        No predictions, an edited file, or a claims file that is refused.
    """
    book = load_claims(claims)
    evidence = read_evidence(folder)
    verdicts = judge(book, evidence)
    content = [verdict.as_dict() for verdict in verdicts]
    folder = Path(folder)
    write_atomically(folder / "claims.json", (json.dumps(content, indent=1) + "\n").encode())
    write_atomically(folder / "claims.md", page(book, evidence, verdicts).encode())
    return verdicts


def summary(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Number of verdicts: a row a rung, a column a verdict."""
    table = pd.DataFrame([(v.rung, v.verdict) for v in verdicts], columns=["rung", "verdict"])
    counts = pd.crosstab(table["rung"], table["verdict"])
    columns = [verdict for verdict in VERDICTS if verdict in counts]
    return counts.loc[[rung for rung in RUNGS if rung in counts.index], columns]


def page(book: ClaimBook, evidence: Evidence, verdicts: Sequence[Verdict]) -> str:
    """The verdicts as Markdown: a summary, then a table for each of the documents."""
    claims = book.by_id()
    lines = [
        f"# Claims, judged by profile {evidence.profile}",
        "",
        f"{len(claims)} claims of {len(book.systems)} documents. Rungs: "
        + "; ".join(f"*{rung}*: {what}" for rung, what in RUNGS.items())
        + ". `reproduced` on the rung arithmetic means that the figure agrees with the others "
        "published beside it, not that anything was measured. Synthetic images never reproduce a "
        "published figure. Intervals are 95 %; those of published figures are recovered here from "
        "the one confusion matrix that fits (BCa), or from the AUC and its class counts (Hanley "
        "and McNeil).",
        "",
        markdown_table(summary(verdicts).reset_index().astype(str)),
    ]
    for system, title in book.systems.items():
        lines += ["", f"## {system}: {title}", ""]
        rows = [_row(claims[v.claim], v) for v in verdicts if v.system == system]
        lines.append(markdown_table(pd.DataFrame(rows)))
    return "\n".join(lines) + "\n"


def claim_cells(claim: Claim, verdict: Verdict) -> dict[str, str]:
    """What a table says of one verdict, by column, as plain text."""
    return {
        "claim": claim.id,
        "what": claim.what,
        "where": claim.where,
        "published": verdict.published + _limits(verdict.low, verdict.high),
        "here": _number(verdict.ours)
        + _limits(verdict.ours_low, verdict.ours_high)
        + (f", n {verdict.n}" if verdict.n else "")
        + (f", {verdict.seeds} seeds" if (verdict.seeds or 1) > 1 else ""),
        "rung": verdict.rung,
        "verdict": verdict.verdict,
        "why": verdict.why,
    }


def _row(claim: Claim, verdict: Verdict) -> dict[str, str]:
    cells = claim_cells(claim, verdict)
    return cells | {"claim": f"`{claim.id}`", "verdict": f"**{verdict.verdict}**"}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _limits(low: float | None, high: float | None) -> str:
    return "" if low is None else f" [{low:.3f}, {high:.3f}]"


def markdown_table(frame: pd.DataFrame) -> str:
    """A table as Markdown, without its index."""

    def line(cells) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    rows = [line(row) for row in frame.itertuples(index=False)]
    return "\n".join([line(frame.columns), line(["---"] * len(frame.columns)), *rows])


def claims_of(finished: Finished) -> pd.DataFrame:
    """The claims whose number of ours stands in this notebook, judged by what it has kept.

    Columns claim, published, here, low, high, n, seeds, rung, verdict, why.
    """
    book = load_claims()
    mine = {c.id for c in book.claims if finished.notebook in _notebooks(c)}
    verdicts = []
    if mine:
        evidence = evidence_of(finished.folder.parent, finished.notebook)
        verdicts = [v.as_dict() for v in judge(part_of(book, mine), evidence) if v.claim in mine]
    names = ["claim", "published", "ours", "ours_low", "ours_high", "n", "seeds", "rung", "verdict",
             "why"]  # fmt: skip
    return pd.DataFrame(verdicts, columns=names).rename(
        columns=dict(ours="here", ours_low="low", ours_high="high")
    )


def _notebooks(claim) -> set[str]:
    keys = getattr(claim, "here", None) or ()
    return {key.split(".")[0] for key in ([keys] if isinstance(keys, str) else keys)}
