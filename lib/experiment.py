"""Start and finish of a notebook: parameters, seeds, device, output folder, record of the run."""

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

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure

from lib.keys import file_digest
from lib.models.bundle import Bundle, save_bundle
from lib.models.training import resolve_device
from lib.models.trainings import prepare_workers
from lib.params import Params, parameters_in
from lib.paths import LOCK, ROOT, data_root, results_root
from lib.report.pictures import Pictures, save_pictures
from lib.report.style import save_figure
from lib.results import (
    METRICS,
    RECORD,
    Finished,
    file_digests,
    git_commit,
    replace_folder,
    write_atomically,
)
from lib.seeding import seed_everything, watch_operations
from lib.store import Store

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pandas", "scikit-learn", "lightning-fabric")
SCREEN_DPI = 96  # of the picture shown in the notebook


class Run:
    """One execution of a notebook.

    What it keeps goes to a hidden folder beside the results; ``finish`` puts it in their place.

    Attributes
    ----------
    params : Params
    device : torch.device
    seed : int
    data_root : Path
        Folder of the real images.
    store : Store
        Trained weights and translated images, shared by all notebooks and profiles.
    """

    def __init__(self, notebook: str, params: Params) -> None:
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
        self._figures: list[str] = []
        self._started = time.time()
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)

    def figure(self, figure: Figure, drawn: pd.DataFrame, name: str) -> None:
        """Keep a figure as PNG and SVG with the table it was drawn from, show it, close it."""
        stem = self._path("figures", name)
        self._figures.append(name)
        stem.parent.mkdir(exist_ok=True)
        picture = save_figure(figure, drawn, stem)[0]
        display(Image(picture.read_bytes(), width=round(figure.get_figwidth() * SCREEN_DPI)))
        plt.close(figure)

    def table(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Keep a table (without its index) and hand it back to be shown."""
        self._write_table("tables", name, table)
        return table

    def predictions(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Keep a prediction table; scores in full precision."""
        self._write_table("predictions", name, table)
        return table

    def pictures(self, pictures: Pictures, name: str) -> Pictures:
        """Keep what a widget shows, as ``pictures/NAME.safetensors``, and hand it back."""
        save_pictures(self._path("pictures", f"{name}.safetensors"), pictures)
        return pictures

    def translator(self, bundle: Bundle) -> None:
        """Keep a translator for use elsewhere, as ``models/ARM.safetensors``."""
        save_bundle(self._path("models", f"{bundle.arm}.safetensors"), bundle)

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
        """Write the record and put the outputs in place of those of the run before."""
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
            "figures": self._figures,
            "files": file_digests(self._partial),
        }
        write_atomically(self._partial / RECORD, (json.dumps(record, indent=1) + "\n").encode())
        replace_folder(self._partial, self._results / self.notebook)
        return Finished(self.notebook, self._results / self.notebook)

    def _path(self, kind: str, name: str) -> Path:
        if not self._partial.is_dir():
            raise RuntimeError(f"{self.notebook} is finished: run it again from start()")
        return self._partial / kind / name

    def _write_table(self, kind: str, name: str, table: pd.DataFrame) -> None:
        write_atomically(self._path(kind, f"{name}.csv"), table.to_csv(index=False).encode())


def start(notebook: str, namespace: dict[str, Any]) -> Run:
    """Start a notebook: check its parameters, seed everything, open its output folder, say so.

    Parameters
    ----------
    notebook : str
        Its name without suffix, as ``"NN_name"``.
    namespace : dict
        ``globals()`` of the notebook, where the parameters stand.

    Raises
    ------
    InputError
        A parameter is refused, or the device is not there.
    """
    run = Run(notebook, parameters_in(namespace))
    p = run.params
    if p.threads > 1 and run.device.type == "cpu":
        prepare_workers()
    images = "synthetic images (phantom)" if p.data_kind == "phantom" else "real images"
    facts = [images, f"{p.image_size} px", f"seed {p.seed}", device_name(run.device)]
    display(Markdown(f"**Profile {p.profile}** · " + " · ".join(facts)))
    return run


def device_name(device: torch.device) -> str:
    """``CPU``, or the model of the GPU."""
    return "CPU" if device.type == "cpu" else torch.cuda.get_device_name(device)


def _finite(number: float | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) else None
