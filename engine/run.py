"""The run of a notebook, from start to finish: seeds, device, output folder, record."""

from __future__ import annotations

import json
import math
import platform
import re
import shutil
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from engine.fabric import device_name, resolve_device
from engine.keys import file_digest
from engine.parameters import Parameters
from engine.paths import LOCK, ROOT, data_root, results_root
from engine.results import (
    METRICS,
    RECORD,
    Finished,
    file_digests,
    git_commit,
    replace_folder,
    write_atomically,
)
from engine.seeding import seed_everything, watch_operations
from engine.store import Store
from engine.upper import notebook_part

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pandas", "scikit-learn", "lightning-fabric")


class Run:
    """One execution of a notebook.

    What it keeps goes to a hidden folder beside the results; ``finish`` puts it in their place.

    Attributes
    ----------
    params : Parameters
    device : torch.device
    seed : int
    data_root : Path
        Folder of the real images.
    store : Store
        Trained weights and translated images, shared by all notebooks and profiles.
    figures : list of str
        Names of the figures, in the order in which they were kept.
    """

    def __init__(self, notebook: str, params: Parameters) -> None:
        seed_everything(params.seed, params.threads, params.refuse_nondeterministic)
        self._unsteady = watch_operations()
        self.notebook = notebook
        self.params = params
        self.seed = params.seed
        self.device = resolve_device(params.device)
        self.data_root = data_root()
        self.store = Store(results_root() / "store")
        self._results = results_root() / params.profile
        self._partial = self._results / f".{notebook}.partial"
        self._metrics: dict[str, dict[str, float | int | None]] = {}
        self._parents: dict[str, str] = {}
        self.figures: list[str] = []
        self._started = time.time()
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)

    def table(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Keep a table (without its index) and hand it back to be shown."""
        self._write_table("tables", name, table)
        return table

    def predictions(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Keep a prediction table; scores in full precision."""
        self._write_table("predictions", name, table)
        return table

    def metric(
        self,
        name: str,
        value: float,
        low: float | None = None,
        high: float | None = None,
        n: int | None = None,
        seeds: int = 1,
    ) -> None:
        """Keep one number of the results, with its 95 % interval and the number of images.

        ``name`` is ``domain.arm.metric`` (any case); the notebook's name is put before it. What is
        not finite is kept as missing.
        """
        key = f"{self.notebook}.{name.lower()}"
        if not re.fullmatch(r"[a-z0-9_.-]+", key):
            raise ValueError(f"metric '{name}': use letters, digits and underscores between dots")
        low, high, value = (_finite(number) for number in (low, high, value))
        n = None if n is None else int(n)
        self._metrics[key] = {"value": value, "low": low, "high": high, "n": n, "seeds": int(seeds)}

    def parent(self, notebook: str) -> Finished:
        """The outputs of an earlier notebook.

        Write its name as a literal: the order of the notebooks is read from these calls.

        Raises
        ------
        InputError
            That notebook has not been run in this profile.
        """
        finished = Finished(notebook, self._results / notebook)
        self._parents[notebook] = file_digest(finished.folder / RECORD)
        return finished

    def finish(self) -> Finished:
        """Write the record, put the outputs in place of those of the run before, and show the
        claims that stand on them.
        """
        metrics = json.dumps(dict(sorted(self._metrics.items())), indent=1) + "\n"
        write_atomically(self._partial / METRICS, metrics.encode())
        record = {
            "notebook": self.notebook,
            "parameters": self.params.model_dump(),
            "seed": self.seed,
            "device": device_name(self.device),
            "versions": {"python": platform.python_version()}
            | {package: version(package) for package in PACKAGES},
            "nondeterministic": sorted(self._unsteady),  # operations met in this process
            "commit": git_commit(),
            "lock": file_digest(ROOT / LOCK),
            "started": datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - self._started, 1),
            "parents": dict(sorted(self._parents.items())),
            "store": sorted(self.store.used),
            "figures": self.figures,
            "files": file_digests(self._partial),
        }
        write_atomically(self._partial / RECORD, (json.dumps(record, indent=1) + "\n").encode())
        replace_folder(self._partial, self._results / self.notebook)
        finished = Finished(self.notebook, self._results / self.notebook)
        notebook_part("show_claims")(finished)
        return finished

    def check(self, number: int, answer: Any) -> None:
        """Say whether ``answer`` to exercise ``number`` is right, never what it is."""
        notebook_part("check_answer")(
            Finished(self.notebook, self._results / self.notebook), number, answer
        )

    def widget(self, name: str, *shown: Any) -> Any:
        """The widget ``name`` on what is ``shown``, after its static twin."""
        return notebook_part("widget")(name, *shown)

    def published(self, table: str, *of: str) -> pd.DataFrame:
        """A table of published numbers, as the claims print them; nothing in it is ours."""
        return notebook_part("published")(table, *of)

    def path(self, kind: str, name: str) -> Path:
        """Where the file ``name`` of the folder ``kind`` is to be written, for ``finish`` to keep.

        Raises
        ------
        RuntimeError
            The run is finished.
        """
        if not self._partial.is_dir():
            raise RuntimeError(f"{self.notebook} is finished: run it again from start()")
        return self._partial / kind / name

    def _write_table(self, kind: str, name: str, table: pd.DataFrame) -> None:
        write_atomically(self.path(kind, f"{name}.csv"), table.to_csv(index=False).encode())


def _finite(number: float | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) else None
