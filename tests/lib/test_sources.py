"""Sources: four kinds of data, one image table; bad input is named."""

import hashlib
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engine.errors import InputError
from engine.parameters import check_params
from lib.data.images import decode, to_grey
from lib.data.interface import COLUMNS, ImageCache
from lib.data.sources import open_source
from lib.data.timelapse import plane_folders, spread
from lib.phantom.embryo import grow


def _open(root, **values):
    return open_source(check_params(values, "the test"), root)


def _save(path, seed=0, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *path.as_posix().encode()])
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


# --- folders -------------------------------------------------------------------------------

SIZES = {
    "ed4": {"1": 4, "2": 3, "3": 2, "4": 2, "5": 5},
    "ed1": {"1": 3, "2": 1, "3": 2, "4": 0, "5": 2},
    "ed3": {"1": 3, "2": 2},
}


@pytest.fixture
def embryo_folders(tmp_path):
    for domain, folders in SIZES.items():
        suffix = "jpg" if domain == "ed3" else "png"
        for folder, count in folders.items():
            (tmp_path / "sets" / domain / "alldata" / folder).mkdir(parents=True)
            for n in range(count):
                _save(tmp_path / f"sets/{domain}/alldata/{folder}/{n}.{suffix}")
    return tmp_path


def _folders(root, **values):
    return _open(root, data_kind="folders", data_dir="sets", **values)


@pytest.mark.parametrize(("rule", "negatives"), [("folder1", (4, 3)), ("folders12", (7, 4))])
def test_folder_layout_under_both_label_rules(embryo_folders, rule, negatives):
    source = _folders(embryo_folders, label_rule=rule)
    table = source.table()
    assert list(table.columns) == COLUMNS
    assert table["id"].is_unique
    assert table["id"].str.count("/0.png").sum() == 4 + 5  # the same name in nine folders
    counts = table.groupby("domain")["label"].agg(["size", "sum"])
    assert counts.loc["ED4"].tolist() == [16, 16 - negatives[0]]
    assert counts.loc["ED1"].tolist() == [8, 8 - negatives[1]]
    assert counts.loc["ED3"].tolist() == [5, 2]
    row = table[table["id"] == "ed4/alldata/2/1.png"].iloc[0]
    path = embryo_folders / "sets/ed4/alldata/2/1.png"
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row["width"], row["height"], row["mode"], row["group"]) == (10, 12, "RGB", row["id"])
    assert np.array_equal(source.read(row["id"]), decode(path))
    assert source.excluded.empty


def test_second_target_may_be_absent_the_others_not(embryo_folders):
    shutil.rmtree(embryo_folders / "sets/ed3")
    assert set(_folders(embryo_folders).table()["domain"]) == {"ED4", "ED1"}
    shutil.rmtree(embryo_folders / "sets/ed1")
    with pytest.raises(InputError, match=r"ed1/alldata: no such folder .* holds: ed4"):
        _folders(embryo_folders)


@pytest.mark.parametrize(("domain", "name"), [("ed4", "6"), ("ed3", "3"), ("ed1", "blast")])
def test_unknown_folder_is_named(embryo_folders, domain, name):
    _save(embryo_folders / f"sets/{domain}/alldata/{name}/0.png")
    with pytest.raises(InputError, match=f"{domain}/alldata/{name}: unknown folder name"):
        _folders(embryo_folders)


def test_missing_and_empty_data_folder(tmp_path):
    with pytest.raises(InputError, match="sets: no such folder"):
        _folders(tmp_path)
    (tmp_path / "sets").mkdir()
    with pytest.raises(InputError, match="sets: the folder is empty"):
        _folders(tmp_path)
    for domain in ("ed4", "ed1"):
        (tmp_path / "sets" / domain / "alldata/1").mkdir(parents=True)
    with pytest.raises(InputError, match="ed4: no images"):
        _folders(tmp_path)


def test_bad_images_are_excluded_with_a_warning(embryo_folders):
    folder = embryo_folders / "sets/ed4/alldata"
    (folder / "5/0.png").write_bytes(b"")
    whole = (folder / "5/1.png").read_bytes()
    (folder / "5/1.png").write_bytes(whole[:100])
    (folder / "5/2.png").write_text("no image")
    (folder / "5/notes.txt").write_text("no image either")
    source = _folders(embryo_folders)
    with pytest.warns(UserWarning, match="3 of 29 images"):
        table = source.table()
    assert not table["id"].isin([f"ed4/alldata/5/{n}.png" for n in range(3)]).any()
    assert sorted(source.excluded["id"].str[-5:]) == ["0.png", "1.png", "2.png", "s.txt"]
    assert (source.excluded["domain"] == "ED4").all()
    assert source.excluded["reason"].str.contains("sets/ed4/alldata/5").all()


def test_a_domain_left_with_one_class_is_refused(embryo_folders):
    for path in (embryo_folders / "sets/ed3/alldata/2").iterdir():
        path.write_bytes(b"broken")
    with (
        pytest.warns(UserWarning, match="2 of 29"),
        pytest.raises(InputError, match="all 3 images of ED3 have label 0"),
    ):
        _folders(embryo_folders).table()
    with pytest.raises(InputError, match="leads outside"):
        _open(embryo_folders / "sets", data_kind="folders", data_dir="..")


def test_fingerprint_follows_pixels_and_labels(embryo_folders):
    before = _folders(embryo_folders).fingerprint()
    assert _folders(embryo_folders).fingerprint() == before
    assert _folders(embryo_folders, label_rule="folders12").fingerprint() != before
    _save(embryo_folders / "sets/ed1/alldata/1/0.png", seed=1)
    assert _folders(embryo_folders).fingerprint() != before


# --- labels.csv ----------------------------------------------------------------------------

LIST = dict(
    data_kind="table",
    data_dir="own",
    label_column="class",
    positive_label="good",
    negative_label="bad",
    source_domain="here",
    target_domain="there",
)


@pytest.fixture
def own_images(tmp_path):
    rows = []
    for domain in ("here", "there", "elsewhere"):
        for n, label in enumerate(["good", "bad", "good", "unsure"]):
            rows.append((f"{domain}/{n}.png", domain, label, f"p{n}"))
            _save(tmp_path / "own" / rows[-1][0])
    pd.DataFrame(rows, columns=["file", "domain", "class", "patient"]).to_csv(
        tmp_path / "own/labels.csv", index=False
    )
    return tmp_path


def _change(root, change):
    path = root / "own/labels.csv"
    change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)


def test_table_of_own_images(own_images):
    source = _open(own_images, **LIST, group_column="patient")
    table = source.table()
    assert dict(zip(table["id"], table["label"], strict=True)) == {
        "here/0.png": 1,
        "here/1.png": 0,
        "here/2.png": 1,
        "there/0.png": 1,
        "there/1.png": 0,
        "there/2.png": 1,
    }
    assert table["group"].tolist() == ["p0", "p1", "p2"] * 2
    reasons = source.excluded.set_index("id")["reason"]
    assert reasons.index.tolist() == ["here/3.png", "there/3.png"] + [
        f"elsewhere/{n}.png" for n in range(4)
    ]
    assert reasons[:2].str.contains("'unsure'").all()
    assert reasons[2:].str.contains("domain 'elsewhere' is none of here, there").all()
    assert _open(own_images, **LIST).table()["group"].tolist() == table["id"].tolist()


def test_optional_columns_are_kept(own_images):
    _change(own_images, lambda rows: rows.assign(um_per_px="0.5", note="x"))
    table = _open(own_images, **LIST).table()
    assert list(table.columns) == [*COLUMNS, "um_per_px"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="class"), "column 'class' is missing"),
        (lambda rows: rows.drop(columns="file"), "column 'file' is missing"),
        (lambda rows: rows.drop(columns="patient"), "column 'patient' is missing"),
        (lambda rows: rows.replace("here/0.png", "../../x.png"), "leads outside"),
        (lambda rows: rows.replace("here/0.png", "/etc/passwd"), "leads outside"),
        (lambda rows: rows.replace("here/0.png", "here/9.png"), "here/9.png: no such file"),
        (lambda rows: rows.replace("here/0.png", "here/./2.png"), "'here/2.png' is listed twice"),
        (lambda rows: rows.replace("bad", "good"), "all 3 images of here have label 1"),
        (lambda rows: rows.replace("there", "away"), "no image of domain 'there'"),
        (lambda rows: rows.head(0), "no image of domain 'here'"),
    ],
)
def test_unusable_lists_are_named(own_images, change, message):
    _change(own_images, change)
    with pytest.raises(InputError, match=message):
        _open(own_images, **LIST, group_column="patient")


def test_list_that_is_absent_or_no_table(own_images):
    path = own_images / "own/labels.csv"
    path.write_bytes(b"\xff\xfb\x00\x01")
    with pytest.raises(InputError, match="not a table"):
        _open(own_images, **LIST)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="not a table"):
        _open(own_images, **LIST)
    path.unlink()
    with pytest.raises(InputError, match=r"labels\.csv: no such file"):
        _open(own_images, **LIST)


def test_link_that_leads_outside_is_refused(own_images):
    _save(own_images / "secret.png")
    (own_images / "own/here/0.png").unlink()
    (own_images / "own/here/0.png").symlink_to(own_images / "secret.png")
    with pytest.raises(InputError, match="leads outside"):
        _open(own_images, **LIST)


SPERM = dict(
    data_kind="table",
    data_dir="sperm_two_devices",
    positive_label="abnormal",
    negative_label="normal",
    source_domain="smids",
    target_domain="hushem",
    second_target_domain="PHONE",
    second_target_optics="ED1",
)


def test_real_sperm_images_with_a_photographed_second_target(shared_data):
    source = _open(shared_data, **SPERM)
    table = source.table().set_index("id")
    counts = table.groupby(["domain", "label"]).size()
    assert counts.to_dict() == {
        ("PHONE", 0): 392,
        ("PHONE", 1): 392,
        ("hushem", 0): 36,
        ("hushem", 1): 108,
        ("smids", 0): 392,
        ("smids", 1): 392,
    }
    assert len(source.excluded) == 16
    assert source.truth_domains == ("PHONE",)
    original = "images/smids/abnormal_000.bmp"
    copy = f"PHONE/{original}"
    assert table.loc[copy, "group"] == table.loc[original, "group"]
    taken, before = source.read(copy), source.read(original)
    assert taken.shape[:2] == before.shape[:2]
    assert np.abs(to_grey(taken).astype(float) - to_grey(before)).mean() > 3
    assert np.array_equal(source.read_through(copy, "smids"), before)
    assert np.array_equal(_open(shared_data, **SPERM).read(copy), taken)
    with pytest.raises(InputError, match="hushem"):
        source.through("hushem")


# --- time-lapse ----------------------------------------------------------------------------

PHASES = "tPB2,1,4\nt2,5,20\ntSB,21,25\ntB,26,30\ntEB,31,38\n"


@pytest.fixture
def time_lapse(tmp_path):
    root = tmp_path / "zenodo"
    for plane in ("", "_F-15", "_F15", "_F-30", "_F30"):
        for embryo in ("AA83-7", "LBE857-1"):
            for frame in range(1, 41):
                _save(root / f"embryo_dataset{plane}/{embryo}/D2013_WELL7_RUN{frame}.jpeg")
    annotations = root / "embryo_dataset_annotations"
    annotations.mkdir()
    for embryo in ("AA83-7", "LBE857-1"):
        (annotations / f"{embryo}_phases.csv").write_text(PHASES)
    return tmp_path


def _time_lapse(root, **values):
    return _open(root, data_kind="timelapse", data_dir="zenodo", **values)


def test_time_lapse_frames_planes_and_labels(time_lapse):
    table = _time_lapse(time_lapse, focal_planes=3, frames_per_embryo=6).table()
    assert set(table["domain"]) == {"ED4"}
    assert table["group"].value_counts().to_dict() == {"AA83-7": 18, "LBE857-1": 18}
    plane = table["id"].str.split("/").str[0]
    assert set(plane.value_counts()) == {12}
    assert set(plane) == {"embryo_dataset", "embryo_dataset_F-15", "embryo_dataset_F15"}
    frame = table["id"].str.extract(r"RUN(\d+)")[0].astype(int)
    assert (table["label"] == (frame >= 26)).all()
    assert frame.max() <= 38  # later frames carry no annotation
    steps = np.diff(sorted(set(frame)))
    assert len(steps) == 5
    assert steps.max() - steps.min() <= 1


def test_neighbouring_planes_are_in_balance():
    assert plane_folders(1, 0) == ["embryo_dataset"]
    for count in range(1, 8):
        shown = [name for turn in (0, 1) for name in plane_folders(count, turn)]
        offsets = [int(name.removeprefix("embryo_dataset").lstrip("_F") or 0) for name in shown]
        assert sum(offsets) == 0
        assert max(map(abs, offsets)) == 15 * (count // 2)
        assert plane_folders(count, 0)[0] == "embryo_dataset"


def test_spread_takes_all_of_few_and_some_of_many():
    assert spread([4, 5, 6], 8) == [4, 5, 6]
    assert spread(list(range(100)), 4) == [12, 37, 62, 87]
    assert spread([], 4) == []


def test_embryos_without_usable_annotation_and_missing_frames_are_excluded(time_lapse):
    root = time_lapse / "zenodo"
    (root / "embryo_dataset_annotations/LBE857-1_phases.csv").write_text("tB;1;2\n")
    for path in (root / "embryo_dataset_F15/AA83-7").glob("*RUN?.jpeg"):
        path.unlink()
    source = _time_lapse(time_lapse, focal_planes=3, frames_per_embryo=38)
    table = source.table()
    assert set(table["group"]) == {"AA83-7"}
    assert len(table) == 3 * 38 - 9
    reasons = source.excluded["reason"]
    assert reasons.str.contains("not a known phase").sum() == 1
    assert reasons.str.contains("missing in this plane").sum() == 9
    (root / "embryo_dataset_annotations/AA83-7_phases.csv").unlink()
    with pytest.raises(InputError, match="no annotation"):
        _time_lapse(time_lapse)


def test_missing_plane_is_named(time_lapse):
    with pytest.raises(InputError, match=r"embryo_dataset_F-45: no such folder.*tar\.gz"):
        _time_lapse(time_lapse, focal_planes=7)


def test_targets_beside_the_time_lapse_set_are_listed(time_lapse):
    for folder in ("1", "2"):
        _save(time_lapse / f"zenodo/ed3/alldata/{folder}/0.jpg")
    table = _time_lapse(time_lapse, focal_planes=1).table()
    assert table["domain"].value_counts().to_dict() == {"ED4": 16, "ED3": 2}


# --- phantoms ------------------------------------------------------------------------------

SMALL = dict(source_count=20, target_count=20, second_target_count=20, phantom_width=48)


@pytest.fixture(scope="module")
def phantoms():
    return _open("", **SMALL)


def test_phantom_table(phantoms):
    table = phantoms.table()
    assert table["domain"].value_counts().to_dict() == {"ED4": 20, "ED1": 20, "ED3": 20}
    seeds = table["id"].str.split("/").str[1]
    assert seeds.is_unique  # no embryo in two domains
    assert (seeds.str.len() == 8).all()
    assert table["sha256"].is_unique
    assert table.groupby("domain")["label"].nunique().eq(2).all()
    row = table.iloc[-1]
    image = phantoms.read(row["id"])
    assert image.shape == (row["height"], row["width"], 3)
    grown = grow(seeds.astype(int).to_numpy(), 64, phantoms._params.positive_share)
    assert (grown.label == table["label"]).all()


def test_phantoms_depend_on_their_id_alone(phantoms):
    ids = list(phantoms.table()["id"])[::7]
    again = _open("", **SMALL)
    for id, image in zip(ids, phantoms.read_many(ids), strict=True):
        assert np.array_equal(again.read(id), image)


def test_same_embryo_through_another_device(phantoms):
    id = phantoms.table()["id"].iloc[-1]
    other = phantoms.read_through(id, "ED4")
    assert other.shape == (48, 48, 3)
    assert np.ptp(other.astype(int), axis=2).max() <= 12  # grey, but for JPEG
    assert np.array_equal(phantoms.through("ED4").read_many([id])[0], other)
    assert np.array_equal(phantoms.read_many([id], "ED4")[0], other)
    own, theirs = phantoms.truth([id]), phantoms.truth([id], "ED4")
    assert own["radius"].item() / phantoms.read(id).shape[0] > theirs["radius"].item() / 48
    assert phantoms.through("ED4").truth([id]).equals(theirs)


def test_phantom_fingerprint_and_seeds(phantoms):
    assert _open("", **SMALL).fingerprint() == phantoms.fingerprint()
    for change in (
        {"seed": 1},
        {"phantom_width": 52},
        {"positive_share": 0.5},
        {"phantom_label": "grain"},
        {"target_count": 21},
    ):
        assert _open("", **{**SMALL, **change}).fingerprint() != phantoms.fingerprint()
    other = _open("", **SMALL, seed=1)
    with pytest.raises(InputError, match="no such phantom"):
        other.read(phantoms.table()["id"].iloc[0])
    with pytest.raises(InputError, match="ED7"):
        _open("", **SMALL, source_domain="ED7")


def test_the_label_of_phantoms_may_be_their_grain(phantoms):
    grained = _open("", **SMALL, phantom_label="grain")
    own, other = phantoms.table(), grained.table()
    assert (own["label"] != other["label"]).any()
    assert not set(own["sha256"]) & set(other["sha256"])
    id = own["id"].iloc[0]
    assert (phantoms.read(id) != grained.read(id)).any()
    masks = [source.structures().read(id) for source in (phantoms, grained)]
    np.testing.assert_array_equal(*masks)
    assert grained._params.label_names == {0: "coarse grain", 1: "fine grain"}
    with pytest.raises(InputError, match="phantom_label=grain"):
        _open("", data_kind="folders", data_dir="x", phantom_label="grain")


def test_cache_keeps_what_was_used_last_within_its_budget():
    cache = ImageCache(300)
    images = {name: np.full(100, n, np.uint8) for n, name in enumerate("abcd")}
    for name in "abc":
        cache.put(name, images[name])
    cache.get("a")
    cache.put("d", images["d"])
    kept = {name for name in "abcd" if cache.get(name) is not None}
    assert kept == {"a", "c", "d"}
    assert cache.get("d") is images["d"]
    cache.put("whole slide", np.zeros(301, np.uint8))
    assert cache.get("whole slide") is None
    assert cache.get("d") is images["d"]
    cache.put("d", images["a"])  # a second thread was slower
    assert cache.get("d") is images["d"]
    assert not images["d"].flags.writeable
