"""The workshop: copies without solutions, checks that give nothing away, all of it executed."""

import re
import shutil

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from compendium.workshop.copies import write_workshop
from compendium.workshop.exercises import KEYS, answer_checks
from engine.errors import InputError
from engine.notebooks import all_notebook_paths, notebook_paths, read_cells
from engine.parameters import load_params
from engine.paths import ROOT
from engine.results import Finished

REFERENCE = ROOT / "results" / "reference" / "smoke"
NOTEBOOKS = notebook_paths("embryo")
EXERCISES = [
    (path.stem, n) for path in all_notebook_paths() for n in range(1, 1 + len(KEYS[path.stem[:2]]))
]


def finished(name):
    (folder,) = REFERENCE.parent.glob(f"*smoke/{name}")
    return Finished(name, folder)


def key_of(name, n):
    return KEYS[name[:2]][n - 1](finished(name))


def said(capsys, name, n, answer):
    capsys.readouterr()
    answer_checks(finished(name))(n, answer)
    return capsys.readouterr().out


# The checks


@pytest.mark.parametrize(("name", "n"), EXERCISES)
def test_right_answer_is_right_and_a_wrong_one_is_not(capsys, name, n):
    key = key_of(name, n)
    for right in key if isinstance(key, tuple) else (key,):
        assert said(capsys, name, n, right) == f"{n}: right.\n"
    if isinstance(key, set):
        assert said(capsys, name, n, sorted(key)) == f"{n}: right.\n"
        wrong = [*sorted(key)[1:], "other"]
    elif isinstance(key, str | tuple):
        wrong = "no such name"
    else:
        wrong = key + 1
    answer = said(capsys, name, n, wrong)
    assert answer.startswith(f"{n}: not yet.")
    assert str(key) not in answer.removeprefix(f"{n}: not yet")


@pytest.mark.parametrize(("name", "n"), EXERCISES)
def test_unanswered_or_of_another_kind_says_what_is_missing(capsys, name, n):
    key = key_of(name, n)
    assert f"no answer yet. Give answer_{n} a value" in said(capsys, name, n, None)
    other = 3 if isinstance(key, str | set | tuple) else "many"
    wanted = {str: "a name", tuple: "a name", set: "a list"}.get(type(key), "a number")
    assert f"{wanted} is wanted, this is {type(other).__name__}" in said(capsys, name, n, other)


def test_numbers_may_be_rounded_and_counts_may_not(capsys):
    name, n = next(each for each in EXERCISES if type(key_of(*each)) is float)
    key = key_of(name, n)
    assert said(capsys, name, n, np.float32(round(key, 3))) == f"{n}: right.\n"
    assert "not yet" in said(capsys, name, n, key * 1.02 + 0.001)
    name, n = next(each for each in EXERCISES if type(key_of(*each)) is int)
    assert said(capsys, name, n, np.int64(key_of(name, n))) == f"{n}: right.\n"
    assert "not yet" in said(capsys, name, n, key_of(name, n) + 0.001)


def test_unknown_exercise_is_refused():
    with pytest.raises(InputError, match="exercise 9 is unknown: there are 1 to 2"):
        answer_checks(finished(NOTEBOOKS[0].stem))(9, 1)


# The sources


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_exercise_has_question_solution_and_check_in_this_order(path):
    cells = read_cells(path)
    checks = [i for i, cell in enumerate(cells) if "check" in cell["tags"]]
    assert len(checks) == len(KEYS[path.stem[:2]])
    for n, place in enumerate(checks, start=1):
        question, solution, check = cells[place - 2 : place + 1]
        assert question["source"].startswith(f"**{n}.** ")
        assert f"`answer_{n}`" in question["source"]
        assert solution["tags"] == ["solution"]
        assert check["source"] == f"run.check({n}, answer_{n})"


def test_guide_names_sections_that_are_there():
    named = re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", (ROOT / "WORKSHOP.md").read_text())
    headings = {
        line.lstrip("# ")
        for path in NOTEBOOKS
        for cell in read_cells(path)
        for line in cell["source"].splitlines()
        if cell["type"] == "markdown" and line.startswith("#")
    }
    assert len(named) > 8
    assert set(named) <= headings


# The copies


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder with the finished smoke profile, as git keeps it."""
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(tmp_path))
    for path in NOTEBOOKS:
        shutil.copytree(REFERENCE / path.stem, tmp_path / "smoke" / path.stem)
    return tmp_path


def test_student_copy_differs_by_parameters_and_solutions_alone(results):
    folder = write_workshop("smoke")
    for path in NOTEBOOKS:
        source = read_cells(path)
        student, instructor = (
            read_cells(folder / kind / path.name) for kind in ("student", "instructor")
        )
        for own, copy, full in zip(source, student, instructor, strict=True):
            if "parameters" in own["tags"]:
                assert 'profile = "smoke"' in own["source"]
                assert copy == full
                assert "profile = 'workshop'" in copy["source"]
            elif "solution" in own["tags"]:
                assert full == own
                assert copy["tags"] == ["answer"]
                assert copy["source"].split(" = ")[1] == "None  # your answer"
            else:
                assert copy == full == own


def test_copies_carry_the_parameters_of_the_profile(results):
    folder = write_workshop("smoke")
    values = {}
    exec(read_cells(folder / "student" / NOTEBOOKS[0].name)[1]["source"], values)
    wanted = load_params(ROOT / "params" / "smoke.yaml")
    given = {name: value for name, value in values.items() if name in type(wanted).model_fields}
    assert given.pop("profile") == "workshop"
    assert given == {name: getattr(wanted, name) for name in given}
    assert len(given) > 10


def test_answers_are_not_overwritten_unless_asked_for(results):
    folder = write_workshop("smoke")
    answered = folder / "student" / NOTEBOOKS[0].name
    answered.write_text("mine")
    with pytest.raises(InputError, match="a workshop is there, perhaps with answers"):
        write_workshop("smoke")
    assert answered.read_text() == "mine"
    write_workshop("smoke", force=True)
    assert answered.read_text() != "mine"


def test_unfinished_profile_is_refused_before_anything_is_written(results):
    shutil.rmtree(results / "smoke" / NOTEBOOKS[3].stem)
    with pytest.raises(InputError, match=f"{NOTEBOOKS[3].stem} has no finished results"):
        write_workshop("smoke")
    assert [path.name for path in results.iterdir()] == ["smoke"]
    with pytest.raises(InputError, match="no such parameter file"):
        write_workshop("smok")


def executed(student, instructor, place):
    """Execute both copies in their place, as in Jupyter; what the checks of each print.

    They differ in the answers alone, as another test says: a kernel runs what both have once, then
    the exercises without answers, then those with.
    """
    copies = [nbformat.read(path, as_version=4) for path in (student, instructor)]
    first = next(
        number for number, cell in enumerate(copies[0].cells)
        if "answer" in cell.metadata.get("tags", [])
    )  # fmt: skip
    whole = copies[0]
    exercises = [copies[0].cells[first:], copies[1].cells[first:]]
    whole.cells = [*whole.cells[:first], *exercises[0], *exercises[1]]
    NotebookClient(whole, resources={"metadata": {"path": str(place)}}, timeout=600).execute()
    for own in exercises:
        checks = [cell for cell in own if "check" in cell.metadata.get("tags", [])]
        # What one print says may come in two parts.
        yield ["".join(output.text for output in cell.outputs) for cell in checks]


def test_whole_workshop_runs_with_and_without_answers(results, shared_store, monkeypatch):
    monkeypatch.setenv("COMPENDIUM_HEADLESS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    kept = {path: path.read_bytes() for path in (results / "smoke").rglob("*") if path.is_file()}
    folder = write_workshop("smoke")
    if shared_store.parent.is_dir():  # as in a class: what the profile has trained is there
        shared_store.mkdir(exist_ok=True)
        (results / "store").symlink_to(shared_store)
    for path in NOTEBOOKS:
        copies = (folder / kind / path.name for kind in ("student", "instructor"))
        without, checks = executed(*copies, folder / "student")
        assert checks == [f"{n}: right.\n" for n in range(1, len(checks) + 1)]
        assert len(checks) == len(without) == len(KEYS[path.stem[:2]])
        assert all("no answer yet" in text for text in without)
    assert {path: path.read_bytes() for path in kept} == kept
