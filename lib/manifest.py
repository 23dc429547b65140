"""What is collected from all notebooks of a run: metrics and manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lib.keys import file_digest
from lib.notebooks import notebook_paths
from lib.params import load_params
from lib.paths import LOCK, ROOT, results_root, stamp_path
from lib.report.cards import DATA_CARD, write_cards
from lib.report.claims_report import write_claims
from lib.report.evidence import THRESHOLDS
from lib.results import METRICS, Finished, file_digests, git_commit, write_atomically

MANIFEST = "manifest.json"


def collect(profile: str, data: str) -> None:
    """Write ``metrics.json`` (all metrics, sorted), the cards, ``manifest.json`` and the claims.

    ``data`` is the fingerprint of the images.

    Raises
    ------
    InputError
        A notebook has no finished results.
    """
    folder = results_root() / profile
    finished = [Finished(path.stem, folder / path.stem) for path in notebook_paths()]
    metrics = {name: metric for one in finished for name, metric in one.metrics().items()}
    _write_json(folder / METRICS, dict(sorted(metrics.items())))
    records = {one.notebook: one.record() for one in finished}
    params = load_params(ROOT / "params" / f"{profile}.yaml", profile=profile)
    files = {METRICS: file_digest(folder / METRICS)}
    if any(folder.glob("*/tables/split.csv")):  # images were split
        write_cards(folder, data)
        files[DATA_CARD] = file_digest(folder / DATA_CARD)
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
    if any(folder.glob(f"*/tables/{THRESHOLDS}.csv")):  # something was judged
        write_claims(folder)


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
