"""``make setup``: which Python it takes, what it says, and what it refuses."""

import shutil
import subprocess

import pytest

from engine.paths import LOCK, ROOT

# Says its version, and makes an environment of copies of itself; pip does nothing.
PYTHON = """#!/bin/sh
case "$1$2" in
  --version) echo "Python VERSION" ;;
  -mvenv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *pip) echo "$0 $*" >> calls.txt ;;
esac
"""
SHIM = '#!/bin/sh\necho "pyenv: $0: command not found" >&2\nexit 127\n'
TOOLS = ("make", "sh", "mkdir", "cp", "touch")


@pytest.fixture
def machine(tmp_path):
    """A machine with the tools that make needs, and no Python."""
    return Machine(tmp_path)


class Machine:
    def __init__(self, folder):
        self.commands, self.place = folder / "bin", folder / "compendium"
        self.commands.mkdir()
        self.place.mkdir()
        for name in TOOLS:
            (self.commands / name).symlink_to(shutil.which(name))
        shutil.copy(ROOT / "Makefile", self.place)
        for name in (LOCK, "pyproject.toml"):
            (self.place / name).touch()

    def add(self, name, version):
        """A command ``name`` that is Python ``version``; where None, one that does not run."""
        path = self.commands / name
        path.write_text(PYTHON.replace("VERSION", version) if version else SHIM)
        path.chmod(0o755)
        return path

    def setup(self, *variables):
        """Run ``make setup``; its answer."""
        return subprocess.run(
            ["make", "--silent", "setup", *variables],
            cwd=self.place, env={"PATH": str(self.commands)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    def environment(self, name=".venv"):
        """Version of the Python in an environment; None where there is none."""
        python = self.place / name / "bin" / "python"
        if not python.exists():
            return None
        return subprocess.check_output([python, "--version"], text=True).split()[1]


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"python3.11": "3.11.7", "python3.12": "3.12.1", "python3.13": "3.13.0"}, "3.13.0"),
        ({"python3.11": "3.11.7", "python3.12": "3.12.1", "python3.13": None}, "3.12.1"),
        ({"python3.11": "3.11.7", "python3.12": None, "python3.14": "3.14.0"}, "3.11.7"),
        ({"python3.11": "3.11.7", "python3": "3.14.0"}, "3.11.7"),
        ({"python3": "3.12.4"}, "3.12.4"),
    ],
)
def test_the_newest_that_runs_is_taken_and_named(machine, there, taken):
    for name, version in there.items():
        machine.add(name, version)
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Python {taken} in .venv\n"
    assert machine.environment() == taken
    calls = (machine.place / "calls.txt").read_text().splitlines()
    assert all(call.startswith(".venv/bin/python -m pip install") for call in calls)
    assert f"--require-hashes -r {LOCK}" in calls[0]
    assert "--no-deps" in calls[1]


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ({"python3": "3.10.13"}, ("python3", "Python 3.10.13")),
        ({"python3.14": "3.14.0", "python3": "3.14.0"}, ("python3", "Python 3.14.0")),
        ({"python3.13": None}, ("python3", "no Python that runs")),
        ({}, ("python3", "no Python that runs")),
    ],
)
def test_an_unsuitable_one_is_refused_with_its_name_and_the_remedy(machine, there, named):
    for name, version in there.items():
        machine.add(name, version)
    done = machine.setup()
    assert done.returncode == 2
    command, version = named
    assert f"{command} is {version}; supported: 3.13 3.12 3.11." in done.stderr
    assert "make setup BASE_PYTHON=" in done.stderr
    assert machine.environment() is None
    assert not (machine.place / "calls.txt").exists()


def test_the_one_that_is_asked_for_is_taken_or_refused(machine, tmp_path):
    machine.add("python3.13", "3.13.0")
    older = machine.add("python3.10", "3.10.13")
    done = machine.setup(f"BASE_PYTHON={older}")
    assert done.returncode == 2
    assert f"{older} is Python 3.10.13" in done.stderr
    done = machine.setup(f"BASE_PYTHON={tmp_path}/nowhere")
    assert f"{tmp_path}/nowhere is no Python that runs" in done.stderr
    assert machine.environment() is None
    done = machine.setup(f"BASE_PYTHON={machine.add('python3.11', '3.11.7')}")
    assert done.stdout == "Python 3.11.7 in .venv\n"


def test_an_environment_stays_with_its_python_until_the_user_says_otherwise(machine):
    machine.add("python3.11", "3.11.7")
    machine.setup()
    machine.add("python3.13", "3.13.0")
    assert machine.setup().stdout == "Python 3.11.7 in .venv\n"
    done = machine.setup("BASE_PYTHON=python3.13")
    assert done.returncode == 2
    assert ".venv has Python 3.11.7, not 3.13" in done.stderr
    assert machine.environment() == "3.11.7"
    beside = done.stderr.partition("make setup ")[2].splitlines()[0].split()
    assert machine.setup(*beside).stdout == "Python 3.13.0 in .venv-3.13\n"
    assert (machine.environment(), machine.environment(".venv-3.13")) == ("3.11.7", "3.13.0")


def test_an_environment_of_an_unsuitable_python_is_refused_and_kept(machine):
    machine.add("python3.13", "3.13.0")
    place = machine.place / ".venv" / "bin"
    place.mkdir(parents=True)
    shutil.copy(machine.add("python3.10", "3.10.13"), place / "python")
    done = machine.setup()
    assert done.returncode == 2
    assert ".venv/bin/python is Python 3.10.13" in done.stderr
    assert "remove .venv" in done.stderr
    assert machine.environment() == "3.10.13"


@pytest.mark.parametrize(
    ("given", "seen"),
    [("/discs/My Images", "/discs/My Images"), ("/data", "/data"), ("here", "{place}/here"),
     ("My Images", "{place}/My Images"), (None, "{place}/data")],
)  # fmt: skip
def test_the_place_of_the_images_may_have_a_space(machine, given, seen):
    answer = subprocess.run(
        ["make", "--silent", "--eval", 'show: ; @echo "$$COMPENDIUM_DATA"', "show",
         *([] if given is None else [f"DATA={given}"])],
        cwd=machine.place, env={"PATH": str(machine.commands)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert answer.stdout.strip() == seen.format(place=machine.place)
