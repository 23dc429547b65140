"""Our side of a claim: prediction tables of a run, checked against its record."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from engine.errors import InputError
from engine.keys import safe_key
from engine.results import PACKED, RECORD, Finished, read_table, table_digest, tables_in
from lib.evaluation.metrics import combine_folds
from lib.evaluation.seeds import combine_seeds, mean_over_seeds, seed_difference
from lib.evaluation.statistics import metric_intervals, paired_difference

THRESHOLDS = "frozen_thresholds"


@dataclass(frozen=True)
class Ours:
    """A number of ours with its 95 % interval, n images, and how many trainings it is a mean of.

    ``training_share``: what part of its variance is between seeds; 0 for one.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: int = 1
    training_share: float = 0.0


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
        (notebook, domain, arm, seed) to the frozen threshold.
    synthetic
        Domains (in lower case) whose images are phantoms, all or in part.
    counts
        Numbers of images, by ``notebook.domain.what``.
    measured
        (notebook, domain in lower case) to the table of what each image measures by itself, as its
        Dice: one row an image, arm and seed, a column a metric.
    """

    profile: str
    rung: str
    predictions: Mapping[tuple[str, str], pd.DataFrame]
    thresholds: Mapping[tuple[str, str, str, int], float]
    synthetic: frozenset[str] = field(default_factory=frozenset)
    counts: Mapping[str, int] = field(default_factory=dict)
    measured: Mapping[tuple[str, str], pd.DataFrame] = field(default_factory=dict)

    def number(self, key: str) -> Ours | None:
        """Our metric ``notebook.domain.arm.metric`` with its interval, or a count without one.

        None if it is not in this run.
        """
        if key in self.counts:
            return Ours(*[float(self.counts[key])] * 3, n=self.counts[key])
        values = self._values(key)
        if values is not None:
            return _over_seeds(mean_over_seeds(values.rename("value").reset_index()))
        found = self._find(key)
        if found is None:
            return None
        table, cuts, metric = found
        if len(cuts) > 1:
            return _over_seeds(combine_seeds(table, cuts, metric))
        (threshold,) = cuts.values()
        row = _all_metrics(_Frozen(table), threshold).set_index("metric").loc[metric]
        return Ours(float(row["value"]), float(row["low"]), float(row["high"]), int(row["n"]))

    def difference(self, first: str, second: str) -> Ours | None:
        """Metric ``first`` minus ``second``, paired by image and seed; None if they cannot be."""
        values = self._values(first), self._values(second)
        if all(part is not None for part in values):
            both = pd.concat(values, axis=1, join="inner")
            if not len(both) == len(values[0]) == len(values[1]):
                return None
            apart = both.iloc[:, 0] - both.iloc[:, 1]
            return _over_seeds(mean_over_seeds(apart.rename("value").reset_index()))
        a, b = self._find(first), self._find(second)
        if a is None or b is None or set(a[1]) != set(b[1]):
            return None
        if len(a[1]) > 1:
            return _over_seeds(seed_difference(b[0], a[0], a[2], b[1], a[1]))
        (cut_a,), (cut_b,) = a[1].values(), b[1].values()
        found = paired_difference(b[0], a[0], a[2], cut_b, cut_a)
        return Ours(found["difference"], found["low"], found["high"], found["n"])

    def same_scores(self, first: str, second: str) -> bool:
        """Whether two numbers that ``difference`` compares come from the same scores, each image's.

        A metric may be equal without: two arms may both be perfect.
        """
        values = [self._values(key) for key in (first, second)]
        if all(part is not None for part in values):
            return values[0].sort_index().equals(values[1].sort_index())
        keyed = [
            found[0].set_index(["id", "seed", "fold"])["score"].sort_index()
            for found in (self._find(first), self._find(second))
        ]
        return keyed[0].equals(keyed[1])

    def _values(self, key: str) -> pd.Series | None:
        """A metric that each image measures by itself, by id, group and seed; None if there is no
        such."""
        notebook, domain, arm, *metric = key.split(".")
        table = self.measured.get((notebook, domain))
        if table is None or len(metric) != 1 or metric[0] not in table:
            return None
        own = table[table["arm"] == arm]
        return own.set_index(["id", "group", "seed"])[metric[0]] if len(own) else None

    def _find(self, key: str) -> tuple[pd.DataFrame, dict[int, float], str] | None:
        notebook, domain, arm, *metric = key.split(".")
        table = self.predictions.get((notebook, domain))
        if table is None or not metric:
            return None
        own = table[table["arm"] == arm]
        cuts = {
            seed: self.thresholds[notebook, domain, arm, seed]
            for seed in sorted(own["seed"].unique())
            if (notebook, domain, arm, seed) in self.thresholds
        }
        return (own, cuts, metric[0]) if cuts else None


def _over_seeds(found: dict) -> Ours:
    training = found["sd"] ** 2 / found["seeds"]
    share = training / (training + found["test_error"] ** 2) if training else 0.0
    return Ours(found["value"], found["low"], found["high"], found["n"], found["seeds"], share)


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


def read_evidence(folder: str | Path) -> Evidence:
    """Read the predictions of every finished notebook in a results folder.

    Raises
    ------
    InputError
        No such folder, no predictions in it, or a file that was changed since its run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such results folder. Give one of a run, as results/quick; make "
            f"reproduce PROFILE={folder.name} makes it."
        )
    evidence = evidence_of(folder, "*")
    if not evidence.predictions and not evidence.measured:
        raise InputError(
            f"{folder}: no predictions of a finished run in it. Run: make reproduce PROFILE="
            f"{folder.name}"
        )
    return evidence


def evidence_of(folder: Path, notebook: str) -> Evidence:
    """What the notebooks whose name fits ``notebook`` have kept in a results folder, if anything.

    Raises
    ------
    InputError
        A file was changed since its run.
    """
    tables, measured, thresholds, counts = {}, {}, {}, {}
    synthetic, profile = set(), folder.name
    for place in sorted(path.parent for path in folder.glob(f"{notebook}/{RECORD}")):
        finished = Finished(place.name, place)
        record = finished.record()
        profile = record["parameters"]["profile"]
        params = record["parameters"]
        if params["data_kind"] == "phantom":
            synthetic |= {safe_key(params[name]) for name in _DOMAINS if name in params}
        if params.get("second_target_optics"):
            synthetic.add(safe_key(params["second_target_domain"]))
        counts |= {
            name: metric["n"] for name, metric in finished.metrics().items() if name.count(".") == 2
        }
        limits = tables_in(place / "tables").get(THRESHOLDS)
        if limits is not None:
            for row in _verified(limits, place, record).itertuples():
                seed = getattr(row, "seed", record["seed"])  # one seed needs no column
                thresholds[place.name, safe_key(row.domain), row.arm, seed] = row.threshold
        for name, path in tables_in(place / "predictions").items():
            if name == "validation":  # of the fold's own model: not a judged set
                continue
            table = _verified(path, place, record)
            if "division" in table:  # of other hold-outs; the run's own has its table
                continue
            if not {"domain", "arm"} <= set(table):  # of parts of images, or of no domain's arms
                continue
            kind = tables if "score" in table else measured
            if kind is tables and limits is None:
                continue
            for domain, part in table.groupby("domain"):
                kind.setdefault((place.name, safe_key(str(domain))), []).append(part)
    rung = "stored" if folder.resolve().parent.name == "reference" else "retrained"
    predictions = {key: combine_folds(pd.concat(parts)) for key, parts in tables.items()}
    own = {key: pd.concat(parts, ignore_index=True) for key, parts in measured.items()}
    return Evidence(profile, rung, predictions, thresholds, frozenset(synthetic), counts, own)


_DOMAINS = ("source_domain", "target_domain", "second_target_domain")


def _verified(path: Path, place: Path, record: dict) -> pd.DataFrame:
    name = path.relative_to(place).as_posix().removesuffix(PACKED)
    if record["files"].get(name) != table_digest(path):
        raise InputError(
            f"{path}: not the file that the run wrote (its SHA-256 differs from {RECORD}). "
            f"Restore it, or run the notebook {place.name} again."
        )
    return read_table(path)
