"""Phantom tissue: known nuclei of published size, structures that go on beyond the field."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from engine.errors import InputError
from lib.phantom.nuclei_placing import place_nuclei
from lib.phantom.nuclei_shapes import KINDS, Nucleus, draw_nucleus
from lib.phantom.tissue import LABELS, LEAST, MATTER, grow_tissue
from lib.phantom.tissue_architecture import (
    FAR,
    STEP,
    build_architecture,
    raster,
    signed_distance,
)
from lib.phantom.tissue_textures import KINDS as TEXTURES
from lib.phantom.tissue_textures import PERIOD, patch, texture

SIDE, UM = 64, 0.75
EIGHT = np.ones((3, 3))


@pytest.fixture(scope="module")
def benign():
    return grow_tissue(np.arange(40), SIDE, UM, ["benign"] * 40)


@pytest.fixture(scope="module")
def malignant():
    return grow_tissue(np.arange(40), SIDE, UM, ["malignant"] * 40)


def areas(tissue, kind=None, whole=False):
    """um2 of nuclei; ``whole`` leaves out those that the field's edge cuts."""
    found = []
    for image, table in tissue.nuclei.groupby("image"):
        instances = tissue.instances[image]
        sizes = np.bincount(instances.ravel())
        cut = np.unique(np.concatenate([*instances[[0, -1]], *instances.T[[0, -1]]]))
        rows = table if kind is None else table[table["kind"] == kind]
        rows = rows[~rows["number"].isin(cut)] if whole else rows
        found.append(sizes[rows["number"]])
    return np.concatenate(found) * tissue.um_per_px**2


def antigen_of(tissue):
    """Mean Ki67 in each nucleus, in the order of the table."""
    return np.concatenate(
        [
            ndimage.mean(tissue.nuclear_antigen[image], tissue.instances[image], table["number"])
            for image, table in tissue.nuclei.groupby("image")
        ]
    )


def test_a_field_depends_on_its_seed_and_label_alone():
    seeds, labels = np.arange(6), LABELS * 3
    together, again = (grow_tissue(seeds, SIDE, UM, labels) for _ in range(2))
    pair = grow_tissue(seeds[[4, 1]], SIDE, UM, [labels[4], labels[1]])
    for name in ("instances", "her2", *MATTER):
        whole = getattr(together, name)
        np.testing.assert_array_equal(whole, getattr(again, name), err_msg=name)
        np.testing.assert_array_equal(whole[[4, 1]], getattr(pair, name), err_msg=name)
    for place, image in enumerate((4, 1)):
        own, its = (
            t[t["image"] == i].drop(columns="image").reset_index(drop=True)
            for t, i in ((together.nuclei, image), (pair.nuclei, place))
        )
        pd.testing.assert_frame_equal(own, its)
    other = grow_tissue(seeds, SIDE, UM, LABELS[::-1] * 3)
    for image in range(5):
        assert not np.array_equal(together.instances[image], together.instances[image + 1])
        assert not np.array_equal(together.instances[image], other.instances[image])


@pytest.mark.parametrize("label", LABELS)
def test_the_table_tells_what_the_map_shows(label, request):
    tissue = request.getfixturevalue(label)
    assert list(tissue.nuclei) == ["image", "number", "row", "column", "kind", "positive"]
    assert set(tissue.nuclei["kind"]) <= set(KINDS)
    for image, instances in enumerate(tissue.instances[:15]):
        table = tissue.nuclei[tissue.nuclei["image"] == image]
        assert table["number"].tolist() == list(range(1, instances.max() + 1))
        for number, row, column in table[["number", "row", "column"]].itertuples(index=False):
            mask = instances == number
            assert mask.sum() * UM**2 >= LEAST
            assert ndimage.label(mask, EIGHT)[1] == 1
            assert (row, column) == pytest.approx(np.argwhere(mask).mean(axis=0))


def test_a_field_without_nuclei_has_an_empty_row_of_nothing():
    """A window of a few um may show no nucleus; the others keep their place in the batch."""
    tissue = grow_tissue(np.arange(12), 16, 0.25, ["benign"] * 12)
    empty = tissue.instances.max(axis=(1, 2)) == 0
    assert empty.any()
    assert not empty.all()
    assert set(tissue.nuclei["image"]) == set(np.flatnonzero(~empty))
    assert tissue.nuclei["positive"].dtype == bool


def test_positive_nuclei_hold_the_antigen(malignant):
    antigen, positive = antigen_of(malignant), malignant.nuclei["positive"].to_numpy()
    assert antigen[positive].min() > 0.1
    # What negatives show is the soft edge of a positive one beside them.
    assert np.median(antigen[~positive]) < 0.01
    assert antigen[positive].std() > 0.15  # strength differs from nucleus to nucleus
    outside = malignant.nuclear_antigen[malignant.instances == 0]
    assert outside.mean() < 0.05 * antigen[positive].mean()


def test_shares_of_positive_nuclei_are_those_of_the_label(benign, malignant):
    for tissue, low, high in ((benign, 0.02, 0.10), (malignant, 0.20, 0.50)):
        epithelial = tissue.nuclei[tissue.nuclei["kind"] == "epithelial"]
        assert low < epithelial["positive"].mean() < high
    cancer = malignant.nuclei[malignant.nuclei["kind"] == "epithelial"]
    shares = cancer.groupby("image")["positive"].agg(["mean", "size"])
    shares = shares.loc[shares["size"] >= 10, "mean"]
    assert shares.max() - shares.min() > 0.25
    mitoses = malignant.nuclei[malignant.nuclei["kind"] == "mitosis"]
    assert len(mitoses)
    assert mitoses["positive"].all()
    assert "mitosis" not in set(benign.nuclei["kind"])
    assert "myoepithelial" not in set(malignant.nuclei["kind"])


def test_nuclei_are_of_published_size(benign, malignant):
    def across(tissue, kind):
        return np.sqrt(4 / np.pi * areas(tissue, kind, whole=True))

    assert 5.6 < np.median(across(malignant, "lymphocyte")) < 6.9
    assert 7.0 < np.median(across(benign, "epithelial")) < 8.2
    large = across(malignant, "epithelial")
    assert 8.5 < np.median(large) < 11.5
    assert np.quantile(large, 0.95) > 11.5
    even = across(benign, "epithelial")
    assert large.std() / large.mean() > 1.4 * even.std() / even.mean()
    # 3 by 12 um, with pointed ends
    assert 0.6 * 9 * np.pi < np.median(areas(benign, "stromal", whole=True)) < 9 * np.pi


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("um", [0.5, 0.25])
def test_the_same_tissue_at_another_pixel_size(label, um):
    """A field of as many um is the same: same nuclei, same um2, same matter."""
    seeds, times = np.arange(6), round(UM / um * 2) / 2
    coarse = grow_tissue(seeds, 48, UM, [label] * 6)
    fine = grow_tissue(seeds, int(48 * times), um, [label] * 6)
    assert len(fine.nuclei) == pytest.approx(len(coarse.nuclei), rel=0.06)
    ours, theirs = (areas(t, whole=True) for t in (coarse, fine))
    assert np.median(theirs) == pytest.approx(np.median(ours), rel=0.08)
    # Nuclei of one lie where the other has one, but for slivers that one of them leaves out.
    apart = []
    for image, row, column in coarse.nuclei[["image", "row", "column"]].itertuples(index=False):
        near = fine.nuclei[fine.nuclei["image"] == image]
        far = np.hypot((near["row"] + 0.5) * um - (row + 0.5) * UM,
                       (near["column"] + 0.5) * um - (column + 0.5) * UM)  # fmt: skip
        apart.append(far.min())
    assert np.quantile(apart, 0.5) < 0.2
    assert np.quantile(apart, 0.95) < 1.5
    for name in ("chromatin", "cytoplasm", "fibres", "ground"):
        a, b = getattr(coarse, name).mean(), getattr(fine, name).mean()
        assert a == pytest.approx(b, rel=0.05), name


def test_structures_go_on_beyond_the_edges(benign, malignant):
    """Nothing is centred: borders show as many nuclei and as much epithelium as the middle."""
    for tissue in (benign, malignant):
        for thing in (tissue.instances > 0, tissue.cytoplasm, tissue.ground):
            edge = np.mean([thing[:, :8].mean(), thing[:, -8:].mean(), thing[..., :8].mean(),
                            thing[..., -8:].mean()])  # fmt: skip
            assert edge == pytest.approx(thing[:, 16:48, 16:48].mean(), rel=0.3)
        cut = [(i[0] > 0).any() for i in tissue.instances]
        assert np.mean(cut) > 0.7


@pytest.mark.parametrize("label", LABELS)
def test_amounts_are_amounts(label, request):
    tissue = request.getfixturevalue(label)
    for name in MATTER:
        amount = getattr(tissue, name)
        assert amount.dtype == np.float32
        assert amount.shape == tissue.instances.shape
        assert amount.min() >= 0, name
        assert np.quantile(amount, 0.999) < 2.5, name
    assert tissue.ground.max() <= 1
    # Nothing but air where no tissue is.
    air = tissue.ground == 0
    assert air.any()
    for name in ("chromatin", "fibres", "nuclear_antigen"):
        assert getattr(tissue, name)[air].max() < 0.02, name


def test_chromatin_is_in_the_nuclei(benign, malignant):
    for tissue in (benign, malignant):
        inside = tissue.instances > 0
        assert tissue.chromatin[inside].mean() > 8 * tissue.chromatin[~inside].mean()
        assert tissue.cytoplasm[inside].mean() < 0.5 * tissue.cytoplasm[~inside].mean() + 0.1


def test_a_nucleus_that_is_only_grazed_is_pale_and_not_annotated(malignant):
    far = ndimage.distance_transform_edt(malignant.instances == 0, sampling=(99, UM, UM))
    far[:, [0, -1]] = far[:, :, [0, -1]] = 0  # slivers are dark
    beside = malignant.chromatin[far > 2]
    assert 0.01 < (beside > 0.1).mean() < 0.2
    annotated = malignant.chromatin[malignant.instances > 0]
    assert np.quantile(beside[beside > 0.1], 0.9) < 0.75 * np.median(annotated)


def test_membranes_run_between_the_nuclei_and_grow_with_the_score(benign, malignant):
    assert not benign.her2.any()
    assert not benign.membrane_antigen.any()
    assert set(malignant.her2) == {0, 1, 2, 3}
    strength = [malignant.membrane_antigen[malignant.her2 == s].mean() for s in range(4)]
    assert strength[0] == 0
    assert strength == sorted(strength)
    assert strength[3] > 2 * strength[1]
    strong = malignant.her2 == 3
    inside = malignant.instances[strong] > 0
    membrane = malignant.membrane_antigen[strong]
    assert membrane[inside].mean() < 0.4 * membrane[~inside].mean()


def test_a_gland_has_its_nuclei_between_lumen_and_stroma():
    for seed in range(4):
        plan = build_architecture("benign", 60.0, np.random.default_rng(seed))
        nuclei = [n for n in place_nuclei(plan, np.random.default_rng(seed)) if not n.cap]
        y, x, kinds = (np.array([getattr(n, a) for n in nuclei]) for a in ("y", "x", "kind"))
        deep, free = plan.at("epithelium", y, x), plan.at("lumen", y, x)
        assert (deep[kinds == "epithelial"] < -4).all()
        assert (deep[kinds == "epithelial"] > -16).all()
        assert (free[kinds == "epithelial"] > 0).all()
        assert np.abs(deep[kinds == "myoepithelial"] + 1.6).max() < 1.5
        assert (deep[np.isin(kinds, ["stromal", "lymphocyte"])] > 0).all()
        assert (plan.at("fat", y, x)[kinds == "lymphocyte"] > 0).all()


def test_spindles_lie_along_the_fibres_that_one_sees():
    """Direction of the collagen from the picture alone (structure tensor)."""
    aligned = []
    for seed in range(8):
        tissue = grow_tissue([seed], 128, 0.5, ["benign"])
        fibres = ndimage.gaussian_filter(tissue.fibres[0], 1.0)
        dy, dx = np.gradient(fibres)
        quiet = tissue.ground[0] - (tissue.instances[0] > 0)
        jyy, jxx, jxy = (ndimage.gaussian_filter(p * quiet, 8) for p in (dy * dy, dx * dx, dy * dx))
        fibre = 0.5 * np.arctan2(2 * jxy, jxx - jyy) + np.pi / 2
        table = tissue.nuclei[tissue.nuclei["kind"] == "stromal"]
        for number in table["number"]:
            y, x = np.nonzero(tissue.instances[0] == number)
            if len(y) < 60:
                continue
            (yy, xy), (_, xx) = np.cov(y, x)
            turn = 0.5 * np.arctan2(2 * xy, xx - yy)
            aligned.append(np.cos(2 * (turn - fibre[int(y.mean()), int(x.mean())])))
    assert len(aligned) > 20
    assert np.mean(aligned) > 0.35  # 0 where directions know nothing of each other


def test_signed_distance_of_a_disc():
    y, x = raster(60.0)
    radius = np.hypot(y - 30, x - 30)
    distance = signed_distance(radius < 20)
    near = np.abs(radius - 20) < 12
    np.testing.assert_allclose(distance[near], (radius - 20)[near], atol=1.0 * STEP)
    assert (signed_distance(radius < 0) == FAR).all()
    assert (signed_distance(radius < 999) == -FAR).all()


def test_a_drawn_nucleus_has_the_area_of_its_ellipse():
    for look, length, width in (("benign", 8.0, 7.0), ("lymphocyte", 6.5, 6.0)):
        nucleus = Nucleus(12.0, 12.0, length, width, 0.7, "epithelial", look, 0.0)
        sums = [
            draw_nucleus(nucleus, nucleus.box(96, 0.25), 0.25, np.random.default_rng(s)).cover.sum()
            for s in range(30)
        ]
        assert np.mean(sums) / 16 == pytest.approx(np.pi / 4 * length * width, rel=0.04)
    assert Nucleus(-9.0, 5.0, 8.0, 8.0, 0.0, "epithelial", "benign", 0.0).box(64, 0.5) is None


@pytest.mark.parametrize("kind", TEXTURES)
def test_texture_is_the_same_at_any_resolution(kind):
    def shown(um, side=32.0):
        line = (np.arange(round(side / um)) + 0.5) * um
        return texture(kind, *np.meshgrid(line, line, indexing="ij"), (0.3, 0.6), um)

    coarse, fine = shown(0.5), shown(0.25)
    binned = fine.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    assert np.corrcoef(coarse.ravel(), binned.ravel())[0, 1] > 0.97
    line = np.arange(0, PERIOD, 0.25)
    whole = texture(kind, *np.meshgrid(line, line, indexing="ij"), (0.0, 0.0), 0.25)
    assert whole.std() == pytest.approx(1, abs=0.01)
    assert abs(whole.mean()) < 0.01
    # The quick way across the end of the tile.
    rolled = np.roll(patch(kind, 256, 256, (0.0, 0.0), 0.5), 64, axis=0)
    np.testing.assert_allclose(patch(kind, 256, 256, (0.75, 0.0), 0.5), rolled)


def test_unknown_labels_are_refused():
    with pytest.raises(InputError, match=r"'cancer' is unknown: choose one of benign, malignant"):
        grow_tissue(np.arange(1), SIDE, UM, ["cancer"])
    with pytest.raises(InputError, match="give every seed its label"):
        grow_tissue(np.arange(2), SIDE, UM, ["benign"])
