"""What ``make reproduce`` must have made; run by ``.ci/run`` after it, not part of ``make test``.

The numbers are those that profile quick promises (synthetic images).
"""

import json

import nbformat
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lib.evaluation.arms import combine_folds
from lib.keys import file_digest
from lib.notebooks import notebook_paths
from lib.paths import results_root
from lib.results import read_table

FOLDER = results_root() / "quick"
TARGETS = {"ed1": "04_evaluation", "ed3": "05_ed3_generalization"}


@pytest.fixture(scope="module")
def metrics():
    """Values of ``metrics.json`` by name."""
    kept = json.loads((FOLDER / "metrics.json").read_text())
    return {name: metric["value"] for name, metric in kept.items()}


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.stem)
def test_every_notebook_was_executed_without_error(path):
    notebook = nbformat.read(FOLDER / path.name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]


def test_results_are_those_of_the_manifest():
    files = json.loads((FOLDER / "manifest.json").read_text())["files"]
    assert {name: file_digest(FOLDER / name) for name in files} == files


def test_source_is_solved_but_not_perfectly(metrics):
    assert 0.97 <= metrics["02_baseline_classifier.ed4.grey.auc"] <= 0.995


def test_phone_images_are_misread(metrics):
    assert metrics["04_evaluation.ed1.raw.auc"] < 0.75


@pytest.mark.parametrize(("domain", "share"), [("ed1", 0.8), ("ed3", 0.6)])
def test_translation_closes_the_gap(metrics, domain, share):
    auc = {
        arm: metrics[f"{TARGETS[domain]}.{domain}.{arm}.auc"]
        for arm in ("raw", "oracle", "cyclegan_texture")
    }
    assert auc["cyclegan_texture"] - auc["raw"] >= share * (auc["oracle"] - auc["raw"])


def test_frozen_threshold_serves_the_translated_images(metrics):
    assert metrics["04_evaluation.ed1.cyclegan_texture.balanced_accuracy"] >= 0.80


@pytest.mark.parametrize(("domain", "notebook"), TARGETS.items())
def test_metrics_follow_from_the_kept_predictions(metrics, domain, notebook):
    combined = combine_folds(read_table(FOLDER / notebook / "predictions" / f"{domain}.csv"))
    again = {
        arm: roc_auc_score(table["label"], table["score"]) for arm, table in combined.groupby("arm")
    }
    kept = {arm: metrics[f"{notebook}.{domain}.{arm}.auc"] for arm in again}
    assert pd.Series(again).round(9).to_dict() == pd.Series(kept).round(9).to_dict()
