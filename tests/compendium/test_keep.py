"""What is kept in git: the same numbers, fewer bytes, nothing that is not ours to hand on."""

import base64
import gzip
import io
import json

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from compendium.claims.evidence import read_evidence
from compendium.keep import LONG, keep_results, small_picture
from compendium.readme import REFERENCE
from engine.errors import InputError
from engine.keys import file_digest
from engine.results import Finished, file_digests

MEGABYTE = 1e6
LARGEST = {"quick": 10 * MEGABYTE, "phantom_full": 14 * MEGABYTE}


def picture(size=(300, 200)) -> bytes:
    """A photograph-like picture: smooth colour with grain."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: size[1], : size[0]]
    smooth = np.stack([x * 0.5, y, 120 + 0 * x], axis=-1) + rng.normal(0, 3, (*x.shape, 3))
    stream = io.BytesIO()
    Image.fromarray(smooth.clip(0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write_run(folder, data_kind="phantom"):
    """A finished run with a long prediction table, as the notebooks leave it."""
    place = folder / "04_evaluation"
    rows = 2000
    rng = np.random.default_rng(1)
    predictions = pd.DataFrame(
        dict(id=[f"ED1/{i:06d}" for i in range(rows)], domain="ED1", label=np.arange(rows) % 2,
             group=np.arange(rows) // 4, arm="grey", seed=0, fold=0, score=rng.random(rows))
    )  # fmt: skip
    limits = pd.DataFrame(dict(domain=["ED1"], arm="grey", seed=0, threshold=0.5))
    files = {
        "predictions/ed1.csv": predictions.to_csv(index=False).encode(),
        "tables/frozen_thresholds.csv": limits.to_csv(index=False).encode(),
        "figures/eight_ed1.png": picture(), "figures/roc_ed1.png": picture(),
        "figures/roc_ed1.csv": b"x\n1\n", "models/cyclegan.safetensors": b"weights",
        "metrics.json": b"{}",
    }  # fmt: skip
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    params = dict(profile="tiny", data_kind=data_kind, second_target_optics="")
    params |= {f"{which}_domain": which for which in ("source", "target", "second_target")}
    record = dict(parameters=params, seed=0, files=file_digests(place))
    (place / "run.json").write_text(json.dumps(record))
    png = base64.b64encode(picture()).decode()
    shown = new_output("display_data", {"image/png": png, "text/plain": "a figure"})
    notebook = new_notebook(cells=[new_code_cell("draw()", outputs=[shown], execution_count=1)])
    nbformat.write(notebook, folder / "04_evaluation.ipynb")
    manifest = dict(profile="tiny", parameters=params, files=file_digests(folder))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "claims.md").write_text("judged\n")
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "results" / "tiny")


def names(folder):
    return set(file_digests(folder))


def test_numbers_stay_and_figures_and_weights_go(run, tmp_path):
    out = tmp_path / "reference" / "tiny"
    keep_results(run, out)
    assert names(out) == {
        "04_evaluation.ipynb", "04_evaluation/figures/eight_ed1.png", "manifest.json",
        "04_evaluation/metrics.json", "04_evaluation/predictions/ed1.csv.gz", "claims.md",
        "04_evaluation/run.json", "04_evaluation/tables/frozen_thresholds.csv",
    }  # fmt: skip
    was, now = (Finished("04_evaluation", one / "04_evaluation") for one in (run, out))
    for read in (lambda one: one.predictions("ed1"), lambda one: one.table("frozen_thresholds")):
        pd.testing.assert_frame_equal(read(was), read(now), check_exact=True)
    assert read_evidence(out).number("04_evaluation.ed1.grey.auc") == read_evidence(run).number(
        "04_evaluation.ed1.grey.auc"
    )


def test_manifest_lists_the_kept_files_as_they_are(run, tmp_path):
    keep_results(run, tmp_path / "kept")
    files = json.loads((tmp_path / "kept" / "manifest.json").read_text())["files"]
    assert files == {
        name: file_digest(tmp_path / "kept" / name)
        for name in names(tmp_path / "kept") - {"manifest.json"}
    }


def test_of_real_images_no_picture_is_kept(tmp_path):
    run = write_run(tmp_path / "results" / "tiny", data_kind="table")
    keep_results(run, tmp_path / "kept")
    kept = names(tmp_path / "kept")
    assert "04_evaluation/predictions/ed1.csv.gz" in kept
    assert [name for name in kept if name.endswith((".png", ".ipynb", ".svg"))] == []


def test_keeping_what_was_kept_changes_nothing(run, tmp_path):
    keep_results(run, tmp_path / "once")
    keep_results(run, tmp_path / "twice")
    keep_results(tmp_path / "twice", tmp_path / "twice")
    assert file_digests(tmp_path / "once") == file_digests(tmp_path / "twice")


def test_what_was_kept_before_goes(run, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old.csv").write_text("x\n1\n")
    keep_results(run, tmp_path / "kept")
    assert "old.csv" not in names(tmp_path / "kept")


def test_a_changed_file_is_refused_and_nothing_replaced(run, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old.csv").write_text("x\n1\n")
    (run / "04_evaluation" / "tables" / "frozen_thresholds.csv").write_text("painted over")
    with pytest.raises(InputError, match=r"frozen_thresholds\.csv: missing, or not the file"):
        keep_results(run, tmp_path / "kept")
    assert names(tmp_path / "kept") == {"old.csv"}
    with pytest.raises(InputError, match="make reproduce"):
        keep_results(tmp_path, tmp_path / "kept")


def test_a_packed_table_that_was_edited_is_noticed(run, tmp_path):
    keep_results(run, tmp_path / "kept")
    path = tmp_path / "kept" / "04_evaluation" / "predictions" / "ed1.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"0.9", b"0.1")))
    with pytest.raises(InputError, match="not the file that the run wrote"):
        read_evidence(tmp_path / "kept")


def test_pictures_of_notebooks_shrink_and_look_the_same(run, tmp_path):
    keep_results(run, tmp_path / "kept")
    cell = nbformat.read(tmp_path / "kept" / "04_evaluation.ipynb", as_version=4).cells[0]
    (output,) = cell.outputs
    assert (cell.source, cell.execution_count) == ("draw()", 1)
    assert output.data["text/plain"] == "a figure"
    small = base64.b64decode(output.data["image/png"])
    assert len(small) < 0.6 * len(picture())
    before, after = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        for png in (picture(), small)
    )
    assert abs(before - after).mean() < 3.0  # of 255; grain over the whole range of colours
    assert small_picture(small) == small


@pytest.mark.parametrize("profile", LARGEST)
def test_kept_results_stay_small(profile):
    sizes = {path: path.stat().st_size for path in (REFERENCE / profile).rglob("*.*")}
    assert sum(sizes.values()) <= LARGEST[profile], f"make reference PROFILE={profile}"
    long = [path for path, size in sizes.items() if path.suffix == ".csv" and size > LONG]
    assert long == [], "not made by `compendium keep`"


@pytest.mark.parametrize(
    "folder",
    [path.parent for path in sorted(REFERENCE.glob("*/metrics.json"))],
    ids=lambda path: path.name,
)
def test_manifests_of_kept_results_are_true(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert {name: file_digest(folder / name) for name in files} == files
    assert set(files) == names(folder) - {"manifest.json"}
