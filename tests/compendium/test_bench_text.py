"""What the README says of the bench is what the bench measured."""

import json

import pandas as pd
import pytest

from compendium.bench.text import growth_text, speed_text

MACHINE = dict(
    processor="Some CPU", threads=2, torch="9.9", device="CPU", commit="abcdef0123", bfloat16=False
)


@pytest.fixture
def bench(tmp_path):
    sections = dict(
        speed=pd.DataFrame(
            dict(what=["train_step", "decode"], unit=["ms", "images/s"], ours=[10.0, 870.0],
                 reference=[25.0, None], ratio=[2.5, None], repeats=5)
        ),
        growth=pd.DataFrame(
            dict(what=["stack", "stack"], images=[100, 1000], seconds=[1.0, 10.0],
                 images_per_second=[100.0, 100.0], memory_mb=[3.0, 4.0])
        ),
        precision=pd.DataFrame(
            dict(precision=["32-true"] * 2 + ["bf16-mixed"] * 2, seed=[0, 1, 0, 1],
                 auc=[0.90, 0.94, 0.92, 0.95])
        ),
        quality=pd.DataFrame(
            dict(recipe=["ours", "seed"] * 2, seed=[0, 0, 1, 1], level=0.9, trained=4.5,
                 reached=[0.1, 2.0, 0.1, 1.0], kept=[0.5, 2.0, 0.5, None],
                 sooner_reached=[None, 20.0, None, 10.0], sooner_kept=[None, 4.0, None, 9.0])
        ),
    )  # fmt: skip
    path = tmp_path / "bench.json"
    path.write_text(
        json.dumps(
            {
                name: dict(machine=MACHINE, rows=json.loads(rows.to_json(orient="records")))
                for name, rows in sections.items()
            }
        )
    )
    return path


def test_speed_precision_and_quality_are_told_with_their_machine(bench):
    text = speed_text(bench)
    assert "| train_step | 10 ms | 25 ms | 2.50 |" in text
    assert "| decode | 870 images/s |  |  |" in text
    assert "1 of 2 lie within the spread of float32, the means differ by +0.015" in text
    # by hand: standard error 0.025, 1.85 degrees of freedom
    assert "+0.015 [-0.101, 0.131] (95 %, Welch)" in text
    assert "| 0 | 0.900 | 0.10 min | 2.00 min, 20.0 times ours | 0.50 min | 2.00 min, 4.0" in text
    assert "| 0.50 min | never, at least 9.0 times ours | 4.5 min |" in text
    assert "takes 15.0 times (10.0 to 20.0) to be good first" in text
    assert "and at least 6.5 times (4.0 to 9.0) to stay good" in text
    assert "medians of 2 seeds; the ranges hold the true median with 50 % confidence" in text
    machine = (
        "Some CPU, which has no bfloat16 instructions; 2 thread(s), torch 9.9, code of abcdef0"
    )
    assert text.count(machine) == 3


def test_a_million_images_are_counted_at_the_rate_of_the_largest(bench):
    text = growth_text(bench)
    assert "| decode into a stack | 1000 | 10.00 | 100 | 4 |" in text
    assert "decode into a stack 2 h 46 min" in text
