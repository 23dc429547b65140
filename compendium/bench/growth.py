"""How time and memory grow with the number of images, from files to translated files."""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from compendium.bench.figures import growth_plot
from compendium.bench.speed import save_random_bundle
from compendium.bench.steps import QUICK
from compendium.clinic.translation import translate_folder
from engine.progress import progress, silence
from lib.data.images import load_stack
from lib.data.sources import open_source
from lib.figures.style import save_figure
from lib.models.parameters import TranslationParameters

COUNTS = (100, 1_000, 10_000)
SIZE = 128  # pixels of the stack
BUDGET = 16  # MiB, what 1 000 images just fit


def measure_growth(folder: Path, threads: int) -> pd.DataFrame:
    """Decode images into a stack, and translate folders, of ``COUNTS`` images of 128 px.

    Each in a process of its own. The stack's budget is ``BUDGET`` MiB: beyond, it is mapped to a
    file, whose pages the system takes back when it needs them; what counts as memory is the rest.
    A figure goes to ``folder``.

    Returns
    -------
    Columns what, images, seconds, images_per_second, memory_mb (largest use of memory beyond that
    before the first image, MiB).
    """
    rows = []
    with tempfile.TemporaryDirectory() as place:
        files = Path(place) / "set"
        _pictures(files, max(COUNTS))
        tasks = [(what, count) for what in (stack, translation) for count in COUNTS]
        for what, count in progress(tasks, len(tasks), label="sizes"):
            part = Path(place) / f"{count}"
            if not part.exists():
                part.mkdir()
                for path in sorted(files.iterdir())[:count]:
                    (part / path.name).hardlink_to(path)
                _label(part)
            with multiprocessing.get_context("spawn").Pool(1, silence) as pool:
                found = pool.apply(_measured, (what, part, threads))
            rows.append(dict(what=what.__name__, images=count, **found))
    table = pd.DataFrame(rows)
    table.insert(3, "images_per_second", table["images"] / table["seconds"])
    save_figure(*growth_plot(table, BUDGET), folder / "bench_growth")
    return table


def stack(files: Path) -> Callable[[], Any]:
    """Decoding into one stack."""
    params = TranslationParameters(
        data_kind="table", data_dir=files.name, source_domain="a", target_domain="b",
        second_target_domain="c", second_target_optics="ED1", image_size=SIZE, framing="whole",
    )  # fmt: skip
    source = open_source(params, files.parent)
    ids = source.table().query("domain != 'c'")["id"].tolist()
    mapped = files.parent / "mapped"
    return lambda: load_stack(source, ids, SIZE, "grey", "pad", folder=mapped, budget_mb=BUDGET)


def translation(files: Path) -> Callable[[], Any]:
    """The clinic's command: from a folder to translated files, table and page."""
    weights = files.parent / "w.safetensors"
    if not weights.exists():
        save_random_bundle(
            weights, TranslationParameters(**QUICK, framing="whole", classifier="test_resnet")
        )
    out = files.with_name(f"{files.name}-translated")
    return lambda: translate_folder(weights, files, out)


def _measured(what: Callable, files: Path, threads: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    call = what(files)
    before, largest, done = _anonymous_mb(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            largest[0] = max(largest[0], _anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        call()
    finally:
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    return dict(seconds=seconds, memory_mb=max(0.0, largest[0] - before))


def _anonymous_mb() -> float:
    """Memory of this process that no file backs, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def _pictures(folder: Path, count: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        rough = Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8))
        rough.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(folder / f"{number:05d}.png")


def _label(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    lines = [f"{name},{'ab'[n % 2]},{n // 2 % 2}" for n, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["file,domain,label", *lines]))
