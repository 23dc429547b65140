"""A reader study made from a run: what is chosen, what is hidden, what is refused."""

import io
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compendium.__main__ import main
from compendium.reader_study.making import make_study
from compendium.reader_study.study import ChangedStudyError, key_path, open_study
from engine.errors import InputError
from engine.keys import digest

CHUNKS = [b"IHDR", b"IDAT", b"IEND"]


def chunks(png):
    """Types of the chunks of a PNG."""
    place, found = 8, []
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        found.append(png[place + 4 : place + 8])
        place += 12 + length
    return found


def test_kinds_and_labels_are_balanced_and_no_embryo_is_shown_in_two_ways(reader_study):
    key = open_study(reader_study).key()
    counts = key.groupby(["kind", "label"]).size().unstack()
    assert counts.to_dict("index") == {
        kind: {0: 4, 1: 4} for kind in ("ED1", "ED4", "cyclegan", "cyclegan_texture")
    }
    assert key["group"].is_unique
    assert key["real"].equals(key["kind"].isin(["ED1", "ED4"]))
    assert (key["domain"] == key["kind"].where(key["real"], "ED1")).all()


def test_images_are_from_the_holdout_and_are_what_the_key_says(reader_study, finished_run):
    from compendium.reader_study.making import _open_run

    study = open_study(reader_study)
    dataset, bundles = _open_run(finished_run)
    from lib.models.translation import translate

    for row in study.key().groupby("kind").head(2).itertuples():
        rows = dataset.rows(row.domain, "holdout")
        stack = dataset.stack(rows[rows["id"] == row.id])
        assert len(stack) == 1
        if not row.real:
            stack = translate(bundles[row.kind].generator, stack)
        shown = np.asarray(Image.open(io.BytesIO(study.image(row.image))))
        assert np.array_equal(shown, stack[0, 0].numpy())


def test_repeats_are_spread_over_the_kinds(reader_study):
    study = open_study(reader_study)
    kinds = study.key().set_index("image")["kind"]
    assert Counter(kinds[study.file.repeats]) == dict.fromkeys(kinds.unique(), 2)


def test_nothing_that_a_reader_gets_tells_what_an_image_is(reader_study):
    study = open_study(reader_study)
    key = study.key()
    files = sorted(path.relative_to(reader_study) for path in reader_study.rglob("*.*"))
    assert [file.as_posix() for file in files] == [
        *(f"images/{name}" for name in sorted(key["image"])), "study.json"
    ]  # fmt: skip
    text = (reader_study / "study.json").read_text()
    for word in {*key["kind"], *key["id"], *key["group"], *key["domain"]}:
        assert word not in text
        assert not any(word.encode() in study.image(name) for name in key["image"])
    # Equal in size and in everything but the pixels; the order of the names tells nothing.
    pngs = [study.image(name) for name in key["image"]]
    assert {len(png) for png in pngs} == {len(pngs[0])}
    assert all(chunks(png) == CHUNKS for png in pngs)
    assert {Image.open(io.BytesIO(png)).size for png in pngs} == {(32, 32)}
    assert key["kind"].tolist() != sorted(key["kind"])


def test_a_study_of_real_images_says_so_and_names_its_own_labels(real_run, tmp_path):
    make_study(real_run, tmp_path / "study", images=16, repeats=2, seed=0)
    study = open_study(tmp_path / "study")
    assert (study.file.note, study.synthetic) == ("real images", False)
    assert study.file.label_names == ["normal", "abnormal"]
    key = study.key()
    assert key.groupby("kind")["real"].first().to_dict() == {
        "smids": True, "hushem": True, "cyclegan": False, "cyclegan_texture": False
    }  # fmt: skip
    assert key["group"].is_unique
    text = (study.folder / "study.json").read_text()
    for id in key["id"]:
        assert id not in text


def test_the_same_seed_makes_the_same_study_and_another_another(finished_run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_study(finished_run, tmp_path / name, images=16, repeats=3, seed=seed)
    ids = {name: open_study(tmp_path / name).id for name in "abc"}
    assert ids["a"] == ids["b"] != ids["c"]


def test_every_reader_has_one_order_for_ever_and_repeats_lie_far_apart(reader_study):
    study = open_study(reader_study)
    orders = {f"reader-{n}": study.order(f"reader-{n}") for n in range(20)}
    assert len({tuple(order) for order in orders.values()}) == 20
    again = open_study(reader_study)
    for reader, order in orders.items():
        assert order == again.order(reader)
        assert Counter(order) == Counter([*study.file.images, *study.file.repeats])
        gaps = [
            len(order) - 1 - order[::-1].index(name) - order.index(name)
            for name in study.file.repeats
        ]
        assert min(gaps) > len(order) / 4


def test_an_odd_count_is_dealt_to_both_labels(finished_run, tmp_path):
    key = make_study(finished_run, tmp_path / "odd", images=12, repeats=0, seed=0)
    assert key["kind"].value_counts().tolist() == [3] * 4
    assert key["label"].value_counts().tolist() == [6, 6]
    assert open_study(tmp_path / "odd").file.repeats == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(images=7), "too few for 4 kinds"),
        (dict(images=400), "hold-out of ED4 has too few groups"),
        (dict(repeats=17), "give 0 to 16"),
        (dict(repeats=-1), "give 0 to 16"),
        (dict(results="nowhere"), "no split of its images"),
        (dict(out="taken"), "in the way"),
        (dict(out="moved"), r"moved\.key\.csv: in the way"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_written(given, words, finished_run, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "moved.key.csv").write_text("the key of a study that was carried away")
    before = sorted(tmp_path.rglob("*"))
    options = dict(results=finished_run, out="new", images=16, repeats=4, seed=0) | given
    for name in ("results", "out"):
        options[name] = tmp_path / options[name]
    with pytest.raises(InputError, match=words):
        make_study(**options)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_without_translators_is_named(finished_run, tmp_path):
    (tmp_path / "run" / "01_split").mkdir(parents=True)
    (tmp_path / "run" / "01_split" / "tables").symlink_to(finished_run / "01_split" / "tables")
    with pytest.raises(InputError, match="no translators"):
        make_study(tmp_path / "run", tmp_path / "new", images=16, repeats=4, seed=0)


def _swap_images(folder):
    a, b = sorted((folder / "images").iterdir())[:2]
    content = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(content)


def _drop_image(folder):
    next((folder / "images").iterdir()).unlink()


def _edit(folder, also_id):
    path = folder / "study.json"
    content = json.loads(path.read_text()) | {"order_seed": 1}
    if also_id:
        rest = {name: value for name, value in content.items() if name != "id"}
        content["id"] = digest(rest)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_swap_images, "not the image that the study was made with"),
        (_drop_image, "missing"),
        (lambda folder: _edit(folder, also_id=False), "changed since the study was made"),
        (lambda folder: (folder / "study.json").write_text("{"), "not a reader study 1"),
        (lambda folder: (folder / "study.json").write_text("[]"), "not a reader study 1"),
    ],
)
def test_a_changed_study_is_refused(change, words, reader_study):
    change(reader_study)
    with pytest.raises(ChangedStudyError, match=words):
        open_study(reader_study)


def test_a_changed_key_is_refused(reader_study, tmp_path):
    study = open_study(reader_study)
    path = key_path(reader_study)
    moved = path.rename(tmp_path / "elsewhere.csv")
    with pytest.raises(InputError, match="no such file"):
        study.key()
    assert len(study.key(moved)) == 32
    table = pd.read_csv(moved)
    table["label"] = 1 - table["label"]
    table.to_csv(path, index=False)
    with pytest.raises(ChangedStudyError, match="not the key"):
        study.key()


def test_command_makes_a_study_and_refuses_in_words(finished_run, tmp_path, capsys):
    out = tmp_path / "study"
    command = ["reader-study", "make", "--results", str(finished_run), "--out", str(out)]
    assert main([*command, "--images", "16", "--repeats", "2"]) == 0
    assert f"{out}.key.csv" in capsys.readouterr().out
    assert len(open_study(out).order("anna")) == 18
    assert main(command) == 2
    assert "in the way" in capsys.readouterr().err
