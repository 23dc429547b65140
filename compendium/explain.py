"""Where a figure comes from: its table, predictions, weights, parameters, code and data."""

from __future__ import annotations

import json
from pathlib import Path

from compendium.notebook_pictures import cell_numbers
from engine.errors import InputError
from engine.keys import file_digest
from engine.results import RECORD


def explain(figure: str | Path) -> str:
    """The trail of a figure in ``results/PROFILE/NOTEBOOK/figures``, as text.

    Raises
    ------
    InputError
        No such file, not a figure of a run, or one that was changed since.
    """
    figure = Path(figure)
    if not figure.is_file():
        raise InputError(f"{figure}: no such file. Figures lie in results/PROFILE/NOTEBOOK/figures")
    place = figure.resolve().parent.parent
    if figure.resolve().parent.name != "figures" or not (place / RECORD).is_file():
        raise InputError(
            f"{figure}: not a figure of a run: no {RECORD} two folders above it. Give one of "
            "results/PROFILE/NOTEBOOK/figures."
        )
    if _files(place).get(f"figures/{figure.name}") != file_digest(figure):
        raise InputError(
            f"{figure}: not the file that the run wrote (its SHA-256 differs from {RECORD}). "
            f"Run the notebook {place.name} again."
        )
    return trail(place, figure.name)


def trail(place: Path, figure: str) -> str:
    """The trail of a figure by file name, from the record in ``place`` alone.

    The figure itself need not be there: of kept results the notebook shows it.
    """
    record = json.loads((place / RECORD).read_text())
    files = record["files"]
    name, stem = f"figures/{figure}", Path(figure).stem
    manifest = place.parent / "manifest.json"
    data = json.loads(manifest.read_text())["data"] if manifest.is_file() else "see run.json"
    shown = cell_numbers(place.parent / f"{place.name}.ipynb")
    cell = shown.get(files[f"figures/{stem}.png"])
    predictions = [key for key in files if key.startswith("predictions/")]
    lines = [
        f"figure      {name}  sha256 {files[name][:12]}",
        f"drawn from  figures/{stem}.csv  sha256 {files[f'figures/{stem}.csv'][:12]}",
        f"drawn by    {place.name}.ipynb" + (f", cell [{cell}]" if cell else ""),
        *_each("predictions", [f"{key}  sha256 {files[key][:12]}" for key in predictions]),
        *_each("weights", [key for key in record["store"] if _is_weights(key)]),
        *_each("after", [f"{key}  run {sha[:12]}" for key, sha in record["parents"].items()]),
        f"parameters  profile {record['parameters']['profile']}, seed {record['seed']} "
        f"(all in {place.name}/{RECORD})",
        f"code        commit {record['commit'] or 'unknown'}, lock {record['lock'][:12]}",
        f"data        {record['parameters']['data_kind']}, {data}",
        f"device      {record['device']}, {record['seconds']} s",
    ]
    return "\n".join(lines)


def _files(place: Path) -> dict[str, str]:
    return json.loads((place / RECORD).read_text())["files"]


def _is_weights(key: str) -> bool:
    return key.endswith(".safetensors") and not key.startswith("stacks/")


def _each(title: str, values: list[str]) -> list[str]:
    values = values or ["none"]
    heads = [title] + [""] * (len(values) - 1)
    return [f"{head:<12}{value}" for head, value in zip(heads, values, strict=True)]
