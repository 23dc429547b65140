"""What ``make reproduce`` must have made; run after it, not part of ``make test``.

The profile is that of ``PROFILE``, quick without it. ``.ci/run`` looks at smoke, which takes
minutes; what the numbers are worth is asked of quick only. They are those of synthetic images,
bounded loosely: another processor rounds otherwise, and a training of minutes does not forget it.
"""

import json
import os

import nbformat
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from compendium.claims.book import load_claims
from compendium.claims.evidence import read_evidence
from compendium.claims.mutants import run_mutants
from compendium.explain import explain
from engine.keys import file_digest
from engine.notebooks import notebook_paths
from engine.paths import results_root
from engine.results import read_table
from lib.evaluation.metrics import combine_folds

PROFILE = os.environ.get("PROFILE", "quick")
FOLDER = results_root() / PROFILE
of_quick = pytest.mark.skipif(PROFILE != "quick", reason="of quick only")
TARGETS = {"ed1": "04_evaluation", "ed3": "05_ed3_generalization"}


@pytest.fixture(scope="module")
def metrics():
    """Values of ``metrics.json`` by name."""
    kept = json.loads((FOLDER / "metrics.json").read_text())
    return {name: metric["value"] for name, metric in kept.items()}


@pytest.mark.parametrize("path", notebook_paths("embryo"), ids=lambda path: path.stem)
def test_every_notebook_was_executed_without_error(path):
    notebook = nbformat.read(FOLDER / path.name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]


def test_results_are_those_of_the_manifest():
    files = json.loads((FOLDER / "manifest.json").read_text())["files"]
    assert {name: file_digest(FOLDER / name) for name in files} == files


def test_every_figure_has_its_trail():
    figures = sorted(FOLDER.glob("*/figures/*.[ps][nv]g"))
    assert len(figures) > 30
    for figure in figures:
        trail = explain(figure)
        assert f"{figure.stem}.csv" in trail
        assert "cell [" in trail
        assert "unknown" not in trail


def test_every_translator_has_its_card():
    weights = sorted(FOLDER.glob("*/models/*.safetensors"))
    assert len(weights) > 1
    for path in weights:
        card = path.with_suffix(".md").read_text()
        assert file_digest(path) in card
        assert "on synthetic images" in card
    assert "**Synthetic.**" in (FOLDER / "data_card.md").read_text()


@of_quick
def test_claims_are_judged_and_every_mutant_is_caught():
    verdicts = json.loads((FOLDER / "claims.json").read_text())
    assert "reproduced" not in {v["verdict"] for v in verdicts if v["rung"] == "retrained"}
    assert sum(v["rung"] == "retrained" and v["verdict"] != "not run" for v in verdicts) > 3
    outcomes, vacuous = run_mutants(load_claims(), read_evidence(FOLDER))
    assert [outcome.mutant for outcome in outcomes if not outcome.changed] == []
    assert vacuous == []


@of_quick
def test_source_is_solved_but_not_perfectly(metrics):
    assert 0.95 <= metrics["02_baseline_classifier.ed4.grey.auc"] <= 0.998


@of_quick
@pytest.mark.parametrize(("domain", "notebook"), TARGETS.items())
def test_target_is_misread_and_translation_helps(metrics, domain, notebook):
    """At least a third of the gap: far below what a run reaches, far above what chance does."""
    auc = {
        arm: metrics[f"{notebook}.{domain}.{arm}.auc"]
        for arm in ("raw", "oracle", "cyclegan", "cyclegan_texture")
    }
    assert auc["raw"] < auc["oracle"] - 0.05
    best = max(auc["cyclegan"], auc["cyclegan_texture"])
    assert best - auc["raw"] >= (auc["oracle"] - auc["raw"]) / 3


@of_quick  # where several seeds are trained, the metrics are those of all of them
@pytest.mark.parametrize(("domain", "notebook"), TARGETS.items())
def test_metrics_follow_from_the_kept_predictions(metrics, domain, notebook):
    combined = combine_folds(read_table(FOLDER / notebook / "predictions" / f"{domain}.csv"))
    again = {
        arm: roc_auc_score(table["label"], table["score"]) for arm, table in combined.groupby("arm")
    }
    kept = {arm: metrics[f"{notebook}.{domain}.{arm}.auc"] for arm in again}
    assert pd.Series(again).round(9).to_dict() == pd.Series(kept).round(9).to_dict()
