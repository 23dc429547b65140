"""Published numbers and statements as typed claims, read from ``params/claims.yaml``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from compendium.claims.arithmetic import Printed, read_printed
from engine.errors import InputError
from engine.paths import ROOT

CLAIMS = "params/claims.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(_Strict):
    """What else is published that a number must agree with.

    ``rounds``: the same number, printed coarser than claim ``of[0]``. ``sum``: of the claims
    ``of``. ``mean``, ``sd`` (divided by k), ``cv`` (SD by mean): over the claims ``of``. ``share``:
    a share of ``n`` whole items.
    """

    kind: Literal["rounds", "sum", "mean", "sd", "cv", "share"]
    of: list[str] = []
    n: int | None = None

    @model_validator(mode="after")
    def _complete(self) -> Check:
        if self.kind == "share" and not self.n:
            raise ValueError("a share needs n")
        if self.kind != "share" and not self.of:
            raise ValueError(f"'{self.kind}' needs the claims it is made of")
        return self


class _Claim(_Strict):
    id: str = Field(pattern=r"^[a-z0-9_.]+$")
    system: str
    where: str  # locator in the document
    what: str
    profile: str = ""  # which parameter file may answer it; empty: none of this compendium's
    missing: str = ""  # what a run of that profile needs that is not here


class Value(_Claim):
    """A published number.

    ``metric`` names it (``auc``, ``dice``, ``count`` …); ``table`` groups the metrics of one
    confusion matrix; ``counts`` are its possible pairs of negatives and positives. ``here`` is the
    key of our number in ``metrics.json``.
    """

    type: Literal["value"]
    published: str
    metric: str
    table: str = ""
    counts: list[tuple[int, int]] = []
    total: int | None = None
    matrix: tuple[tuple[int, int], tuple[int, int]] | None = None
    checks: list[Check] = []
    here: str = ""

    @property
    def printed(self) -> Printed:
        """The published number."""
        return read_printed(self.published)


class Difference(_Claim):
    """``of[0]`` minus ``of[1]``, two published values; ``published`` where the text prints it."""

    type: Literal["difference"]
    of: tuple[str, str]
    published: str = ""
    here: tuple[str, str] | None = None


class Ordering(_Claim):
    """The text says that ``above`` exceeds every claim of ``below``.

    ``here`` are two keys of ours, the greater first.
    """

    type: Literal["ordering"]
    above: str = ""
    below: list[str] = []
    here: tuple[str, str] | None = None


class Interval(_Claim):
    """A published range that the value ``of`` must lie in."""

    type: Literal["interval"]
    low: str
    high: str
    of: str


Claim = Annotated[Value | Difference | Ordering | Interval, Field(discriminator="type")]


class ClaimBook(_Strict):
    """All claims: ``systems`` names the documents."""

    systems: dict[str, str]
    claims: list[Claim]

    @model_validator(mode="after")
    def _agree(self) -> ClaimBook:
        known = {}
        for claim in self.claims:
            if claim.id in known:
                raise ValueError(f"the claim {claim.id} stands there twice")
            if claim.system not in self.systems:
                raise ValueError(f"{claim.id}: no system '{claim.system}'")
            known[claim.id] = claim
        for claim in self.claims:
            for other in references(claim):
                if not isinstance(known.get(other), Value):
                    raise ValueError(f"{claim.id}: '{other}' is no claim of type value")
            for text in _texts(claim):
                read_printed(text)
        return self

    def by_id(self) -> dict[str, Claim]:
        """Claims by id."""
        return {claim.id: claim for claim in self.claims}


def references(claim: Claim) -> list[str]:
    """Ids of the published values that ``claim`` is about, other than itself."""
    if isinstance(claim, Value):
        return [other for check in claim.checks for other in check.of]
    if isinstance(claim, Ordering):
        return [*([claim.above] if claim.above else []), *claim.below]
    return list(claim.of) if isinstance(claim, Difference) else [claim.of]


def part_of(book: ClaimBook, names: Iterable[str]) -> ClaimBook:
    """The claims ``names`` with everything their verdicts rest on, in the order of the book.

    That is what they refer to, and all metrics of the same table, which share a confusion matrix.
    """
    known = book.by_id()
    mates: dict[str, set[str]] = {}
    for claim in book.claims:
        mates.setdefault(getattr(claim, "table", "") or claim.id, set()).add(claim.id)
    wanted, new = set(), set(names)
    while new:
        wanted |= new
        claims = [known[name] for name in new]
        new = {other for claim in claims for other in references(claim)}
        new |= {mate for claim in claims for mate in mates[getattr(claim, "table", "") or claim.id]}
        new -= wanted
    kept = [claim for claim in book.claims if claim.id in wanted]
    return book.model_copy(update=dict(claims=kept))


def _texts(claim: Claim) -> list[str]:
    if isinstance(claim, Interval):
        return [claim.low, claim.high]
    printed = getattr(claim, "published", "")
    return [printed] if printed else []


def _expand(entry: dict) -> list[dict]:
    """One claim a metric (and fold) from an entry whose ``published`` is a mapping.

    ``{auc: "0.81", f1: ["0.9", "0.8"]}`` becomes ``ID.auc``, ``ID.1.f1`` and ``ID.2.f1``; those of
    one table share the confusion matrix behind them.
    """
    published = entry.get("published")
    if not isinstance(published, dict):
        return [entry]
    rest = {key: value for key, value in entry.items() if key not in ("published", "checks")}
    checks = entry.get("checks", {})
    found = []
    for metric, texts in published.items():
        series = isinstance(texts, list)
        for place, text in enumerate(texts if series else [texts], start=1):
            table = f"{entry['id']}.{place}" if series else entry["id"]
            new = dict(rest, id=f"{table}.{metric}", table=table, metric=metric, published=text)
            new["checks"] = checks.get(metric, [])
            new["what"] = f"{entry['what']}{f', fold {place}' if series else ''}: {metric}"
            if entry.get("here"):
                new["here"] = f"{entry['here']}.{metric}"
            found.append(new)
    return found


def load_claims(path: str | Path = "") -> ClaimBook:
    """Read and check the claims.

    Raises
    ------
    InputError
        The file is missing or no YAML, a claim has an unknown type or field, names a claim that
        does not exist, or prints what is no number.
    """
    path = Path(path or ROOT / CLAIMS)
    if not path.is_file():
        raise InputError(f"{path}: no such claims file. Leave --claims out for {CLAIMS}.")
    try:
        raw = yaml.load(path.read_text(), yaml.BaseLoader)  # every number stays as printed
        entries = [new for entry in raw["claims"] for new in _expand(entry)]
        return ClaimBook(systems=raw["systems"], claims=entries)
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a claims file ({type(error).__name__}: {error}). It needs 'systems' and "
            "'claims' as in the one that comes with the compendium."
        ) from None
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error, entries)}") from None


def _explain(error: ValidationError, entries: list[dict]) -> str:
    problem = error.errors()[0]
    place = problem["loc"]
    name = ""
    if len(place) > 1 and place[0] == "claims":
        name = f"claim {entries[place[1]].get('id', place[1])}: "
    field = ".".join(map(str, place[2:]))
    if problem["type"] == "union_tag_invalid":
        return (
            f"{name}unknown type {problem['ctx']['tag']!r}; write value, difference, ordering or "
            "interval."
        )
    return f"{name}{field + ': ' if field else ''}{problem['msg']}."
