"""What a run consists of: the notebooks, their order, and the content key of each."""

from __future__ import annotations

import graphlib
import json
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError
from engine.keys import digest
from engine.notebooks import notebook_paths, parents_of, sources_digest
from engine.parameters import Parameters, load_params
from engine.paths import ROOT, data_root, results_root, stamp_path
from engine.results import RECORD
from engine.study import load_study


@dataclass(frozen=True)
class Step:
    """One notebook of a run.

    ``sources`` is the hash of the notebook, of the code it imports and of the lock file. ``key``
    adds parameters, data and the keys of ``parents``: where it differs, the notebook runs again.
    """

    notebook: str
    path: Path
    parents: tuple[str, ...]
    sources: str
    key: str


@dataclass(frozen=True)
class Plan:
    """A run: parameters, fingerprint of the images, and notebooks by name, parents first."""

    params: Parameters
    data: str
    steps: dict[str, Step]


def make_plan(profile: str, root: Path = ROOT) -> Plan:
    """Plan the run of ``profile``.

    A stamp of another key, or one whose results are gone, is taken away. Where the first notebook
    will run, the study checks images and networks before.

    Raises
    ------
    InputError
        The parameters, the images or a notebook cannot be used.
    """
    params = load_params(root / "params" / f"{profile}.yaml", profile=profile)
    study = load_study(params.study)
    images = study.open_images(params, data_root())
    data = images.fingerprint()
    notebooks = {path.stem: path for path in notebook_paths(params.study, root)}
    steps: dict[str, Step] = {}
    for name in in_order({name: parents_of(path) for name, path in notebooks.items()}):
        path, parents = notebooks[name], parents_of(notebooks[name])
        sources = sources_digest(path, root)
        keys = {parent: steps[parent].key for parent in parents}
        made_from = {"parameters": params, "data": data, "sources": sources, "parents": keys}
        key = digest({"notebook": name, **made_from})
        steps[name] = Step(name, path, parents, sources, key)
        stamp = stamp_path(name, profile)
        if stamp.is_file() and (stamp.read_text() != key or not is_complete(name, profile)):
            stamp.unlink()
    if not stamp_path(next(iter(steps)), profile).is_file():
        study.check(params, images)
    return Plan(params, data, steps)


def is_complete(notebook: str, profile: str) -> bool:
    """Whether the executed notebook and all files its record lists are there."""
    folder = results_root() / profile / notebook
    if not folder.with_suffix(".ipynb").is_file() or not (folder / RECORD).is_file():
        return False
    listed = json.loads((folder / RECORD).read_text())["files"]
    return all((folder / name).is_file() for name in listed)


def in_order(parents: dict[str, tuple[str, ...]]) -> list[str]:
    """Notebook names, parents first, else by name.

    Raises
    ------
    InputError
        A notebook reads one that is not there, or they read each other.
    """
    for name, read in parents.items():
        for parent in read:
            if parent not in parents:
                known = ", ".join(sorted(parents))
                raise InputError(
                    f"{name} reads '{parent}', which is no notebook. There are: {known}."
                )
    sorter = graphlib.TopologicalSorter(parents)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise InputError(
            f"Notebooks read each other: {' -> '.join(error.args[1])}. Remove one call of parent()."
        ) from None
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order
