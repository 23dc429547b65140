"""What the bench has measured, on which machine: one JSON file, a section at a time."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from compendium.bench.fidelity import measure_fidelity
from compendium.bench.growth import measure_growth
from compendium.bench.precision import measure_precision
from compendium.bench.quality import measure_quality
from compendium.bench.speed import has_bfloat16, measure_speed
from engine.errors import InputError
from engine.results import git_commit, write_atomically

SECTIONS = {
    "speed": measure_speed,
    "growth": measure_growth,
    "precision": measure_precision,
    "quality": measure_quality,
    "fidelity": measure_fidelity,
}


def run_bench(
    out: str | Path, only: Sequence[str] = (), threads: int = 2
) -> dict[str, pd.DataFrame]:
    """Measure the sections ``only`` names, or all, and write each to ``out`` as soon as it is done.

    Sections that ``out`` holds from before and that are not measured again stay as they are, with
    the machine they were measured on. Figures go beside ``out``.

    Returns
    -------
    The table of every measured section; see the section's own function.

    Raises
    ------
    InputError
        ``out`` is no bench file.
    """
    out = Path(out)
    kept = _earlier(out)
    machine = dict(
        processor=_processor(), threads=threads, torch=torch.__version__, commit=git_commit(),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        bfloat16=has_bfloat16(),
    )  # fmt: skip
    tables = {}
    for name in only or SECTIONS:
        torch.set_num_threads(threads)
        tables[name] = SECTIONS[name](out.parent, threads)
        kept[name] = dict(machine=machine, rows=json.loads(tables[name].to_json(orient="records")))
        write_atomically(out, (json.dumps(kept, indent=1) + "\n").encode())
    return tables


def _earlier(out: Path) -> dict[str, dict]:
    if not out.is_file():
        return {}
    try:
        kept = json.loads(out.read_text())
        if not set(kept) <= set(SECTIONS):
            raise ValueError(f"it holds {', '.join(kept)}")
    except (ValueError, TypeError) as error:
        raise InputError(f"{out}: no file of the bench ({error}). Name another --out.") from None
    return kept


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in facts.read_text().splitlines()
             if line.startswith("model name")] if facts.is_file() else []  # fmt: skip
    return names[0] if names else platform.processor()
