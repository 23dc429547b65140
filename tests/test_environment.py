"""The environment: lock file, pyproject and environment.yml say the same."""

import re
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from engine.paths import LOCK, ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
DECLARED = [
    Requirement(text)
    for text in PROJECT["dependencies"]
    + [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
]


MAKEFILE = (ROOT / "Makefile").read_text()
SUPPORTED = re.search(r"^SUPPORTED := (.*)$", MAKEFILE, re.MULTILINE).group(1).split()


def read_lock():
    """Locked requirements of all Pythons and machines, each with its hashes."""
    locked = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / LOCK).read_text().strip()):
        line, *rest = entry.replace(" \\", "").splitlines()
        locked[line] = [text.strip().removeprefix("--hash=sha256:") for text in rest]
    return locked


LOCKED = read_lock()


def applies(marker, python):
    """Whether a marker holds on this machine with ``python``; with the one that runs where None."""
    if marker is None:
        return True
    given = {"python_version": python, "python_full_version": f"{python}.0"} if python else {}
    return marker.evaluate({"extra": "", **given})


@cache
def pinned_with(python=None):
    """Locked requirements that apply on this machine, by name."""
    pinned = {}
    for requirement in map(Requirement, LOCKED):
        if applies(requirement.marker, python):
            name = canonicalize_name(requirement.name)
            assert name not in pinned, requirement  # pip would refuse to choose
            pinned[name] = requirement
    return pinned


PINNED = pinned_with()


def locked_version(name, pinned=PINNED):
    (specifier,) = pinned[canonicalize_name(name)].specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize("python", SUPPORTED)
@pytest.mark.parametrize("declared", DECLARED, ids=str)
def test_every_dependency_is_locked_as_declared(declared, python):
    version_there = locked_version(declared.name, pinned_with(python))
    assert declared.specifier.contains(version_there, prereleases=True)


def test_every_locked_package_is_exact_and_has_hashes():
    for line, hashes in LOCKED.items():
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9, -]+\])?==[^*]+( ;|$)", line), line
        assert hashes, line
        assert all(re.fullmatch("[0-9a-f]{64}", text) for text in hashes), line


def test_pythons_of_makefile_project_and_lock_are_the_same():
    assert sorted(SUPPORTED, key=Version, reverse=True) == SUPPORTED
    before, after = neighbours()
    for python in SUPPORTED:
        assert SpecifierSet(PROJECT["requires-python"]).contains(f"{python}.0")
    assert not SpecifierSet(PROJECT["requires-python"]).contains(f"{before}.99")
    (environment,) = map(Marker, PYPROJECT["tool"]["uv"]["environments"])
    assert all(applies(environment, python) for python in SUPPORTED)
    assert not applies(environment, after)
    assert pinned_with(after) == {}


def neighbours():
    """The minor versions before the oldest and after the newest Python that is supported."""
    newest, oldest = Version(SUPPORTED[0]), Version(SUPPORTED[-1])
    return f"{oldest.major}.{oldest.minor - 1}", f"{newest.major}.{newest.minor + 1}"


def test_lock_names_no_address():
    assert "://" not in (ROOT / LOCK).read_text()


def test_lock_holds_all_that_its_packages_need():
    missing = []
    for name in PINNED:
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            missing.append(name)
            continue
        for requirement in map(Requirement, needed):
            if not applies(requirement.marker, None):
                continue
            locked = PINNED.get(canonicalize_name(requirement.name))
            if locked is None or not requirement.extras <= locked.extras:
                missing.append(f"{name} needs {requirement}")
    assert missing == []


@pytest.mark.parametrize("name", sorted({declared.name for declared in DECLARED}))
def test_environment_that_runs_the_tests_is_the_locked_one(name):
    assert version(name) == locked_version(name)


def test_torch_and_torchvision_are_the_matched_pair():
    assert (locked_version("torch"), locked_version("torchvision")) == ("2.15.0", "0.29.2")
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]])
    assert torchvision.ops.nms(boxes, torch.tensor([0.5, 0.9]), 0.5).tolist() == [1]


def test_conda_installs_a_supported_python_and_the_same_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, through_pip = environment["dependencies"]
    assert python in [f"python={version}" for version in SUPPORTED]
    assert pip == "pip"
    assert through_pip == {"pip": [f"-r {LOCK}"]}
    assert environment["name"] == PROJECT["name"]


def test_readme_names_the_pythons():
    *others, newest = reversed(SUPPORTED)
    assert f"Python {', '.join(others)} or {newest}" in (ROOT / "README.md").read_text()
