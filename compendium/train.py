"""Trainings without a notebook, as on a cluster; the notebooks find what is done in the store."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError
from engine.fabric import make_fabric, resolve_device
from engine.notebooks import notebook_paths
from engine.parameters import load_params
from engine.paths import data_root, results_root
from engine.processes import Ranks, process_count
from engine.results import Finished
from engine.seeding import seed_everything
from engine.store import Store
from lib.data.dataset import Dataset
from lib.models.fitting import TranslatorRecipe, fit_classifiers, fit_translators
from lib.models.parameters import TranslationParameters

# Parameters that decide which images there are and how they are split and framed.
_OF_THE_SPLIT = (
    "seed", "data_", "label_", "group_", "positive_", "negative_", "focal_", "frames_", "source_",
    "target_", "second_", "phantom_", "folds", "holdout", "framing", "field_of_view",
)  # fmt: skip


def train_stage(stage: str, path: str | Path) -> list[str]:
    """Train the classifiers, or the translators of the first target, of a parameter file.

    Under ``torchrun`` the processes train each network together: ``classifier_batch`` and
    ``translator_batch`` are those of each, and the weights are those of one process with the
    batches of all, under whose parameters a notebook finds them.

    ``stage`` is "classifier" or "cyclegan".

    Returns
    -------
    Names of the weights in the store; empty in all processes but the first.

    Raises
    ------
    InputError
        The parameters are refused, the device is not there, or the images were not split yet, or
        by other parameters.
    DivergedError
        A loss explodes.
    """
    params = load_params(path, profile=Path(path).stem)
    resolve_device(params.device)
    finished = finished_split(params)
    seed_everything(params.seed, params.threads, params.refuse_nondeterministic)
    fabric = make_fabric(params)
    store = Store(results_root() / "store")
    dataset = Dataset.open(params, data_root(), store, finished)
    classifiers = fit_classifiers(dataset)
    if stage == "cyclegan":
        here = [params.target_domain]
        recipes = {
            "cyclegan": TranslatorRecipe(here, texture=False),
            "cyclegan_texture": TranslatorRecipe(here, texture=True),
        }
        fit_translators(dataset, recipes, classifiers["grey"].ensemble.networks[0])
    if process_count() > 1:
        Ranks(fabric).wait()
    kept = {"classifier": "classifiers/", "cyclegan": "translators/"}[stage]
    names = sorted(name for name in store.used if name.startswith(kept) and "safetensors" in name)
    return names if fabric.global_rank == 0 else []


def finished_split(params: TranslationParameters) -> Finished:
    """The finished notebook that has split the images of these parameters.

    Raises
    ------
    InputError
        There is none, or it had other parameters.
    """
    profile = params.profile
    again = (
        f"Run first: make reproduce PROFILE={profile} "
        f"SNAKEMAKE_FLAGS='--until {notebook_paths(params.study)[0].stem}'"
    )
    tables = sorted(results_root().glob(f"{profile}/[0-9]*/tables/split.csv"))
    if not tables:
        raise InputError(f"{results_root() / profile}: the images are not split yet. {again}")
    finished = Finished(tables[0].parent.parent.name, tables[0].parent.parent)
    now, then = params.model_dump(), finished.record()["parameters"]
    for name in now:
        if name.startswith(_OF_THE_SPLIT) and now[name] != then.get(name):
            raise InputError(
                f"{tables[0]}: split with {name} = {then.get(name)!r}, the parameters say "
                f"{now[name]!r}. {again}"
            )
    return finished
