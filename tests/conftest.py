"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
import torch

from lib.data.dataset import Dataset
from lib.data.framing import frame_table
from lib.data.sources import open_source
from lib.data.splits import split_table
from lib.params import Params
from lib.store import Store

ROOT = Path(__file__).resolve().parents[1]

SMALL = dict(
    source_count=24, target_count=12, second_target_count=12, phantom_width=64, image_size=32,
    folds=2, colour_folds=1, classifier="test_resnet", classifier_epochs=1, classifier_batch=8,
    base_filters=4, blocks=1, translator_batch=2, translator_steps=2, threads=1, device="cpu",
)  # fmt: skip


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
    params = Params(**SMALL)
    source = open_source(params, tmp_path_factory.mktemp("data"))
    split = split_table(source.table(), params.folds, params.holdout_shares, params.seed)
    frames = frame_table(source, split["id"])
    return Dataset(params, source, split, frames, Store(tmp_path_factory.mktemp("store")))
