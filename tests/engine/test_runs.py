"""Runs through Snakemake and papermill, on a project of three small notebooks."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from engine.errors import InputError
from engine.execution import NotebookError, run_notebook
from engine.keys import FLOORS, file_digest
from engine.notebooks import parents_of, read_cells
from engine.paths import ROOT, stamp_path
from engine.plan import in_order, make_plan
from lib import studies

PARAMETERS = """\
study: tiny
profile: tiny
source_count: 60
target_count: 60
second_target_count: 60
phantom_width: 32
seed: 4
"""

STUDY = """\
from dataclasses import replace

from lib.studies.embryo import STUDY as EMBRYO

STUDY = replace(EMBRYO, notebooks=("01_first", "02_second", "03_alone"))
"""

# What `lib.start` and finish leave, without the seconds that importing torch takes.
SETUP = """
import json
import sys
from engine.paths import results_root
from engine.results import Finished
from lib.own import double

folder = results_root() / profile
name = "{name}"
def finish(value):
    (folder / name).mkdir(parents=True, exist_ok=True)
    metrics = {{f"{{name}}.value": {{"value": value}}}}
    (folder / name / "metrics.json").write_text(json.dumps(metrics))
    record = dict(files={{}}, parents={{}}, commit=None, device="CPU", seconds=0.5)
    (folder / name / "run.json").write_text(json.dumps(record))
    with (folder / "ran.txt").open("a") as ran:
        ran.write(name + " ")
class run:
    parent = lambda notebook: Finished(notebook, folder / notebook)
"""
BODIES = {
    "01_first": "import warnings\nwarnings.warn(f'at {sys.prefix}/bin')\nfinish(double(seed))",
    "02_second": "finish(1 + run.parent('01_first').metrics()['01_first.value']['value'])",
    "03_alone": """
from engine import progress
progress.LINE_SECONDS = 0
for _ in progress.progress(range(3), label="loop"):
    pass
finish(0)""",
}


class Project:
    """A copy of the project with its own notebooks and results."""

    def __init__(self, root):
        self.root = root
        self.results = root / "results" / "tiny"
        skipped = shutil.ignore_patterns("__pycache__")
        for floor in FLOORS:
            shutil.copytree(ROOT / floor, root / floor, ignore=skipped)
        (root / "lib" / "studies" / "tiny.py").write_text(STUDY)
        (root / "lib" / "own.py").write_text("def double(x):\n    return 2 * x\n")
        for name in ("Snakefile", "requirements.lock"):
            shutil.copy(ROOT / name, root / name)
        (root / "params").mkdir()
        (root / "params" / "tiny.yaml").write_text(PARAMETERS)
        (root / "notebooks").mkdir()
        for name in BODIES:
            self.write(name)

    def write(self, name, body=None):
        """Write a notebook whose last cell is ``body`` (its usual one if None)."""
        body = BODIES[name] if body is None else body
        tags = {"tags": ["parameters"]}
        cells = [
            new_markdown_cell(f"# {name}", id="question"),
            new_code_cell("profile = 'smoke'\nseed = 0", metadata=tags, id="parameters"),
            new_code_cell(SETUP.format(name=name), id="setup"),
            new_code_cell(body, id="body"),
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, self.root / "notebooks" / f"{name}.ipynb")

    def environment(self):
        """The surroundings of a run that knows this project alone."""
        keep = ("COMPENDIUM_RESULTS", "COMPENDIUM_DATA", "PYTEST_CURRENT_TEST")
        inherited = {name: value for name, value in os.environ.items() if name not in keep}
        return {**inherited, "PYTHONPATH": str(self.root)}

    def call(self, *command):
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def begin(self):
        """Start Snakemake as the Makefile does, as the leader of a group of processes."""
        return subprocess.Popen(
            [sys.executable, "-m", *self.command()],
            cwd=self.root, env=self.environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def command(self):
        """The Makefile's call of Snakemake."""
        makefile = (ROOT / "Makefile").read_text()
        recipe = re.search(r"-m (snakemake .*?) \$\(SNAKEMAKE_FLAGS\)", makefile, re.DOTALL)[1]
        return (
            recipe.replace("\\\n", " ")
            .replace("$(PROFILE)", "tiny")
            .replace("$(JOBS)", "1")
            .split()
        )

    def reproduce(self):
        """Run Snakemake as the Makefile does; its answer and the notebooks that ran."""
        log = self.results / "ran.txt"
        log.unlink(missing_ok=True)
        answer = self.call(*self.command())
        return answer, log.read_text().split() if log.is_file() else []


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project after its first run."""
    made = Project(tmp_path_factory.mktemp("project"))
    made.first_run = made.reproduce()
    return made


def test_first_run_runs_all_and_collects(project):
    answer, ran = project.first_run
    assert answer.returncode == 0, answer.stderr
    assert sorted(ran) == sorted(BODIES)
    assert ran.index("01_first") < ran.index("02_second")
    metrics = json.loads((project.results / "metrics.json").read_text())
    assert list(metrics) == sorted(metrics)
    assert {name: metric["value"] for name, metric in metrics.items()} == {
        "01_first.value": 8,
        "02_second.value": 9,
        "03_alone.value": 0,
    }


def test_manifest_holds_the_hash_of_every_result(project):
    manifest = json.loads((project.results / "manifest.json").read_text())
    files = {
        path.relative_to(project.results).as_posix(): file_digest(path)
        for path in project.results.rglob("*")
        if path.is_file() and not path.name.startswith((".", "ran.txt", "manifest.json"))
    }
    assert manifest["files"] == files
    assert manifest["parameters"]["seed"] == 4
    assert manifest["lock"] == file_digest(project.root / "requirements.lock")
    assert manifest["device"] == ["CPU"]
    assert manifest["seconds"] == 1.5
    assert set(manifest["notebooks"]) == set(BODIES)


def test_executed_notebook_has_parameters_and_no_folder_of_the_machine(project):
    executed = project.results / "01_first.ipynb"
    (injected,) = [c for c in read_cells(executed) if "injected-parameters" in c["tags"]]
    assert "seed = 4\n" in injected["source"]
    assert "folds = 5\n" in injected["source"]
    text = executed.read_text()
    assert "at bin" in text
    assert "ipykernel_" not in text
    assert str(project.root) not in text
    assert sys.prefix not in text


def test_progress_goes_to_the_console_and_not_into_the_notebook(project):
    assert re.search(r"^loop: 1/3, \d+ s left$", project.first_run[0].stderr, re.MULTILINE)
    assert "loop: 1/3" not in (project.results / "03_alone.ipynb").read_text()


def test_unchanged_rerun_runs_nothing(project):
    manifest = (project.results / "manifest.json").read_bytes()
    answer, ran = project.reproduce()
    assert (answer.returncode, ran) == (0, [])
    assert (project.results / "manifest.json").read_bytes() == manifest


def test_killed_run_goes_on_and_nothing_half_written_is_seen(tmp_path):
    """Killed with all its processes in the middle of the second notebook."""
    project = Project(tmp_path)
    marks = project.root / "second-is-running"
    wait = f"""
import time
from pathlib import Path
half = folder / f".{{name}}.partial"
half.mkdir(parents=True, exist_ok=True)  # as start() clears it
(half / "table.csv").write_text("half a ta")
if not Path({str(marks)!r}).exists():
    Path({str(marks)!r}).touch()
    time.sleep(600)
finish(1)"""
    project.write("02_second", f"{wait}\nrun.parent('01_first')")
    project.write("03_alone", "run.parent('02_second')\nfinish(0)")
    running = project.begin()
    deadline = time.monotonic() + 300
    while not marks.exists():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    visible = {
        path.relative_to(project.results).as_posix()
        for path in project.results.rglob("[!.]*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts[-3:])
    }
    assert "01_first.ipynb" in visible
    assert not [name for name in visible if name.startswith(("02", "03", "metrics"))]

    answer, ran = project.reproduce()
    assert answer.returncode == 0, answer.stderr
    assert ran == ["02_second", "03_alone"]
    assert len(json.loads((project.results / "metrics.json").read_text())) == 3


def test_failing_notebook_is_kept_and_the_results_before_it_stay(project):
    folder = project.results / "02_second"
    kept = (folder / "run.json", folder.with_suffix(".ipynb"))
    before = {path: path.read_bytes() for path in kept}
    project.write("02_second", "run.parent('01_first')\n1 / 0")
    answer, ran = project.reproduce()
    assert (answer.returncode, ran) == (1, [])
    assert "02_second failed in code cell 4: ZeroDivisionError: division by zero" in answer.stderr
    assert "Traceback" not in answer.stderr
    failed = project.results / "failed"
    assert "1 / 0" in (failed / "02_second.txt").read_text()
    assert "ZeroDivisionError" in (failed / "02_second.ipynb").read_text()
    assert {path: path.read_bytes() for path in before} == before


def test_edited_notebook_reruns_with_what_reads_it_and_clears_its_failure(project):
    project.write("02_second")
    project.write("01_first", "finish(double(seed) + 10)")
    answer, ran = project.reproduce()
    assert (answer.returncode, ran) == (0, ["01_first", "02_second"]), answer.stderr
    assert not list((project.results / "failed").glob("*"))
    metrics = json.loads((project.results / "metrics.json").read_text())
    assert metrics["02_second.value"]["value"] == 19
    manifest = json.loads((project.results / "manifest.json").read_text())
    assert manifest["files"]["metrics.json"] == file_digest(project.results / "metrics.json")


def test_refused_parameter_stops_before_any_notebook(project):
    parameters = project.root / "params" / "tiny.yaml"
    parameters.write_text(PARAMETERS + "cycle_wieght: 1.0\n")
    try:
        answer, ran = project.reproduce()
    finally:
        parameters.write_text(PARAMETERS)
    assert (answer.returncode, ran) == (2, [])
    assert "did you mean 'cycle_weight'?" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_notebook_that_refuses_its_input_exits_with_2_and_one_message(project):
    project.write(
        "03_alone", "from engine.parameters import InputError\nraise InputError('x.png: empty')"
    )
    try:
        answer = project.call(
            *(
                "compendium",
                "notebook",
                "03_alone",
                "--profile",
                "tiny",
                "--key",
                "k",
                "--sources",
                "s",
            )
        )
    finally:
        project.write("03_alone")
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1] == "error: 03_alone: x.png: empty"


def test_notebook_that_is_already_running_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(tmp_path))
    (tmp_path / "smoke").mkdir()
    with (tmp_path / "smoke" / ".01_data_audit.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(NotebookError, match="01_data_audit is already running"):
            run_notebook("smoke", "01_data_audit", key="k", sources="s")


# The plan, without running anything


def know_studies(root, monkeypatch):
    """Studies of the project in ``root`` are found in this process, too."""
    places = [*studies.__path__, str(root / "lib" / "studies")]
    monkeypatch.setattr(studies, "__path__", places)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A project whose notebooks have all run; ``stale`` names those that would run again."""
    project = Project(tmp_path)
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(tmp_path / "results"))
    know_studies(tmp_path, monkeypatch)

    def finish():
        for step in make_plan("tiny", tmp_path).steps.values():
            folder = project.results / step.notebook
            (folder / "tables").mkdir(parents=True, exist_ok=True)
            (folder / "tables" / "t.csv").write_text("x\n1\n")
            (folder / "run.json").write_text('{"files": {"tables/t.csv": ""}}')
            folder.with_suffix(".ipynb").write_text("{}")
            stamp_path(step.notebook, "tiny").write_text(step.key)

    def stale():
        steps = make_plan("tiny", tmp_path).steps
        return [name for name in steps if not stamp_path(name, "tiny").is_file()]

    finish()
    project.stale = stale
    return project


def append(path, text="\n"):
    path.write_text(path.read_text() + text)


def test_plan_of_finished_project_is_empty(planned):
    assert planned.stale() == []


def test_fresh_clone_runs_everything(planned):
    shutil.rmtree(planned.results)
    assert sorted(planned.stale()) == sorted(BODIES)


def test_new_file_times_alone_change_nothing(planned):
    for path in planned.root.rglob("*"):
        os.utime(path)
    assert planned.stale() == []


def test_outputs_and_counts_in_a_notebook_change_nothing(planned):
    path = planned.root / "notebooks" / "01_first.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[3].execution_count = 7
    notebook.cells[3].outputs = [nbformat.v4.new_output("stream", text="8")]
    nbformat.write(notebook, path)
    assert planned.stale() == []


@pytest.mark.parametrize(
    ("changed", "text", "stale"),
    [
        ("params/tiny.yaml", "folds: 4\ncolour_folds: 4\n", ["01_first", "03_alone", "02_second"]),
        ("params/tiny.yaml", "# a comment\n", []),
        ("requirements.lock", "\n", ["01_first", "03_alone", "02_second"]),
        ("lib/own.py", "x = 1\n", ["01_first", "03_alone", "02_second"]),
        ("engine/progress.py", "x = 1\n", ["03_alone"]),
        ("engine/execution.py", "x = 1\n", []),
    ],
)
def test_only_what_depends_on_a_change_runs_again(planned, changed, text, stale):
    append(planned.root / changed, text)
    assert sorted(planned.stale()) == sorted(stale)


@pytest.mark.parametrize(
    "lost", ["02_second/tables/t.csv", "02_second.ipynb", "02_second/run.json"]
)
def test_lost_results_are_made_again(planned, lost):
    (planned.results / lost).unlink()
    assert planned.stale() == ["02_second"]


def test_magic_and_unnamed_parent_are_refused(planned):
    planned.write("01_first", "%matplotlib inline")
    with pytest.raises(InputError, match=r"01_first.*not plain Python at '%matplotlib inline'"):
        planned.stale()
    planned.write("01_first", "run.parent(name)")
    with pytest.raises(InputError, match=r"write run\.parent\(name\) with a name"):
        planned.stale()


def test_parents_are_read_from_the_notebook(planned):
    folder = planned.root / "notebooks"
    assert parents_of(folder / "02_second.ipynb") == ("01_first",)
    assert parents_of(folder / "03_alone.ipynb") == ()


def test_order_puts_parents_first_and_refuses_circles():
    assert in_order({"1": ("3",), "2": (), "3": ()}) == ["2", "3", "1"]
    with pytest.raises(InputError, match="read each other"):
        in_order({"1": ("2",), "2": ("1",)})
    with pytest.raises(InputError, match=r"1 reads '9'.*1, 2"):
        in_order({"1": ("9",), "2": ()})


def test_images_that_cannot_be_divided_stop_the_plan(tmp_path, monkeypatch):
    project = Project(tmp_path)
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("COMPENDIUM_DATA", str(tmp_path / "data"))
    know_studies(tmp_path, monkeypatch)
    table = "study: tiny\nprofile: tiny\ndata_kind: table\ndata_dir: mine\n"
    (project.root / "params" / "tiny.yaml").write_text(table)
    with pytest.raises(InputError, match="no such folder"):
        make_plan("tiny", tmp_path)
    (tmp_path / "data" / "mine").mkdir(parents=True)
    with pytest.raises(InputError, match="empty"):
        make_plan("tiny", tmp_path)
