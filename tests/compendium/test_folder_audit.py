"""The audit of any folder: what it counts, and what it says when there is nothing to count."""

import numpy as np
import pytest
from PIL import Image

from compendium.clinic.audit import Folder, audit_folder
from engine.errors import InputError
from engine.results import write_atomically
from lib.data import appearance, images


@pytest.fixture
def folder(tmp_path):
    """Two devices; one image twice, one nearly, one broken; a name that repeats."""
    rng = np.random.default_rng(0)
    place = tmp_path / "images"

    def draw(name, pixels):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    y, x = np.mgrid[:48, :64]
    for device in ("good", "phone"):
        for number in range(3):
            wave = np.sin(x * rng.uniform(0.1, 0.6)) + np.cos(y * rng.uniform(0.1, 0.6))
            draw(f"{device}/{number}.png", (128 + 50 * wave).clip(0, 255).astype(np.uint8))
    first = np.asarray(Image.open(place / "good/0.png"))
    draw("phone/copy.png", first)
    draw("phone/near.png", np.minimum(first, 250) + np.uint8(3))
    (place / "good" / "broken.png").write_bytes(b"nothing")
    return place


def test_a_plain_folder(folder, tmp_path):
    tables = audit_folder(folder, tmp_path / "a.html")
    files = tables["files"].set_index("domain")
    assert files["usable"].to_dict() == {"good": 3, "phone": 5}
    assert tables["excluded"]["id"].tolist() == ["good/broken.png"]
    assert set(tables["exact duplicates"]["id"]) == {"good/0.png", "phone/copy.png"}
    pairs = {frozenset(pair) for pair in tables["near duplicates"][["id_a", "id_b"]].to_numpy()}
    assert frozenset({"phone/copy.png", "phone/near.png"}) in pairs
    text = (tmp_path / "a.html").read_text()
    assert "Audit of images" in text
    assert text.count("<img") >= 8
    assert "http" not in text.replace("http-equiv", "")


def test_labels_are_used_where_there_are_any(folder, tmp_path):
    (folder / "good" / "broken.png").unlink()
    lines = ["file,domain,label"] + [f"good/{n}.png,microscope,{'ab'[n % 2]}" for n in range(3)]
    (folder / "labels.csv").write_text("\n".join(lines))
    tables = audit_folder(folder, tmp_path / "a.html")
    assert tables["labels"].to_numpy().tolist() == [["microscope", "a", 2], ["microscope", "b", 1]]


def test_a_page_is_not_overwritten_unasked(folder, tmp_path):
    (tmp_path / "a.html").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        audit_folder(folder, tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text() == "mine"
    audit_folder(folder, tmp_path / "a.html", force=True)


def test_a_folder_in_the_place_of_the_page_is_said(folder, tmp_path):
    for force in (False, True):
        with pytest.raises(InputError, match=r"a folder\. Name the page to write with --out"):
            audit_folder(folder, tmp_path, force)
    with pytest.raises(InputError, match="a folder is in the place of this file"):
        write_atomically(tmp_path, b"page")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda place: None, "no such folder"),
        (lambda place: place.mkdir(), "no image in it"),
        (lambda place: (place.mkdir(), (place / "labels.csv").write_text("a,b\n1,2")), "'file'"),
        (lambda place: (place.mkdir(), (place / "x.png").write_bytes(b"")), "none of 1 images"),
        (
            lambda place: (place.mkdir(), (place / "labels.csv").write_text("file\n../up.png")),
            "leads outside",
        ),
    ],
)
def test_what_cannot_be_audited_is_named(make, words, tmp_path):
    make(tmp_path / "place")
    with pytest.raises(InputError, match=words):
        audit_folder(tmp_path / "place", tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_images_of_any_size_are_measured(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    sizes = [(1, 1), (2, 300), (7, 7), (300, 8)]
    for width, height in sizes:
        pixels = rng.integers(0, 256, (height, width), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{width}x{height}.png")
    tables = audit_folder(tmp_path / "in", tmp_path / "a.html")
    assert tables["files"]["usable"].tolist() == [4]
    table = appearance.image_statistics(folder := Folder(tmp_path / "in"), folder.table())
    measured = table.set_index("id")["spectral_slope"].notna()
    assert measured[measured].index.tolist() == ["300x8.png"]
    assert table[["mean", "sd"]].notna().all(axis=None)


def test_the_page_begins_with_what_was_found_and_names_no_place(folder, tmp_path):
    tables = audit_folder(folder, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    pairs = len(tables["near duplicates"])
    assert "8 images can be read, 1 cannot" in text
    assert f"1 sets of files with the same content, {pairs} pairs that look alike" in text
    assert tables["labels"]["label"].tolist() == ["not known"] * 2
    assert str(folder) not in text
    assert "good/broken.png: not a PNG" in text
    sizes = tables["files"][["width_min", "width_max"]].to_numpy()
    assert sizes.tolist() == [[64, 64]] * 2
    assert sizes.dtype.kind == "i"
    assert text.count("<figure>") == pairs  # both images of a pair in one


def test_names_are_no_part_of_the_page(folder, tmp_path):
    name = "<b onclick='x'>\".png"
    (folder / "good" / "0.png").rename(folder / "good" / name)
    (folder / "good").rename(folder / "<i>")
    audit_folder(folder, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert "<b" not in text.replace("<body>", "").replace("<br>", "")
    assert "<i>" not in text
    assert 'alt="&lt;i&gt;/&lt;b onclick=&#39;x&#39;&gt;&#34;.png"' in text
    assert "<h2>&lt;i&gt;, the first images</h2>" in text


@pytest.mark.parametrize("read", ["stack", "statistics"])
def test_a_thousand_photographs_of_a_phone_do_not_lie_in_memory_at_once(read, folder):
    most, source = [], Folder(folder)
    table = source.table().iloc[np.arange(100) % len(source.table())]
    decoded = source.read_many
    source.read_many = lambda ids: most.append(len(ids)) or decoded(ids)
    if read == "stack":
        images.load_stack(source, table["id"].tolist(), 32, "grey", "pad")
    else:
        appearance.image_statistics(source, table)
    photograph = 12e6 * 3  # bytes
    assert sum(most) == 100
    assert max(most) * photograph < 2**30
