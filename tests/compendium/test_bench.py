"""The bench runs and writes what it measured; how fast it is, no test asks."""

import json
import math
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from compendium.bench import fidelity, growth, quality, record, speed, steps
from engine.errors import InputError
from engine.parameters import load_params
from engine.paths import ROOT
from lib.models.translation import translate
from lib.studies.embryo import EmbryoParameters


def test_every_measure_gives_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "REPEATS", 1)
    monkeypatch.setattr(steps, "PEAK_SECONDS", 0.01)
    monkeypatch.setattr(speed, "PICTURES", 16)
    tiny = dict(image_size=32, base_filters=4, blocks=1, translator_batch=2)
    kinds = ("32-true", "bf16-mixed")
    single = [partial(steps.train_step, "tiny", tiny, kind) for kind in kinds]
    monkeypatch.setattr(steps, "TIMED_STEPS", 4)
    two = partial(steps.side_by_side, dict(**tiny, threads=2))
    two_kinds = [partial(steps.cut_step, tiny, fast) for fast in (False, True)]
    others = [*two_kinds, speed.translation, speed.reading, speed.phantoms]
    monkeypatch.setattr(speed, "MEASURES", [*single, two, *others])
    monkeypatch.setattr(speed, "has_bfloat16", lambda: False)
    table = record.run_bench(tmp_path / "bench.json", ["speed"], threads=1)["speed"]
    assert table["what"].is_unique
    alone = ~table["what"].str.contains("at once")  # a difference of two times, here too short
    assert (table.loc[alone, "ours"] > 0).all()
    paired = table.dropna(subset=["reference", "ratio"])
    assert len(paired) == 6  # two kinds of step, two trainings, two of CUT, and translation
    by_hand = np.where(paired["unit"] == "ms", paired["reference"] / paired["ours"],
                       paired["ours"] / paired["reference"])  # fmt: skip
    assert paired["ratio"].to_numpy() == pytest.approx(by_hand)
    kept = json.loads((tmp_path / "bench.json").read_text())["speed"]
    assert [row["what"] for row in kept["rows"]] == table["what"].tolist()
    assert {"processor", "threads", "torch", "device", "commit", "bfloat16"} == set(kept["machine"])


def test_the_quick_step_is_that_of_the_profile():
    profile = load_params(ROOT / "params" / "quick.yaml").model_dump()
    assert {name: profile[name] for name in steps.QUICK} == steps.QUICK


def test_growth_measures_every_size_and_keeps_the_other_sections(tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "COUNTS", (4, 40))
    out = tmp_path / "bench.json"
    out.write_text(json.dumps({"speed": {"machine": {}, "rows": []}}))
    table = record.run_bench(out, ["growth"], threads=1)["growth"]
    assert table[["what", "images"]].to_numpy().tolist() == [
        [what, count] for what in ("stack", "translation") for count in (4, 40)
    ]
    assert (table["seconds"] > 0).all()
    assert set(json.loads(out.read_text())) == {"speed", "growth"}
    assert {"bench_growth.png", "bench_growth.csv"} <= {path.name for path in tmp_path.iterdir()}


def test_a_file_of_something_else_is_not_overwritten(tmp_path):
    out = tmp_path / "bench.json"
    out.write_text('{"results": []}')
    with pytest.raises(InputError, match=r"bench\.json: no file of the bench .it holds results"):
        record.run_bench(out, ["speed"])
    assert out.read_text() == '{"results": []}'


def known(aucs):
    """A curve of a look every tenth step."""
    return pd.DataFrame(dict(step=10 * np.arange(1, len(aucs) + 1), auc=aucs))


def test_good_is_95_percent_of_the_gain_and_may_be_lost_again():
    """Untouched images have 0.5 and ours ends at 1.0, so 0.975 is good; steps take 3 and 6 s."""
    asked = []

    def theirs(seed, steps):
        asked.append(steps)
        return known([0.5, 0.7, 0.98, 0.9, 0.99, 1.0] if seed == 7 else [0.5, 0.98, 0.6])

    table, curves = quality.compare(
        lambda seed: known([0.98, 0.6, 0.98, 1.0]), theirs, 0.5, 3.0, 6.0, seeds=[7, 8]
    )
    assert asked == [math.ceil(quality.PATIENCE * 1.5 * 60 / 6)] * 2
    ours, kept, _, lost = table.to_dict("records")
    assert ours["level"] == pytest.approx(0.975)
    assert (ours["reached"], ours["kept"], ours["trained"]) == (0.5, 1.5, 2.0)
    assert (kept["reached"], kept["kept"]) == (3.0, 5.0)
    assert (kept["sooner_reached"], kept["sooner_kept"]) == (6.0, pytest.approx(5.0 / 1.5))
    assert lost["reached"] == 2.0
    assert np.isnan(lost["kept"])
    assert lost["sooner_kept"] == pytest.approx(3.0 / 1.5)  # at least
    assert len(curves) == 4 + 6 + 4 + 3


def test_both_recipes_are_watched_while_they_train():
    params = EmbryoParameters(
        image_size=32, base_filters=4, blocks=1, translator_steps=56, threads=1, device="cpu",
        preset="seed", texture_network="test_efficientnet",
    )  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    target, source = (
        torch.randint(0, 256, (6, 1, 32, 32), generator=draw, dtype=torch.uint8) for _ in range(2)
    )

    def look(generator):
        assert translate(generator, target).shape == target.shape
        return 0.7

    ours = quality._ours(params, target, source, None, look, 0)
    assert ours["step"].tolist() == list(range(2, 57, 2))
    published = quality._Published(params, target, source, 0)
    assert published.curve(look, 60)["step"].tolist() == list(range(4, 61, 4))


def curve_of(arm, minutes, auc, ssim):
    return pd.DataFrame(dict(arm=arm, seed=3, minutes=minutes, auc=auc, inside_ssim=ssim))


def test_fidelity_is_reached_when_both_measures_are_and_stay():
    cyclegan = curve_of("cyclegan_texture", [1.0, 2.0, 3.0], [0.95, 0.9, 0.9], [0.5, 0.3, 0.4])
    simulated = curve_of(
        "simulated", [0.5, 1.0, 1.5, 2.0], [0.95, 0.95, 0.8, 0.95], [0.3, 0.6, 0.6, 0.6]
    )
    old, new = fidelity.compared(cyclegan, simulated, drawing=18.0)
    assert (old["reached"], old["share"], old["drawing"]) == (3.0, 1.0, 0.0)
    assert (new["reached"], new["drawing"], new["trained"]) == (2.0, 0.3, 2.0)
    assert new["share"] == pytest.approx(2 / 3)
    never = fidelity.compared(cyclegan, simulated.assign(auc=0.1), drawing=0.0)[1]
    assert np.isnan(never["reached"])
    assert np.isnan(never["share"])


def test_the_clock_counts_training_and_not_looking():
    def look(network):
        time.sleep(0.2)
        return dict(auc=float(network), inside_ssim=0.0)

    clock = fidelity._Clock(look, 2, lambda parts: parts["averaged"])
    for step in range(1, 6):
        clock.keep(step, dict(averaged=step), [])
    assert [row["step"] for row in clock.rows] == [2, 4]
    assert [row["auc"] for row in clock.rows] == [2.0, 4.0]
    assert clock.rows[-1]["seconds"] < 0.2
