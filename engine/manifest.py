"""What is collected from all notebooks of a run: metrics and manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.keys import file_digest
from engine.notebooks import notebook_paths
from engine.parameters import load_params
from engine.paths import LOCK, ROOT, results_root, stamp_path
from engine.results import METRICS, Finished, file_digests, git_commit, write_atomically

MANIFEST = "manifest.json"


def write_metrics(profile: str) -> None:
    """Write ``metrics.json`` of a run: the metrics of all its notebooks, sorted.

    Raises
    ------
    InputError
        A notebook has no finished results.
    """
    metrics = {name: metric for one in _finished(profile) for name, metric in one.metrics().items()}
    _write_json(results_root() / profile / METRICS, dict(sorted(metrics.items())))


def write_manifest(profile: str, data: str, beside: Sequence[str] = ()) -> None:
    """Write ``manifest.json``: parameters, code, data and the hash of every file of a run.

    ``data`` is the fingerprint of the images; ``beside`` names files that are no notebook's.

    Raises
    ------
    InputError
        A notebook has no finished results.
    """
    folder = results_root() / profile
    records = {one.notebook: one.record() for one in _finished(profile)}
    params = load_params(ROOT / "params" / f"{profile}.yaml", profile=profile)
    files = {name: file_digest(folder / name) for name in (METRICS, *beside)}
    for name in records:
        files[f"{name}.ipynb"] = file_digest(folder / f"{name}.ipynb")
        files |= {f"{name}/{file}": sha for file, sha in file_digests(folder / name).items()}
    manifest = {
        "profile": profile,
        "commit": git_commit(),
        "lock": file_digest(ROOT / LOCK),
        "parameters": params.model_dump(),
        "data": data,
        "device": sorted({record["device"] for record in records.values()}),
        "seconds": round(sum(record["seconds"] for record in records.values()), 1),
        "notebooks": {
            name: {
                "key": stamp_path(name, profile).read_text(),
                **{field: record[field] for field in ("commit", "device", "seconds", "parents")},
            }
            for name, record in records.items()
        },
        "files": dict(sorted(files.items())),
    }
    _write_json(folder / MANIFEST, manifest)


def _finished(profile: str) -> list[Finished]:
    study = load_params(ROOT / "params" / f"{profile}.yaml", profile=profile).study
    folder = results_root() / profile
    return [Finished(path.stem, folder / path.stem) for path in notebook_paths(study)]


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
