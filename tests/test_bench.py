"""The bench runs and writes what it measured; how fast it is, no test asks."""

import json
from functools import partial

import numpy as np
import pytest

from lib import bench


def test_every_measure_gives_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "REPEATS", 1)
    monkeypatch.setattr(bench, "PICTURES", 16)
    tiny = dict(image_size=32, base_filters=4, blocks=1, translator_batch=2)
    steps = [partial(bench.train_step, "tiny", tiny, kind) for kind in ("32-true", "bf16-mixed")]
    others = [bench.translation, bench.reading, bench.phantoms]
    monkeypatch.setattr(bench, "MEASURES", steps + others)
    table = bench.run_bench(tmp_path / "bench.json", threads=1)
    assert table["what"].is_unique
    assert (table["ours"] > 0).all()
    paired = table.dropna(subset=["reference", "ratio"])
    assert len(paired) == 3  # two kinds of step, and translation
    by_hand = np.where(paired["unit"] == "ms", paired["reference"] / paired["ours"],
                       paired["ours"] / paired["reference"])  # fmt: skip
    assert paired["ratio"].to_numpy() == pytest.approx(by_hand)
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert [row["what"] for row in kept["results"]] == table["what"].tolist()
    assert {"processor", "threads", "torch", "device"} == set(kept["machine"])
