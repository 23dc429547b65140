"""Fields of stained tissue: phantoms and files, their scale, their colours, who is positive."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from engine.errors import InputError
from engine.store import Store
from lib.data.simulated_tissue import random_stains
from lib.data.tissue_files import TissueFiles, read_classes
from lib.data.tissue_parameters import TILES, TissueParameters
from lib.data.tissue_phantoms import PhantomTissue
from lib.data.tissue_set import TissueSet
from lib.data.tissue_sources import open_tissue

SMALL = dict(study="stain", source_slides=6, target_slides=6, image_size=32, um_per_px=1.0)


@pytest.fixture(scope="module")
def phantom():
    return PhantomTissue(TissueParameters(**SMALL))


def some(table, domain, count=5):
    return table.loc[table["domain"] == domain, "id"].tolist()[:: TILES + 1][:count]


# --- phantoms -------------------------------------------------------------------------------


def test_a_slide_is_a_group_of_twelve_tiles_with_one_label(phantom):
    table = phantom.table()
    assert len(table) == 2 * 6 * TILES
    assert table["id"].is_unique
    assert (table.groupby("group").size() == TILES).all()
    assert (table.groupby("group")["label"].nunique() == 1).all()
    assert set(table["label"]) == {"benign", "malignant"}


def test_ids_are_read_in_any_order_and_batch(phantom):
    ids = [*some(phantom.table(), "ki67"), *some(phantom.table(), "he")]
    shuffled = ids[::-1]
    for read in (phantom.read_many, phantom.instances, phantom.positives):
        together, backwards = read(ids), read(shuffled)
        for one, other in zip(together, reversed(backwards), strict=True):
            assert np.array_equal(one, other)
        assert np.array_equal(read(ids[3:4])[0], together[3])


def test_the_same_tissue_in_the_other_stain_has_the_same_nuclei(phantom):
    ids = some(phantom.table(), "ki67")
    other = phantom.through("he")
    assert all(map(np.array_equal, phantom.instances(ids), other.instances(ids)))
    brown, pink = np.stack(phantom.read_many(ids)), np.stack(other.read_many(ids))
    assert brown.shape == pink.shape == (len(ids), 3, 32, 32)
    # Eosin takes green light away, of which stained stroma lets most through in IHC.
    assert pink[:, 1].mean() < brown[:, 1].mean() - 20
    assert all(map(np.array_equal, pink, phantom.through("he").read_many(ids)))


def test_positive_pixels_are_nuclei_and_whole_ones(phantom):
    ids = phantom.table().query("domain == 'ki67'")["id"].tolist()
    share = []
    for mask, nuclei in zip(phantom.positives(ids), phantom.instances(ids), strict=True):
        assert mask.dtype == bool
        assert not mask[nuclei == 0].any()
        inside = np.unique(nuclei[mask])
        assert np.isin(nuclei, inside)[~mask].sum() == 0
        share.append(len(inside) / max(nuclei.max(), 1))
    assert 0 < np.mean(share) < 0.6


def test_other_seeds_show_other_slides():
    first, second = (
        set(PhantomTissue(TissueParameters(**SMALL, seed=seed)).table()["id"]) for seed in (0, 1)
    )
    assert not first & second


def test_the_fingerprint_follows_what_the_pixels_follow():
    own = PhantomTissue(TissueParameters(**SMALL)).fingerprint()
    assert own == PhantomTissue(TissueParameters(**SMALL, holdout_share=0.5)).fingerprint()
    for change in (dict(um_per_px=0.5), dict(seed=3), dict(target_domain="her2")):
        assert PhantomTissue(TissueParameters(**SMALL | change)).fingerprint() != own


def test_an_unknown_stain_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="'giemsa' is unknown: choose one of he"):
        PhantomTissue(TissueParameters(**SMALL, target_domain="giemsa"))


def test_random_laboratories_photograph_tissue_that_no_run_shows(tmp_path, phantom):
    params, store = TissueParameters(**SMALL), Store(tmp_path)
    pairs = random_stains(params, 6, 3, store)
    assert pairs.others.shape == (6, 3, 3, 32, 32)
    assert pairs.others.dtype == torch.uint8
    assert pairs.home.shape == (6, 3, 32, 32)
    assert pairs.instances.shape == (6, 1, 32, 32)
    images, nuclei = pairs.labelled
    assert torch.equal(images[4], pairs.others[1, 1])
    assert torch.equal(nuclei[4], pairs.instances[1])
    # Looks of one tile differ, and tiles to validate by are others.
    assert (pairs.others[:, 0] != pairs.others[:, 1]).float().mean() > 0.5
    watched = random_stains(params, 6, 3, store, watched=True)
    assert not torch.equal(watched.instances, pairs.instances)
    own = phantom.instances(phantom.table()["id"].tolist())
    known = {one.tobytes() for one in own if one.any()}
    assert not known & {one.numpy().tobytes() for one in pairs.instances[:, 0] if one.any()}


# --- files ----------------------------------------------------------------------------------


@pytest.fixture
def slides(tmp_path):
    """Two H&E files of 80 px at 0.25 um with a disc each, one of 160 px at 0.125, one unsaid."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    rows = []
    for name, side, scale in (("a", 80, 0.25), ("b", 160, 0.125), ("c", 80, "")):
        y, x = np.mgrid[:side, :side] / side
        disc = (y - 0.25) ** 2 + (x - 0.25) ** 2 < 0.2**2
        image = np.full((side, side, 3), (240, 180, 210), np.uint8)
        image[disc] = (90, 60, 150)
        Image.fromarray(image).save(tmp_path / f"images/{name}.png")
        Image.fromarray(disc.astype(np.uint8) * 3).save(tmp_path / f"masks/{name}.png")
        rows.append((f"images/{name}.png", "he_breast", "breast", f"p{name}", scale,
                     f"masks/{name}.png"))  # fmt: skip
    columns = ["file", "domain", "organ", "group", "um_per_px", "instances"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def open_files(folder, size=20, listed="he_*", mask="instances", unknown=0.0):
    return TissueFiles(folder, "he", listed, mask, size, 0.5, unknown)


def test_files_of_any_scale_are_brought_to_one(slides):
    source = open_files(slides)
    table = source.table()
    # 80 px of 0.25 um are 40 of 0.5: two by two tiles of 20; so are 160 px of 0.125.
    assert table.groupby("group").size().to_dict() == {"pa": 4, "pb": 4}
    assert set(table["domain"]) == {"he"}
    assert set(table["label"]) == {"breast"}
    first, second = source.instances(["images/a.png#0,0", "images/b.png#0,0"])
    area = np.pi * (0.2 * 40) ** 2
    assert first.sum() == pytest.approx(area, rel=0.08)
    assert second.sum() == pytest.approx(area, rel=0.08)
    (reason,) = source.excluded["reason"]
    assert "um_per_px is unknown" in reason


def test_a_scale_can_be_given_for_files_that_do_not_say(slides):
    assert set(open_files(slides, unknown=0.25).table()["group"]) == {"pa", "pb", "pc"}


def test_images_keep_their_colours(slides):
    (image,) = open_files(slides).read_many(["images/a.png#1,1"])
    assert image.shape == (3, 20, 20)
    assert image.dtype == np.uint8
    assert image.reshape(3, -1).T.tolist() == [[240, 180, 210]] * 400


def test_a_pattern_that_fits_no_domain_names_those_there_are(slides):
    with pytest.raises(InputError, match="no domain is like 'ihc'; there are he_breast"):
        open_files(slides, listed="ihc")


def test_a_missing_mask_column_is_named(slides):
    with pytest.raises(InputError, match="column 'nuclei' is missing"):
        open_files(slides, mask="nuclei")


def test_no_known_scale_is_refused(slides):
    rows = pd.read_csv(slides / "labels.csv").drop(columns="um_per_px")
    rows.to_csv(slides / "labels.csv", index=False)
    with pytest.raises(InputError, match="no file says its um_per_px"):
        open_files(slides)


def class_image():
    """A positive nucleus above two negative ones that only a green border parts."""
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[2:6, 2:8] = (255, 0, 0)
    picture[10:16, 2:8] = (0, 0, 255)
    picture[10:16, 9:15] = (0, 0, 255)
    picture[10:16, 8] = (0, 255, 0)
    return picture


def test_a_class_image_tells_positive_nuclei_from_negative_ones():
    instances, positive = read_classes(class_image())
    assert instances.max() == 3
    assert positive.tolist() == [False, True, False, False]
    assert (instances == 1).sum() == 24
    assert not (instances[:, 8] > 0)[10:16].any()


def test_specks_do_not_shift_who_is_positive():
    picture = class_image()
    picture[0, 0] = (255, 0, 0)  # a speck before the positive nucleus
    instances, positive = read_classes(picture)
    assert positive[instances[3, 3]]
    assert not positive[instances[12, 4]]
    assert instances[0, 0] == 0


def test_positives_of_files_are_where_the_class_image_is_red(slides):
    Image.fromarray(np.kron(class_image(), np.ones((4, 4, 1), np.uint8))).save(
        slides / "masks/a.png"
    )
    source = open_files(slides)
    (mask,) = source.positives(["images/a.png#0,0"])
    assert mask.dtype == bool
    assert mask.sum() == 4 * 24
    assert mask[4:12, 4:16].all()
    with pytest.raises(InputError, match="nothing says which nuclei are positive"):
        source.positives(["images/b.png#0,0"])


# --- a run's set ----------------------------------------------------------------------------


def test_a_set_is_divided_by_slides_and_stacked_in_colour(tmp_path):
    tissue = TissueSet.open(TissueParameters(**SMALL), tmp_path, Store(tmp_path))
    parts = tissue.split.groupby(["domain", "group"])["split"].nunique()
    assert (parts == 1).all()
    assert set(tissue.split["split"]) == {"train", "valid", "holdout"}
    rows = tissue.rows("ki67", "holdout")
    assert tissue.stack(rows).shape == (len(rows), 3, 32, 32)
    assert tissue.positives(rows).shape == tissue.instances(rows).shape == (len(rows), 1, 32, 32)
    assert tissue.has_truth()
    assert not torch.equal(tissue.stack(rows, "he"), tissue.stack(rows))


def test_real_tissue_is_read_in_both_stains(shared_data):
    params = TissueParameters(
        study="stain", data_kind="table", data_dir="nuclei_he_multiorgan_monuseg",
        target_dir="ihc_ki67_deepliif", source_listed="he_*",
        target_listed="ihc_ki67,ihc_whole_region", source_um_per_px=0.25, target_um_per_px=0.25,
        um_per_px=0.5, image_size=96,
    )  # fmt: skip
    source = open_tissue(params, shared_data)
    table = source.table()
    assert table.groupby("domain")["group"].nunique().to_dict() == {"he": 12, "ki67": 5}
    assert source.excluded["reason"].str.contains("is not like").all()
    listed = pd.read_csv(shared_data / "ihc_ki67_deepliif/labels.csv").set_index("group")
    drawn = table[(table["domain"] == "ki67") & (table["drawn_by"] != "")]
    for group, own in drawn.groupby("group"):
        ids = own["id"].tolist()
        brown, every = source.positives(ids), source.instances(ids)
        share = sum(map(np.sum, brown)) / sum((one > 0).sum() for one in every)
        known = listed.loc[group, ["n_positive", "n_negative"]].astype(float)
        # The share of area is about that of nuclei.
        assert abs(share - known.iloc[0] / known.sum()) < 0.2
