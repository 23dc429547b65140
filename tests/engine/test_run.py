"""A notebook's run: seeds, outputs kept at the end, the record, what parents hand on."""

import json
import random
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from engine.errors import InputError
from engine.fabric import resolve_device
from engine.keys import file_digest
from engine.seeding import seed_everything
from lib import notebook
from lib.notebook import start


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(tmp_path))
    yield tmp_path
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def begin(results):
    def begin(notebook="02_second", **parameters):
        return start(notebook, {"profile": "tiny", "threads": 1, **parameters})

    return begin


def draws():
    return random.random(), np.random.rand(), torch.rand(3).tolist()  # noqa: NPY002


def test_seed_decides_every_generator(results):
    seed_everything(5, 1)
    first = draws()
    seed_everything(5, 1)
    assert draws() == first
    seed_everything(6, 1)
    other = draws()
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_start_refuses_a_parameter_and_makes_no_folder(begin, results):
    with pytest.raises(InputError, match="folds"):
        begin(folds="5")
    assert not list(results.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_wanting_a_gpu_that_is_not_there_is_an_error():
    with pytest.raises(InputError, match="'auto' or 'cpu'"):
        resolve_device("cuda")
    assert resolve_device("auto").type == "cpu"


def test_results_appear_only_at_the_end(begin, results):
    run = begin()
    run.table(pd.DataFrame({"x": [1]}), "numbers")
    assert not (results / "tiny" / "02_second").exists()
    run.finish()
    assert (results / "tiny" / "02_second" / "tables" / "numbers.csv").is_file()


def test_old_results_stay_until_the_new_ones_are_finished_and_then_go_whole(begin, results):
    run = begin()
    run.table(pd.DataFrame({"x": [1]}), "old")
    run.finish()
    again = begin()
    again.table(pd.DataFrame({"x": [2]}), "new")
    tables = results / "tiny" / "02_second" / "tables"
    assert [path.name for path in tables.iterdir()] == ["old.csv"]
    again.finish()
    assert [path.name for path in tables.iterdir()] == ["new.csv"]
    assert {path.name for path in (results / "tiny").iterdir()} == {"02_second"}


def test_finished_run_takes_nothing_more(begin):
    run = begin()
    run.finish()
    with pytest.raises(RuntimeError, match="finished"):
        run.table(pd.DataFrame(), "late")


def test_parent_hands_on_tables_predictions_and_metrics(begin):
    first = begin("01_first")
    table = pd.DataFrame({"id": ["007", "12"], "group": ["1", "01"], "score": [1 / 3, 1e-300]})
    first.table(table, "split")
    first.predictions(table, "holdout")
    first.metric("ED4.AUC", 0.5, n=2)
    first.finish()
    parent = begin().parent("01_first")
    for read in (parent.table("split"), parent.predictions("holdout")):
        pd.testing.assert_frame_equal(read, table, check_exact=True, check_dtype=False)
    assert parent.metrics()["01_first.ed4.auc"]["value"] == 0.5


def test_missing_parent_or_table_names_the_remedy(begin):
    with pytest.raises(InputError, match="Run notebook 01_first first"):
        begin().parent("01_first")
    first = begin("01_first")
    first.table(pd.DataFrame({"x": [1]}), "split")
    parent = first.finish()
    with pytest.raises(InputError, match=r"no tables 'splits'.*split"):
        parent.table("splits")


def test_record_lists_every_file_with_its_hash(begin, results):
    begin("01_first").finish()
    run = begin(seed=3)
    run.parent("01_first")
    run.table(pd.DataFrame({"x": [1]}), "numbers")
    record = run.finish().record()
    folder = results / "tiny" / "02_second"
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(record["files"]) == kept - {"run.json"}
    assert all(file_digest(folder / name) == sha for name, sha in record["files"].items())
    assert record["parameters"]["seed"] == record["seed"] == 3
    assert record["parents"] == {"01_first": file_digest(results / "tiny/01_first/run.json")}


def test_metrics_are_lower_case_sorted_and_valid_json(begin):
    run = begin()
    run.metric("ED1.raw.AUC", np.float32(0.25), float("nan"), None, n=np.int64(9), seeds=5)
    run.metric("ED1.grey.auc", 0.5)
    kept = run.finish().metrics()
    assert list(kept) == ["02_second.ed1.grey.auc", "02_second.ed1.raw.auc"]
    raw = {"value": 0.25, "low": None, "high": None, "n": 9, "seeds": 5}
    assert kept["02_second.ed1.raw.auc"] == raw
    with pytest.raises(ValueError, match="letters"):
        run.metric("balanced accuracy", 0.5)


def draw():
    figure, axes = plt.subplots()
    axes.plot([0, 1], [0, 1], label="line")
    return figure, pd.DataFrame({"x": [0, 1], "y": [0, 1]})


def test_figure_is_kept_with_its_data_shown_once_and_closed(begin, results, monkeypatch):
    shown = []
    monkeypatch.setattr(notebook, "display", shown.append)
    run = begin()
    shown.clear()
    open_before = plt.get_fignums()
    assert run.figure(*draw(), name="line") is None
    assert plt.get_fignums() == open_before
    assert len(shown) == 1
    run.finish()
    figures = results / "tiny" / "02_second" / "figures"
    assert {path.name for path in figures.iterdir()} == {"line.png", "line.svg", "line.csv"}
    assert shown[0].data == (figures / "line.png").read_bytes()


def test_two_runs_keep_the_same_bytes(begin, results):
    kept = []
    for _ in range(2):
        run = begin()
        run.figure(*draw(), name="line")
        run.metric("x", float(torch.rand(())))
        kept.append(run.finish().record()["files"])
    assert kept[0] == kept[1]


def test_executed_outputs_name_no_folder_of_the_machine(begin, results):
    run = begin()
    run.table(pd.DataFrame({"x": [1]}), "numbers")
    assert str(results) not in json.dumps(run.finish().record())


def test_an_operation_that_does_not_repeat_is_recorded_or_refused(begin, monkeypatch):
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda *given, **more: shown.append(given))

    def scatter():  # the order of writes to one place is open
        torch.zeros(4).put_(torch.tensor([1, 1]), torch.ones(2))

    run = begin()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        scatter()
    assert run.finish().record()["nondeterministic"] == ["put_"]
    assert len(shown) == 1
    begin(refuse_nondeterministic=True)
    with pytest.raises(RuntimeError, match="put_ does not have a deterministic"):
        scatter()
