"""The environment: lock file, pyproject and environment.yml say the same."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from engine.paths import LOCK, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [
    Requirement(text)
    for text in PROJECT["dependencies"]
    + [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
]


def read_lock():
    """Locked requirements that apply to this machine, by name; hashes of every entry."""
    entries = re.split(r"\n(?=\S)", (ROOT / LOCK).read_text().strip())
    pinned, hashes = {}, {}
    for entry in entries:
        line, *rest = entry.replace(" \\", "").splitlines()
        requirement = Requirement(line)
        hashes[line] = [text.strip().removeprefix("--hash=sha256:") for text in rest]
        if requirement.marker is None or requirement.marker.evaluate():
            pinned[canonicalize_name(requirement.name)] = requirement
    return pinned, hashes


PINNED, HASHES = read_lock()


def locked_version(name):
    (specifier,) = PINNED[canonicalize_name(name)].specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize("declared", DECLARED, ids=str)
def test_every_dependency_is_locked_as_declared(declared):
    assert declared.specifier.contains(locked_version(declared.name), prereleases=True)


def test_every_locked_package_is_exact_and_has_hashes():
    for line, hashes in HASHES.items():
        assert re.match(r"[a-z0-9._-]+==[^*]+( ;|$)", line), line
        assert hashes, line
        assert all(re.fullmatch("[0-9a-f]{64}", text) for text in hashes), line


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
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            if canonicalize_name(requirement.name) not in PINNED:
                missing.append(f"{name} needs {requirement.name}")
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


def test_conda_installs_the_same_python_and_the_same_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, through_pip = environment["dependencies"]
    assert python == "python=3.11"
    assert SpecifierSet(PROJECT["requires-python"]).contains("3.11.9")
    assert not SpecifierSet(PROJECT["requires-python"]).contains("3.12.0")
    assert pip == "pip"
    assert through_pip == {"pip": [f"-r {LOCK}"]}
    assert environment["name"] == PROJECT["name"]
