"""A folder of own images through a translator: what is written, and what is never overwritten."""

import math
import re
import subprocess
import sys
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image

from compendium.clinic.expectation import expectation
from compendium.clinic.pasting import Square, paste
from compendium.clinic.reader import Reader
from compendium.clinic.translation import EXCLUDED, PAGE, TABLE, translate_folder
from engine.errors import InputError
from engine.paths import ROOT
from lib.evaluation.decision import CallCounts, as_facts, decision_values
from lib.figures.verdicts import decision_words
from lib.models.bundle import Bundle, load_bundle, save_bundle
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import CycleGAN
from lib.models.gate import Gate
from lib.models.networks import build_network
from lib.models.translation import translate
from lib.studies.embryo import EmbryoParameters


def make_bundle(**changes) -> Bundle:
    torch.manual_seed(0)
    params = EmbryoParameters(
        profile="quick", image_size=32, base_filters=4, blocks=1, folds=2, colour_folds=1,
        classifier="test_resnet", **changes,
    )  # fmt: skip
    networks = [build_network("test_resnet", 1, "").eval() for _ in range(2)]
    ensemble = FoldEnsemble(networks, [Calibration(1.2, 0.1, 0.05, 0.5, 1.0)] * 2, blur=1.0)
    stack = torch.randint(0, 256, (24, 1, 32, 32), dtype=torch.uint8)
    gate = Gate.fit(ensemble, stack, np.arange(24) % 2)
    facts = dict(target_images=12)
    return Bundle(params, "ED1", "cyclegan", CycleGAN(params).to_source.eval(), gate, facts)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_bundle(path, make_bundle(framing="whole"))
    return path


@pytest.fixture
def folder(tmp_path):
    """Images of every kind, one below another folder, one that cannot be read."""
    rng = np.random.default_rng(0)
    place = tmp_path / "phone"
    (place / "day 2").mkdir(parents=True)
    colour = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x010E] = "patient 17"
    Image.fromarray(colour).save(place / "a.jpg", exif=exif)
    Image.fromarray(colour[..., 0]).save(place / "a.png")
    deep = rng.integers(0, 2**16, (90, 50), dtype=np.uint16)
    Image.fromarray(deep).save(place / "day 2" / "deep.tif")
    (place / "broken.png").write_bytes(b"no image")
    (place / "notes.txt").write_text("not looked at")
    return place


def test_a_bundle_is_read_as_it_was_written(weights):
    made, read = make_bundle(framing="whole"), load_bundle(weights)
    stack = torch.randint(0, 256, (5, 1, 32, 32), dtype=torch.uint8)
    assert torch.equal(translate(made.generator, stack), translate(read.generator, stack))
    assert np.array_equal(made.gate.score(stack), read.gate.score(stack))
    assert made.gate.threshold == read.gate.threshold
    assert made.gate.classifier.threshold == read.gate.classifier.threshold
    assert (read.params, read.domain, read.facts) == (made.params, made.domain, made.facts)


def test_every_image_comes_out_at_its_own_size(weights, folder, tmp_path):
    out = tmp_path / "out"
    with pytest.warns(UserWarning, match="2 files left out"):
        table = translate_folder(weights, folder, out).set_index("file")
    assert list(table.index) == ["a.jpg", "a.png", "day 2/deep.tif"]
    sizes = {file: Image.open(out / output).size for file, output in table["output"].items()}
    assert sizes == {"a.jpg": (60, 40), "a.png": (60, 40), "day 2/deep.tif": (50, 90)}
    assert pd.read_csv(out / EXCLUDED)["file"].tolist() == ["broken.png", "notes.txt"]
    assert table["score"].between(0, 1).all()
    limit = load_bundle(weights).gate.threshold
    assert (table["passes"] == (table["gate"] <= limit)).all()
    page = (out / PAGE).read_text()
    assert page.count("<figure>") == 3
    assert "not a medical device" in page
    assert "cyclegan.md, beside its weights" in page


COUNTS = dict(all=CallCounts(80, 20, 45, 5), passed=CallCounts(70, 10, 40, 2, 20, 8))


def page_of(tmp_path, folder, counts, prevalence=None, given=None, **changes):
    """The page of a folder whose images have all passed a gate that lets everything pass."""
    bundle = make_bundle(framing="whole", **changes)
    facts = dict(decision=as_facts(counts, prevalence)) if counts else {}
    gate = replace(bundle.gate, threshold=2.0)
    save_bundle(tmp_path / "w.safetensors", replace(bundle, facts=facts, gate=gate))
    (folder / "broken.png").unlink(missing_ok=True)
    out = tmp_path / f"out {given}"
    table = translate_folder(tmp_path / "w.safetensors", folder, out, prevalence=given)
    return table, " ".join(unescape((out / PAGE).read_text()).split())


def test_the_page_says_what_to_expect_at_the_clinics_prevalence(folder, tmp_path):
    table, page = page_of(tmp_path, folder, COUNTS, prevalence=0.5)
    assert "prevalence of 0.500 (blastocyst; that of the run's parameters)" in page
    assert "Counted on synthetic images (phantoms)" in page
    called = int(table["called"].sum())
    worth = decision_values(COUNTS["passed"], 0.5).set_index("metric")
    assert re.search(
        rf"Of 3 images here that the gate passes, {called} (is|are) called blast", page
    )
    for metric, row in worth.iterrows():
        assert f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in page, metric
    for counts in COUNTS.values():
        assert decision_words(counts, 0.5, "cyclegan", EmbryoParameters()) in page
    _, other = page_of(tmp_path, folder, COUNTS, prevalence=0.5, given=0.05)
    assert "prevalence of 0.050 (blastocyst; given with --prevalence)" in other
    ppv = decision_values(COUNTS["passed"], 0.05).set_index("metric").loc["ppv", "value"]
    assert f"{ppv:.3f} [" in other
    assert ppv < worth.loc["ppv", "value"] - 0.4


def test_without_a_prevalence_it_is_that_of_the_hold_out(folder, tmp_path):
    own = dict(data_kind="table", data_dir="own", positive_label="good", negative_label="bad")
    _, page = page_of(tmp_path, folder, COUNTS, **own)
    assert "prevalence of 0.667 (good; that of the hold-out, since none was given)" in page
    assert "phantom" not in page
    assert "Of 100 images, 67 are of class good." in page


def test_weights_kept_without_counts_say_so(folder, tmp_path):
    _, page = page_of(tmp_path, folder, None)
    assert "Not known: these weights were kept without the counts of their hold-out." in page
    assert "PPV" not in page


def test_how_many_of_those_called_are_right_is_expected_by_their_number():
    bundle = SimpleNamespace(
        facts=dict(decision=as_facts(COUNTS, 0.5)), params=EmbryoParameters(), arm="cyclegan"
    )
    translated = pd.DataFrame(
        dict(called=[1] * 200 + [0] * 100, passes=[True] * 290 + [False] * 10)
    )
    lines = expectation(bundle, translated).folder
    worth = decision_values(COUNTS["passed"], 0.5).set_index("metric")
    right = 200 * worth.loc["ppv", ["value", "low", "high"]]
    missed = 90 * (1 - worth.loc["npv", ["value", "high", "low"]])
    for line, count, expected in ((lines[0], 200, right), (lines[1], 90, missed)):
        assert f"{count} are called" in line
        assert f"on average {expected['value']:.0f} of them" in line
        numbers = [int(n) for n in re.search(r"interval (\d+) to (\d+)", line).groups()]
        assert numbers == [math.floor(expected.iloc[1]), math.ceil(expected.iloc[2])]
    assert "Of the 10 images that it stops nothing is expected" in lines[2]
    assert expectation(bundle).folder == []
    one = expectation(bundle, translated.iloc[[0, -1]]).folder
    assert one[0].startswith(
        "Of 1 image here that the gate passes, 1 is called blastocyst; on aver"
    )
    assert one[0].endswith(" is a blastocyst.")
    assert one[2].startswith("Of the 1 image that it stops")


def test_an_impossible_prevalence_is_refused_before_anything_is_written(weights, folder, tmp_path):
    with pytest.raises(InputError, match=r"prevalence 40.0: not between 0 and 1"):
        translate_folder(weights, folder, tmp_path / "out", prevalence=40.0)
    assert not (tmp_path / "out").exists()


def test_names_of_files_labels_and_arms_are_no_part_of_the_page(tmp_path):
    table = dict(data_kind="table", data_dir="own", label_column="label", source_domain="ED4")
    bundle = make_bundle(framing="whole", positive_label="<u>", negative_label="no", **table)
    save_bundle(tmp_path / "w.safetensors", replace(bundle, arm="<i>", domain="<s>"))
    (tmp_path / "in").mkdir()
    Image.linear_gradient("L").resize((40, 40)).save(tmp_path / "in" / "<b onclick='x'>.png")
    translate_folder(tmp_path / "w.safetensors", tmp_path / "in", tmp_path / "out")
    page = (tmp_path / "out" / PAGE).read_text()
    assert "<b " not in page
    assert [tag for tag in ("<u>", "<i>", "<s>") if tag in page] == []
    assert "Called &lt;u&gt; at a score of" in page
    assert "from &lt;s&gt; to ED4 by" in page
    assert 'alt="&lt;b onclick=&#39;x&#39;&gt;.png, translated"' in page


def test_patient_data_are_dropped_unless_asked_for(weights, folder, tmp_path):
    (folder / "broken.png").unlink()
    translate_folder(weights, folder, tmp_path / "without")
    translate_folder(weights, folder, tmp_path / "with", keep_exif=True)
    assert b"patient" not in (tmp_path / "without" / "a.jpg.png").read_bytes()
    assert Image.open(tmp_path / "with" / "a.jpg.png").getexif()[0x010E] == "patient 17"


def test_a_broken_off_run_goes_on_and_ends_the_same(weights, folder, tmp_path, monkeypatch):
    (folder / "broken.png").rename(folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    whole = translate_folder(weights, folder, tmp_path / "whole")
    monkeypatch.setattr("compendium.clinic.translation._BATCH", 1)
    written, real = [], translate

    def breaks(*args):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(1)
        return real(*args)

    monkeypatch.setattr("compendium.clinic.translation.translate", breaks)
    with pytest.raises(KeyboardInterrupt):
        translate_folder(weights, folder, tmp_path / "parts")
    (tmp_path / "parts" / "a.png").unlink()  # killed between the table and the image
    with (tmp_path / "parts" / TABLE).open("a") as stream:
        stream.write("b.png,b.p")  # or within a line
    calls = []
    monkeypatch.setattr(
        "compendium.clinic.translation.translate", lambda *args: calls.append(1) or real(*args)
    )
    again = translate_folder(weights, folder, tmp_path / "parts")
    assert len(calls) == 3  # the lost image, the one under way and the one never reached
    near = ["score", "gate"]  # rounding differs with the batch
    pd.testing.assert_frame_equal(whole.drop(columns=near), again.drop(columns=near))
    pd.testing.assert_frame_equal(whole[near], again[near], rtol=1e-4)


def test_nothing_is_overwritten_without_force(weights, folder, tmp_path):
    (folder / "broken.png").unlink()
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_text("somebody's work")
    with pytest.raises(InputError, match=r"a\.png: in the way"):
        translate_folder(weights, folder, out)
    assert (out / "a.png").read_text() == "somebody's work"
    assert [path.name for path in out.iterdir()] == ["a.png"]
    translate_folder(weights, folder, out, force=True)
    assert Image.open(out / "a.png").size == (60, 40)
    (folder / "a.png").write_bytes((folder / "a.jpg").read_bytes())  # another image, same name
    with pytest.raises(InputError, match="not from the same image"):
        translate_folder(weights, folder, out)


def test_another_folders_translation_is_not_replaced(weights, folder, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    with pytest.warns(UserWarning, match="left out"):
        first = translate_folder(weights, folder, out)
    other.mkdir()
    Image.fromarray(np.arange(2400, dtype=np.uint8).reshape(40, 60)).save(other / "new.png")
    with pytest.raises(InputError, match=r"lists 3 images of another folder, the first a\.jpg"):
        translate_folder(weights, other, out)
    assert pd.read_csv(out / TABLE)["file"].tolist() == first["file"].tolist()
    (folder / "a.png").unlink()
    with pytest.warns(UserWarning, match=r"1 images .* no longer in the folder, the first a\.png"):
        left = translate_folder(weights, folder, out)
    assert left["file"].tolist() == ["a.jpg", "day 2/deep.tif"]


def test_only_the_field_of_view_is_replaced(tmp_path):
    """Framed images: the square round the embryo is new, the rest is the untouched luma."""
    from lib.data.phantoms import PhantomSource

    path = tmp_path / "w.safetensors"
    save_bundle(path, make_bundle(framing="embryo"))
    few = dict(source_count=10, target_count=10, second_target_count=10, phantom_width=128)
    source = PhantomSource(EmbryoParameters(**few))
    ids = source.table().query("domain == 'ED4'")["id"].head(4).tolist()
    (tmp_path / "in").mkdir()
    for number, image in enumerate(source.read_many(ids)):
        Image.fromarray(image).save(tmp_path / "in" / f"{number}.png")
    table = translate_folder(path, tmp_path / "in", tmp_path / "out")
    assert table["found"].sum() >= 3
    for row in table[table["found"]].itertuples():
        before = np.asarray(Image.open(tmp_path / "in" / row.file).convert("L")).astype(int)
        after = np.asarray(Image.open(tmp_path / "out" / row.output)).astype(int)
        y, x = np.mgrid[: before.shape[0], : before.shape[1]] + 0.5
        inside = (abs(x - row.left - row.side / 2) < row.side / 2) & (
            abs(y - row.top - row.side / 2) < row.side / 2
        )
        assert (before == after)[~inside].all()
        assert (before != after)[inside].mean() > 0.9


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(images="none"), "no such folder"),
        (dict(images="empty"), "no image in it"),
        (dict(out="phone/out"), "lies in the folder of the images"),
        (dict(weights="none.safetensors"), "no such file"),
        (dict(weights="phone/a.png"), "not the weights of a translator"),
        (dict(images="unreadable"), "none of 1 images can be read"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_written(given, words, weights, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "x.png").write_bytes(b"")
    places = dict(weights=weights, images=folder, out=tmp_path / "out")
    places |= {name: tmp_path / place for name, place in given.items()}
    with pytest.raises(InputError, match=words):
        translate_folder(**places)
    assert not any(places["out"].rglob("*.png"))


def test_a_finished_run_is_finished_again_without_work(weights, folder, tmp_path, monkeypatch):
    (folder / "broken.png").unlink()
    out = tmp_path / "out"
    first = translate_folder(weights, folder, out)
    (out / PAGE).unlink()  # killed before the page
    monkeypatch.setattr("compendium.clinic.translation.translate", None)
    pd.testing.assert_frame_equal(first, translate_folder(weights, folder, out))
    assert (out / PAGE).is_file()


def test_exif_that_was_kept_goes_when_it_is_no_longer_asked_for(weights, folder, tmp_path):
    (folder / "broken.png").unlink()
    translate_folder(weights, folder, tmp_path / "out", keep_exif=True)
    with pytest.raises(InputError, match="in the way"):
        translate_folder(weights, folder, tmp_path / "out")
    translate_folder(weights, folder, tmp_path / "out", force=True)
    assert b"patient" not in (tmp_path / "out" / "a.jpg.png").read_bytes()


def test_names_that_would_meet_are_refused(weights, folder, tmp_path):
    (folder / "a.jpg.png").write_bytes((folder / "a.png").read_bytes())
    with pytest.raises(InputError, match=r"a\.jpg and a\.jpg\.png|a\.jpg\.png and a\.jpg"):
        translate_folder(weights, folder, tmp_path / "out")


@pytest.mark.parametrize("name", [TABLE, PAGE])
def test_somebody_elses_tables_and_pages_stay(name, weights, folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="in the way"):
        translate_folder(weights, folder, out)
    assert (out / name).read_text() == "a,b\n1,2\n"


def test_a_file_in_the_place_of_the_folder_is_named(weights, folder, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        translate_folder(weights, folder, tmp_path / "out")


def test_no_seam_where_a_centred_square_ends_between_pixels(tmp_path):
    """An odd difference of the sides puts the edges of the square on half pixels."""
    grey = np.full((64, 101), 77, np.uint8)
    picture = np.full((32, 32), 200, np.uint8)
    pasted = paste(grey, picture, Square((101 - 64) / 2, 0.0, 64.0))
    assert set(np.unique(pasted)) == {77, 200}
    assert (pasted == 200).sum(axis=1).tolist() == [64] * 64


def test_a_square_lands_where_it_was_cut(tmp_path):
    """Seen through any square, smaller or larger, a ramp is the same ramp; beside it lies grey."""
    y, x = np.mgrid[:90, :120] + 0.5
    for square in (
        Square(10.3, 5.8, 64.0), Square(20.0, -7.4, 80.6), Square(-15.2, 30.1, 70.0),
        Square(90.7, 40.0, 33.0), Square(40.5, 30.5, 16.0),
    ):  # fmt: skip
        centres = (np.arange(32) + 0.5) / 32 * square.side
        ramp = 1.1 * (centres + square.left) + 0.73 * (centres + square.top)[:, None] + 40
        pasted = paste(np.zeros((90, 120), np.uint8), np.rint(ramp).astype(np.uint8), square)
        right, bottom = square.left + square.side, square.top + square.side
        inside = (x >= square.left) & (x < right) & (y >= square.top) & (y < bottom)
        assert not pasted[~inside].any()
        half = centres[0]  # the picture ends at the centres of its outer pixels, and repeats them
        seen = (
            1.1 * np.clip(x, square.left + half, right - half)
            + 0.73 * np.clip(y, square.top + half, bottom - half)
            + 40
        )
        wrong = (pasted - seen)[inside]
        # Both are rounded; bicubic weights, up to 1.6 in sum, enlarge the one; the edge is bent.
        assert np.abs(wrong).max() < 0.5 * 1.6 + 0.5 + 0.3 * half
        assert abs(wrong.mean()) < 0.2  # half a pixel off would be 0.5


def test_a_picture_of_the_same_size_is_pasted_as_it_is(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    pasted = paste(np.zeros((40, 50), np.uint8), picture, Square(9.0, 8.0, 32.0))
    assert np.array_equal(pasted[8:40, 9:41], picture)
    assert np.array_equal(paste(pasted, picture, Square(200.0, 8.0, 32.0)), pasted)


def test_images_too_small_for_an_embryo_are_used_whole_and_named(tmp_path):
    path, place = tmp_path / "w.safetensors", tmp_path / "in"
    save_bundle(path, make_bundle(framing="embryo"))
    place.mkdir()
    sizes = {"a.png": (1, 1), "b.png": (300, 4), "c.png": (64, 48)}
    rng = np.random.default_rng(0)
    for name, (width, height) in sizes.items():
        pixels = rng.integers(0, 256, (height, width), dtype=np.uint8)
        Image.fromarray(pixels).save(place / name)
    table = translate_folder(path, place, tmp_path / "out").set_index("file")
    assert {name: Image.open(tmp_path / "out" / name).size for name in sizes} == sizes
    assert not table.loc[["a.png", "b.png"], ["found", "passes"]].any(axis=None)
    unfound = int((~table["found"]).sum())
    assert (tmp_path / "out" / PAGE).read_text().count("embryo not found<") == unfound


def test_a_user_is_warned_in_one_line_without_code(weights, folder, tmp_path):
    arguments = ["--weights", weights, "--images", folder, "--out", tmp_path / "out"]
    ran = subprocess.run(
        [sys.executable, "-m", "compendium", "translate", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    excluded = tmp_path / "out" / EXCLUDED
    assert ran.stderr.splitlines()[-1] == f"warning: 2 files left out, see {excluded}."
    assert "translate_folder" not in ran.stderr


# --- what the device saw -----------------------------------------------------------------------


def trained_on(tmp_path, *bits):
    bundle = make_bundle(framing="whole")
    path = tmp_path / "w.safetensors"
    save_bundle(path, replace(bundle, facts=dict(bits=list(bits))))
    return path


def photographs(place, *peaks):
    """The same embryo by a 12-bit camera at several exposures, without a word of its bits."""
    place.mkdir()
    light = 0.2 + 0.8 * np.hypot(*np.mgrid[-1:1:40j, -1:1:40j]) / np.sqrt(2)
    for peak in peaks:
        tifffile.imwrite(place / f"{peak}.tif", np.rint(light * peak).astype(np.uint16))
    return light


@pytest.mark.parametrize(
    ("trained", "bits", "words"),
    [
        ([12], 12, []),
        ([8, 12], 12, []),
        ([8], 10, ["trained on images of 8 bits; none was of 10 bits", "estimated from all"]),
        ([], 10, ["estimated from all"]),
    ],
)
def test_a_new_image_has_the_depth_of_the_training(trained, bits, words, tmp_path):
    weights = trained_on(tmp_path, *trained)
    light = photographs(tmp_path / "in", 600, 900)
    table = translate_folder(weights, tmp_path / "in", tmp_path / "out")
    assert table["bits"].tolist() == [bits, bits]
    page = (tmp_path / "out" / PAGE).read_text()
    assert all(word in page for word in (f"Read as {bits} bits.", *words))
    assert ("estimated" in page) == (12 not in trained)
    reader = Reader(load_bundle(weights), tmp_path / "in", ["600.tif", "900.tif"], 0)
    for peak in (600, 900):
        expected = light * peak * 255 / (2**bits - 1)
        assert np.abs(reader.read(f"{peak}.tif").grey - expected).max() <= 1


def test_what_the_list_says_of_a_depth_goes_first(tmp_path):
    weights, place = trained_on(tmp_path, 8), tmp_path / "in"
    photographs(place, 600, 900)
    photographs(place / "other", 500)
    (place / "labels.csv").write_text("file;bits\n600.tif;12\nother\\500.tif;14\n")
    table = translate_folder(weights, place, tmp_path / "out").set_index("file")
    assert table["bits"].to_dict() == {"600.tif": 12, "900.tif": 10, "other/500.tif": 14}
    assert "labels.csv" not in (tmp_path / "out" / EXCLUDED).read_text()
    (place / "labels.csv").write_text("file,bits\n600.tif,99\n")
    with pytest.raises(InputError, match=r"labels\.csv.*bits"):
        translate_folder(weights, place, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_devices_of_the_list_have_depths_of_their_own_and_mixed_ones_are_said(tmp_path):
    weights, place = trained_on(tmp_path, 8), tmp_path / "in"
    photographs(place, 600, 700, 800, 16000, 16100, 16200)
    table = translate_folder(weights, place, tmp_path / "out")
    assert set(table["bits"]) == {14}
    (words,) = [line for line in table.attrs["depths"] if "the others at most 10 bits" in line]
    assert "3 of 6 images need 14 bits" in words
    assert words in unescape((tmp_path / "out" / PAGE).read_text())
    rows = [f"{peak}.tif,{'phone' if peak < 1000 else 'camera'}"
            for peak in (600, 700, 800, 16000, 16100, 16200)]  # fmt: skip
    (place / "labels.csv").write_text("\n".join(["file,domain", *rows]))
    table = translate_folder(weights, place, tmp_path / "two").set_index("file")
    assert table.loc[["600.tif", "16000.tif"], "bits"].tolist() == [10, 14]


def test_nobody_sees_where_the_folder_lies(tmp_path, monkeypatch):
    weights, place = trained_on(tmp_path, 8), tmp_path / "in"
    photographs(place, 600, 900)
    tifffile.imwrite(place / "signed.tif", np.full((40, 40), -5, np.int16))
    monkeypatch.chdir(tmp_path)
    for given in ("in", "./in/", place):
        with pytest.warns(UserWarning, match="1 files left out"):
            translate_folder(weights, given, tmp_path / "out", force=True)
        (row,) = pd.read_csv(tmp_path / "out" / EXCLUDED).to_dict("records")
        assert row["reason"].startswith("signed.tif: ")


def test_an_image_beyond_the_depth_is_left_out_and_named(tmp_path):
    weights = trained_on(tmp_path, 12)
    photographs(tmp_path / "in", 4000, 9000)
    with pytest.warns(UserWarning, match="1 files left out"):
        table = translate_folder(weights, tmp_path / "in", tmp_path / "out")
    assert table["file"].tolist() == ["4000.tif"]
    (row,) = pd.read_csv(tmp_path / "out" / EXCLUDED).to_dict("records")
    assert row["file"] == "9000.tif"
    assert row["reason"].startswith("9000.tif: its brightest number is 9000, more than the 4095")
    assert "9000.tif: its brightest" in (tmp_path / "out" / PAGE).read_text()


def test_what_is_beside_the_images_and_in_them_is_named(tmp_path):
    weights, place = trained_on(tmp_path, 12), tmp_path / "in"
    light = photographs(place, 4000)
    planes = np.rint(np.stack([light * 90 * (k + 1) for k in range(3)]) / 2).astype(np.uint8)
    tifffile.imwrite(place / "stack.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    colours = np.stack([planes[0], planes[2]])
    tifffile.imwrite(place / "two.tif", colours, imagej=True, metadata={"axes": "CYX"})
    (place / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    Image.new("L", (64, 64), 3).save(place / "lamp.png")
    with pytest.warns(UserWarning, match="3 files left out"):
        table = translate_folder(weights, place, tmp_path / "out").set_index("file")
    assert table["unused"].to_dict() == {"4000.tif": "", "stack.tif": "2 of 3 focal planes"}
    reasons = pd.read_csv(tmp_path / "out" / EXCLUDED).set_index("file")["reason"]
    assert reasons.index.tolist() == ["IMG_1.HEIC", "lamp.png", "two.tif"]
    assert reasons["lamp.png"].startswith("lamp.png: a blank frame")
    assert reasons["two.tif"].startswith("two.tif: 2 channels, and nothing says which")
    page = (tmp_path / "out" / PAGE).read_text()
    assert all(word in page for word in ("2 of 3 focal planes", "HEIC files are not read"))
    assert str(tmp_path) not in page
    with pytest.warns(UserWarning, match="2 files left out"):
        both = translate_folder(weights, place, tmp_path / "second", channel=2).set_index("file")
    assert both.loc["two.tif", "unused"] == "1 of 2 channels"
    with pytest.warns(UserWarning, match="2 files left out"):
        again = translate_folder(weights, place, tmp_path / "second", channel=2)
    assert again.set_index("file").equals(both)
    with pytest.raises(InputError, match=r"in the way \(3 such files\), and not from the same"):
        translate_folder(weights, place, tmp_path / "second")  # another channel


def test_an_earlier_run_at_another_depth_is_not_gone_on_with(tmp_path):
    """Nothing is known of deep images, so one more of them changes the depth of all."""
    weights, place, out = trained_on(tmp_path, 8), tmp_path / "in", tmp_path / "out"
    photographs(place, 600, 900)
    assert translate_folder(weights, place, out)["bits"].tolist() == [10, 10]
    assert translate_folder(weights, place, out)["bits"].tolist() == [10, 10]
    light = tifffile.imread(place / "900.tif")
    tifffile.imwrite(place / "3600.tif", light * 4)
    with pytest.raises(InputError, match="2 such files"):
        translate_folder(weights, place, out)
    assert translate_folder(weights, place, out, force=True)["bits"].tolist() == [12, 12, 12]


def test_a_file_that_does_not_fit_the_folder_is_left_out_like_in_training(tmp_path):
    weights, place = trained_on(tmp_path, 8), tmp_path / "in"
    light = photographs(place, *range(3000, 3010))
    bar = np.rint(light * 3000).astype(np.uint16)
    bar[:3, :3] = 65535
    tifffile.imwrite(place / "bar.tif", bar)
    with pytest.warns(UserWarning, match="1 files left out"):
        table = translate_folder(weights, place, tmp_path / "out")
    assert table["bits"].tolist() == [12] * 10
    (row,) = pd.read_csv(tmp_path / "out" / EXCLUDED).to_dict("records")
    assert row["file"] == "bar.tif"
    assert "brightest number is 65535, more than the 4095" in row["reason"]


def test_floats_are_light_whatever_depth_the_training_had(tmp_path):
    weights, place = trained_on(tmp_path, 12), tmp_path / "in"
    light = photographs(place, 3000)
    tifffile.imwrite(place / "light.tif", light.astype(np.float32))
    table = translate_folder(weights, place, tmp_path / "out").set_index("file")
    assert table["bits"].to_dict() == {"3000.tif": 12, "light.tif": 0}


def test_exif_that_nobody_can_read_is_not_kept_and_said(tmp_path):
    weights, place = trained_on(tmp_path, 12), tmp_path / "in"
    light = photographs(place, 3000)
    tifffile.imwrite(place / "five.tif", np.stack([light * 3000] * 5).astype(np.uint16),
                     photometric="minisblack", planarconfig="separate")  # fmt: skip
    with pytest.warns(UserWarning, match=r"five\.tif: no EXIF can be read from it"):
        translate_folder(weights, place, tmp_path / "out", keep_exif=True, channel=1)
    assert (tmp_path / "out" / "five.tif.png").is_file()
