"""Fixtures shared by all tests."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from compendium.reader_study.making import make_study
from engine.store import Store
from lib.data.dataset import Dataset
from lib.data.framing import frame_table
from lib.data.sources import open_source
from lib.data.splits import split_table
from lib.models.bundle import Bundle, save_bundle
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import CycleGAN
from lib.models.gate import Gate
from lib.models.networks import build_network
from lib.studies.embryo import EmbryoParameters

# A machine that does other work is slow; how fast anything is, `make bench` measures.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parents[1]

SMALL = dict(
    source_count=24, target_count=12, second_target_count=12, phantom_width=64, image_size=32,
    folds=2, colour_folds=1, classifier="test_resnet", classifier_epochs=1, classifier_batch=8,
    base_filters=4, blocks=1, translator_batch=2, translator_steps=2, threads=1, device="cpu",
)  # fmt: skip


# Files that take minutes, the longest first: started last, they would keep one worker waiting.
# The workshop reads what the notebooks have trained, so it is not the first.
LONGEST = ("test_runs", "test_plain_processor", "test_workshop", "test_clinic", "test_training")


class WholeFiles(LoadScopeScheduling):
    """A worker takes a whole file; all notebooks are one, since they read each other in order."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return "notebooks" if file.endswith(".ipynb") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return WholeFiles(config, log)


def pytest_collection_modifyitems(items):
    """The notebooks first, then the longest files, then the others as they come."""
    first = {name: place for place, name in enumerate(LONGEST)}
    items.sort(
        key=lambda item: -1 if item.path.suffix == ".ipynb" else first.get(item.path.stem, 99)
    )


@pytest.fixture(scope="session")
def shared_store() -> Path:
    """The store of the notebooks that ``make test`` runs: what they train is trained once."""
    return Path(os.environ.get("COMPENDIUM_RESULTS", "none")).resolve() / "store"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real images; the test is skipped where they are absent."""
    folder = Path(os.environ.get("COMPENDIUM_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real images absent: {folder}")
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    params = EmbryoParameters(**SMALL)
    source = open_source(params, tmp_path_factory.mktemp("data"))
    split = split_table(source.table(), params.folds, params.holdout_shares, params.seed)
    frames = frame_table(source, split["id"])
    return Dataset(params, source, split, frames, Store(tmp_path_factory.mktemp("store")))


def leave_run(folder: Path, params: EmbryoParameters, data_root: Path) -> Path:
    """Write a results folder as a run leaves it: split, record, and two untrained translators."""
    table = open_source(params, data_root).table()
    tables = folder / "01_split" / "tables"
    tables.mkdir(parents=True)
    split = split_table(table, params.folds, params.holdout_shares, params.seed)
    split.to_csv(tables / "split.csv", index=False)
    table[["id"]].head(0).to_csv(tables / "frames.csv", index=False)
    record = {"parameters": params.model_dump()}
    (tables.parent / "run.json").write_text(json.dumps(record))
    torch.manual_seed(0)
    networks = [build_network(params.classifier, 1, "").eval() for _ in range(2)]
    ensemble = FoldEnsemble(networks, [Calibration(1.0, 0.0, 0.05, 0.5, 1.0)] * 2, blur=0.0)
    images = torch.randint(0, 256, (24, 1, 32, 32), dtype=torch.uint8)
    gate = Gate.fit(ensemble, images, np.arange(24) % 2)
    for arm in ("cyclegan", "cyclegan_texture"):
        generator = CycleGAN(params).to_source.eval()
        bundle = Bundle(params, params.target_domain, arm, generator, gate)
        save_bundle(folder / "04_arms" / "models" / f"{arm}.safetensors", bundle)
    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """A results folder of phantoms."""
    params = EmbryoParameters(**SMALL | dict(target_count=80, source_count=80, framing="whole"))
    root = tmp_path_factory.mktemp("results")
    return leave_run(root / "smoke", params, root)


@pytest.fixture
def real_run(shared_data, tmp_path, monkeypatch) -> Path:
    """A results folder of the real sperm heads."""
    params = EmbryoParameters(
        **SMALL, framing="whole", data_kind="table", data_dir="sperm_two_devices",
        positive_label="abnormal", negative_label="normal", source_domain="smids",
        target_domain="hushem", second_target_domain="smids_phone", second_target_optics="ED1",
    )  # fmt: skip
    monkeypatch.setenv("COMPENDIUM_DATA", str(shared_data))
    return leave_run(tmp_path / "results" / "sperm", params, shared_data)


@pytest.fixture
def reader_study(finished_run, tmp_path) -> Path:
    """A study of 32 images, 8 of them shown twice: 40 to judge."""
    make_study(finished_run, tmp_path / "study", images=32, repeats=8, seed=0)
    return tmp_path / "study"
