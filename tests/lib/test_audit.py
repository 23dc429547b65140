"""Audit: each table finds what was put there, and nothing else."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from engine.parameters import check_params
from lib.data import audit
from lib.data.appearance import (
    STATISTICS,
    domain_gap,
    image_statistics,
    noise_sigma,
    spectral_slope,
)
from lib.data.images import decode, load_stack, to_grey
from lib.data.interface import NOTHING, Source
from lib.data.sources import open_source
from lib.data.splits import join_groups, split_table


def _published(domain: str, rule: str = "folder1") -> pd.DataFrame:
    """Table of a published set; names count from 0 in every folder."""
    rows = []
    for folder, count in audit.PUBLISHED[domain].items():
        first = ("1",) if rule == "folder1" or domain == "ED3" else ("1", "2")
        for n in range(count):
            id = f"{domain.lower()}/alldata/{folder}/{n}.png"
            rows.append((id, domain, int(folder not in first), id, f"{domain}{folder}{n}"))
    return pd.DataFrame(rows, columns=["id", "domain", "label", "group", "sha256"])


@pytest.fixture(scope="module")
def three_sets() -> pd.DataFrame:
    return pd.concat([_published(name) for name in ("ED4", "ED1", "ED3")], ignore_index=True)


def test_published_counts_add_up_and_losses_show(three_sets):
    assert three_sets["domain"].value_counts().to_dict() == {"ED4": 2440, "ED1": 296, "ED3": 258}
    counts = audit.published_counts(three_sets)
    assert len(counts) == 5 + 5 + 2
    assert (counts["difference"] == 0).all()
    lossy = three_sets[three_sets["id"] != "ed1/alldata/4/7.png"]
    short = audit.published_counts(lossy).query("difference != 0")
    assert short.to_numpy().tolist() == [["ED1", "4", 80, 81, -1]]


def test_phantoms_are_not_held_to_published_counts():
    phantoms = pd.DataFrame({"id": ["ED4/00000001"], "domain": "ED4", "label": 1})
    assert audit.published_counts(phantoms).empty
    assert audit.label_rules(phantoms).empty


def test_both_label_rules_give_the_published_class_sizes(three_sets):
    rules = audit.label_rules(three_sets).set_index(["domain", "rule"])
    sizes = rules[["no_blastocyst", "blastocyst"]]
    assert sizes.loc[("ED1", "folder1")].tolist() == [90, 206]
    assert sizes.loc[("ED1", "folders12")].tolist() == [99, 197]
    assert sizes.loc[("ED4", "folders12")].tolist() == [884, 1556]
    assert sizes.loc[("ED3", "folder1")].tolist() == [141, 117]
    assert sizes.loc[("ED3", "folders12")].tolist() == [141, 117]
    assert rules.loc[("ED4", "folder1"), "changed"] == 411
    assert rules.loc[("ED3", "folder1"), "changed"] == 0


def test_flattening_the_folders_loses_what_the_published_notebook_lost(three_sets):
    rows = audit.name_collisions(three_sets).set_index("domain")
    assert rows.loc["ED4", "survivors"] == 1190  # of 2440; 20 % of it are the 238 of Table 1
    assert rows.loc["ED4", "lost"] == 1250
    assert rows.loc["ED4", "repeated_names"] == 473
    assert rows.loc["ED3", "lost"] == 0


def test_exact_duplicates_say_what_they_cross():
    table = pd.DataFrame(
        [
            ("a", "ED4", 0, "g1", "s1", "train"),
            ("b", "ED4", 0, "g2", "s2", "train"),
            ("c", "ED4", 1, "g3", "s1", "holdout"),
            ("d", "ED1", 0, "g4", "s3", "train"),
            ("e", "ED4", 0, "g5", "s3", "train"),
            ("f", "ED4", 0, "g6", "s3", "train"),
        ],
        columns=["id", "domain", "label", "group", "sha256", "split"],
    )
    found = audit.exact_duplicates(table).set_index("id")
    assert sorted(found.index) == ["a", "c", "d", "e", "f"]
    flags = ["across_domains", "across_splits", "label_conflict"]
    assert found.loc["a", flags].tolist() == [False, True, True]
    assert found.loc["f", flags].tolist() == [True, False, False]
    assert found["set"].nunique() == 2
    assert "across_splits" not in audit.exact_duplicates(table.drop(columns="split"))


def test_group_leaks():
    split = pd.DataFrame(
        {
            "id": list("abcdef"),
            "group": ["p", "p", "q", "q", "r", "r"],
            "split": ["train", "holdout", "train", "train", "train", "train"],
            "fold": [0, -1, 1, 2, 3, 3],
        }
    )
    leaks = audit.group_leaks(split).set_index("group")
    assert leaks["parts"].to_dict() == {"p": "holdout/-1, train/0", "q": "train/1, train/2"}


# --- near duplicates -----------------------------------------------------------------------


def _blobs(count: int, seed: int = 0) -> np.ndarray:
    """Different smooth images, uint8 (N, 96, 96)."""
    noise = np.random.default_rng(seed).normal(size=(count, 96, 96))
    smooth = gaussian_filter(noise, (0, 6, 6))
    return np.clip(128 + 45 * smooth / smooth.std((1, 2), keepdims=True), 0, 255).astype(np.uint8)


def _resized_jpeg(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(image).resize((60, 60), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer).resize((96, 96), Image.Resampling.BICUBIC))


def test_resized_jpeg_and_brighter_copies_are_found_and_nothing_else():
    images = _blobs(150)
    copies = [_resized_jpeg(images[3]), (images[70] * 0.7 + 30).astype(np.uint8)]
    stack = torch.from_numpy(np.concatenate([images, copies]))[:, None]
    table = pd.DataFrame({"id": [f"i{n}" for n in range(152)]})
    table["domain"], table["label"], table["group"] = "ED4", 0, table["id"]
    table.loc[151, ["domain", "label"]] = ["ED1", 1]
    table["split"] = ["train"] * 151 + ["holdout"]
    pairs = audit.near_duplicates(stack, table).set_index("id_a")
    assert pairs["id_b"].to_dict() == {"i3": "i150", "i70": "i151"}
    same = ["same_domain", "same_group", "same_label", "same_split"]
    assert pairs.loc["i3", same].tolist() == [True, False, True, True]
    assert pairs.loc["i70", same].tolist() == [False, False, False, False]


def test_hash_has_64_bits_half_of_them_set():
    bits = audit.perceptual_hash(torch.from_numpy(_blobs(20))[:, None])
    assert bits.shape == (20, 64)
    assert np.abs(bits.sum(1) - 32).max() <= 1


def test_real_embryos_differ_and_their_copies_do_not(shared_data):
    folder = shared_data / "embryo_embryoscope_stork/images"
    images = [to_grey(decode(path)) for path in sorted(folder.glob("*f+00.jpg"))]
    assert len(images) == 10
    copies = [np.asarray(Image.fromarray(image).resize((300, 300))) for image in images]
    source = _Fixed({f"{n:02d}": image for n, image in enumerate(images + copies)})
    ids = sorted(source.images)
    stack = load_stack(source, ids, 128, "grey", "pad")
    pairs = audit.near_duplicates(stack, pd.DataFrame({"id": ids}))
    assert set(zip(pairs["id_a"], pairs["id_b"], strict=True)) == {
        (f"{n:02d}", f"{n + 10:02d}") for n in range(10)
    }


def test_the_real_sperm_set_holds_copies_that_a_split_by_image_would_leak(shared_data):
    values = dict(
        data_kind="table",
        data_dir="sperm_two_devices",
        positive_label="abnormal",
        negative_label="normal",
        source_domain="smids",
        target_domain="hushem",
    )
    source = open_source(check_params(values, "the test"), shared_data)
    table = source.table()
    assert audit.exact_duplicates(table).empty
    stack = load_stack(source, list(table["id"]), 64, "grey", "pad")
    pairs = audit.near_duplicates(stack, table)
    known = pairs[pairs["id_a"] == "images/smids/normal_x0018.bmp"]
    assert known["id_b"].tolist() == ["images/smids/normal_x0155.png"]
    assert pairs["same_domain"].all()
    split = split_table(join_groups(table, pairs), 5, 0.2, 0)
    again = audit.near_duplicates(stack, split)
    assert again["same_split"].all()
    assert audit.group_leaks(split).empty


# --- appearance ----------------------------------------------------------------------------


class _Fixed(Source):
    """Images held in memory."""

    def __init__(self, images):
        self.images = images
        self.unused = NOTHING
        self.excluded = pd.DataFrame({"id": ["bad"], "domain": ["ED4"], "reason": ["empty"]})

    def table(self):
        rows = [
            (id, "ED4" if id < "m" else "ED1", 0, id, id, image.shape[1], image.shape[0], "L", 8)
            for id, image in self.images.items()
        ]
        columns = ["id", "domain", "label", "group", "sha256", "width", "height", "mode", "bits"]
        return pd.DataFrame(rows, columns=columns)

    def read_many(self, ids):
        return [self.images[id] for id in ids]

    def fingerprint(self):
        return "fixed"


def test_integrity_counts_usable_and_excluded():
    source = _Fixed({"a": np.zeros((4, 6), np.uint8), "z": np.zeros((5, 5), np.uint8)})
    rows = audit.integrity(source).set_index("domain")
    assert rows.loc["ED4", ["usable", "excluded", "width_max", "height_min"]].tolist() == [
        1,
        1,
        6,
        4,
    ]
    assert rows.loc["ED1", ["usable", "excluded"]].tolist() == [1, 0]


@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
def test_noise_is_measured_on_top_of_structure(sigma):
    y, x = np.mgrid[:200, :200]
    scene = 100 + 0.3 * x + 30 * np.sin(y / 25)
    noisy = scene + np.random.default_rng(0).normal(0, sigma, scene.shape)
    assert noise_sigma(np.rint(noisy).astype(np.float32)) == pytest.approx(sigma, rel=0.08)


@pytest.mark.parametrize("slope", [-1.0, -2.0, -3.0])
@pytest.mark.parametrize("shape", [(128, 128), (100, 140)])
def test_spectral_slope_of_a_known_spectrum(slope, shape):
    rng = np.random.default_rng(1)
    side = min(shape)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(side, side))) * frequency ** (slope / 2)
    image = np.zeros(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    image[top : top + side, left : left + side] = np.fft.ifft2(spectrum).real
    assert spectral_slope(image) == pytest.approx(slope, abs=0.15)


def test_gap_tells_a_blurred_noisy_domain_from_a_sharp_one():
    rng = np.random.default_rng(2)
    sharp = _blobs(12, seed=1)
    blurred = gaussian_filter(_blobs(12, seed=2).astype(float), (0, 2, 2)) / 2
    blurred = np.clip(blurred + rng.normal(0, 4, blurred.shape), 0, 255).astype(np.uint8)
    images = {f"a{n}": image for n, image in enumerate(sharp)}
    images |= {f"z{n}": image for n, image in enumerate(blurred)}
    source = _Fixed(images)
    statistics = image_statistics(source, source.table())
    assert list(statistics.columns) == ["id", "domain", "width", "height", *STATISTICS]
    first = statistics.iloc[0]
    assert first["mean"] == pytest.approx(sharp[0].mean())
    assert first["sd"] == pytest.approx(sharp[0].std(), rel=1e-5)
    gap = domain_gap(statistics, "ED4").set_index("statistic")["ED1"]
    assert gap["mean"] < -2
    assert gap["noise_sigma"] > 2
    assert gap["spectral_slope"] > 2


def test_gap_is_cohens_d():
    statistics = pd.DataFrame({"id": range(4), "domain": ["A", "A", "B", "B"]})
    statistics = statistics.assign(**{name: [1.0, 3.0, 4.0, 8.0] for name in STATISTICS})
    expected = (6 - 2) / np.sqrt((2 + 8) / 2)
    assert domain_gap(statistics, "A")["B"].to_numpy() == pytest.approx(expected)


def test_real_embryoscope_images_look_as_measured(shared_data):
    folder = shared_data / "embryo_embryoscope_stork/images"
    images = {path.name: decode(path) for path in folder.glob("*f+00.jpg")}
    source = _Fixed(images)
    measured = image_statistics(source, source.table())[STATISTICS].mean()
    assert measured["mean"] == pytest.approx(101, abs=10)
    assert measured["sd"] == pytest.approx(65, abs=6)
    assert measured["noise_sigma"] == pytest.approx(0.8, abs=0.4)
    assert measured["spectral_slope"] == pytest.approx(-3.1, abs=0.2)
    assert measured["sharpness"] == pytest.approx(99, rel=0.1)
