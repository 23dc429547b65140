"""Our side of a claim: prediction tables of a run, checked against its record."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lib.evaluation.arms import combine_folds
from lib.evaluation.statistics import metric_intervals, paired_difference
from lib.keys import file_digest
from lib.params import InputError
from lib.results import RECORD, Finished, read_table

THRESHOLDS = "frozen_thresholds"


@dataclass(frozen=True)
class Ours:
    """A number of ours with its 95 % interval, n images."""

    value: float
    low: float
    high: float
    n: int


@dataclass
class Evidence:
    """Kept predictions of one run.

    Attributes
    ----------
    profile : str
    rung : "stored" or "retrained"
        Whether the tables are kept ones, or come from a run of this checkout.
    predictions
        (notebook, domain in lower case) to its prediction table, one row an image, arm and seed.
    thresholds
        (notebook, domain, arm) to the frozen threshold.
    synthetic
        Domains (in lower case) whose images are phantoms, all or in part.
    """

    profile: str
    rung: str
    predictions: Mapping[tuple[str, str], pd.DataFrame]
    thresholds: Mapping[tuple[str, str, str], float]
    synthetic: frozenset[str] = field(default_factory=frozenset)

    def number(self, key: str) -> Ours | None:
        """Our metric ``notebook.domain.arm.metric`` with its interval; None if not in this run."""
        found = self._find(key)
        if found is None:
            return None
        table, threshold, metric = found
        row = _all_metrics(_Frozen(table), threshold).set_index("metric").loc[metric]
        return Ours(float(row["value"]), float(row["low"]), float(row["high"]), int(row["n"]))

    def difference(self, first: str, second: str) -> Ours | None:
        """Metric ``first`` minus ``second``, paired where both judge the same images."""
        a, b = self._find(first), self._find(second)
        if a is None or b is None:
            return None
        found = paired_difference(b[0], a[0], a[2], b[1], a[1])
        return Ours(found["difference"], found["low"], found["high"], found["n"])

    def _find(self, key: str) -> tuple[pd.DataFrame, float, str] | None:
        notebook, domain, arm, metric = key.split(".")
        threshold = self.thresholds.get((notebook, domain, arm))
        table = self.predictions.get((notebook, domain))
        if threshold is None or table is None:
            return None
        return table[table["arm"] == arm], threshold, metric


class _Frozen:
    """A table as a cache key, by identity of its content."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self.mark = hash(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())

    def __hash__(self) -> int:
        return self.mark

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and other.mark == self.mark


@functools.lru_cache(maxsize=4096)
def _all_metrics(frozen: _Frozen, threshold: float) -> pd.DataFrame:
    return metric_intervals(frozen.table, threshold)


def read_evidence(folder: str | Path, notebook: str = "*") -> Evidence:
    """Read the predictions of every finished notebook in a results folder, or of one.

    Raises
    ------
    InputError
        No such folder, no predictions in it, or a file that was changed since its run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such results folder. Run: make reproduce")
    predictions, thresholds, synthetic, profile = {}, {}, set(), folder.name
    for place in sorted(path.parent for path in folder.glob(f"{notebook}/{RECORD}")):
        finished = Finished(place.name, place)
        record = finished.record()
        profile = record["parameters"]["profile"]
        params = record["parameters"]
        if params["data_kind"] == "phantom":
            synthetic |= {params[f"{which}_domain"].lower() for which in _DOMAINS}
        if params["second_target_optics"]:
            synthetic.add(params["second_target_domain"].lower())
        limits = place / "tables" / f"{THRESHOLDS}.csv"
        if not limits.is_file():
            continue
        for row in _verified(limits, place, record).itertuples():
            thresholds[place.name, row.domain.lower(), row.arm] = row.threshold
        for path in sorted(place.glob("predictions/*.csv")):
            if path.stem == "validation":  # of the fold's own model: not a judged set
                continue
            table = _verified(path, place, record)
            for domain, part in table.groupby("domain"):
                predictions[place.name, str(domain).lower()] = combine_folds(part)
    if not predictions:
        raise InputError(
            f"{folder}: no predictions of a finished run in it. Run: make reproduce PROFILE="
            f"{folder.name}"
        )
    rung = "stored" if folder.resolve().parent.name == "reference" else "retrained"
    return Evidence(profile, rung, predictions, thresholds, frozenset(synthetic))


_DOMAINS = ("source", "target", "second_target")


def _verified(path: Path, place: Path, record: dict) -> pd.DataFrame:
    name = path.relative_to(place).as_posix()
    if record["files"].get(name) != file_digest(path):
        raise InputError(
            f"{path}: not the file that the run wrote (its SHA-256 differs from {RECORD}). "
            f"Restore it, or run the notebook {place.name} again."
        )
    return read_table(path)
