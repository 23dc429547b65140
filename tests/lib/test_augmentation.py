"""Whether a GAN's images help: who learns from what, and ways compared on the same tiles."""

import numpy as np
import pandas as pd
import pytest
import torch

from engine.errors import InputError
from engine.store import Store
from lib.data.tissue_parameters import TissueParameters
from lib.data.tissue_set import TissueSet
from lib.evaluation.augmentation import (
    PAIRS,
    REMEDY_PAIRS,
    UNBALANCED,
    Tiles,
    classify,
    compare_ways,
    few_images,
    gan_recipes,
    open_tiles,
    scores_of_ways,
)
from lib.evaluation.gan_quality import SHOWN, gan_distances, looked_at, train_gans
from lib.models.augmentation import REMEDIES, WAYS
from lib.models.gan_parameters import AugmentationParameters
from lib.models.gan_variants import KINDS, VARIANTS

PARAMS = AugmentationParameters(
    study="stain", gan_filters=4, gan_latent=4, gan_steps=2, gan_batch=4, gan_critic_steps=1,
    augment_counts="4,8", augment_seeds=2, augment_steps=2, augment_batch=4, device="cpu",
    threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    params = TissueParameters(
        study="stain", source_slides=16, target_slides=6, image_size=32, um_per_px=1.0
    )
    tissue = TissueSet.open(
        params, tmp_path_factory.mktemp("d"), Store(tmp_path_factory.mktemp("s"))
    )
    return open_tiles(tissue)


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    pool, judged = parts
    store, sets = Store(tmp_path_factory.mktemp("t")), few_images(pool, PARAMS)
    generators = train_gans(sets, PARAMS, store)
    return sets, generators, classify(sets, judged, generators, PARAMS, store)


def test_no_slide_is_learnt_from_and_judged_on(parts):
    pool, judged = parts
    assert not set(pool.rows["group"]) & set(judged.rows["group"])
    assert set(pool.labels) == set(judged.labels) == {0, 1}
    assert (judged.rows["id"].str.startswith("he/")).all()


def test_fewer_images_are_a_part_of_more_and_imbalance_is_one_to_nine(parts):
    pool, _ = parts
    sets = few_images(pool, PARAMS)
    assert set(sets["4"].rows["id"]) < set(sets["8"].rows["id"])
    assert np.bincount(sets["8"].labels).tolist() == [8, 8]
    many = pool.few((36, 4), 0)
    assert np.bincount(many.labels).tolist() == [36, 4]
    with pytest.raises(InputError, match=r"class 1 has .* images to learn from, 9999 wanted"):
        pool.few((4, 9999), 0)


def test_every_gan_learns_from_the_images_that_its_classifier_has(parts):
    sets = few_images(parts[0], PARAMS)
    recipes = gan_recipes(sets)
    assert set(recipes) == {"images_of_4", "images_of_8", f"images_of_{UNBALANCED}", *VARIANTS}
    assert len(recipes["images_of_4"].labels) == 8
    assert all(len(recipes[name].labels) == 16 for name in VARIANTS)


def test_every_way_is_judged_on_all_tiles_by_every_seed(parts, trained):
    _, judged = parts
    _, _, answers = trained
    count = answers.groupby(["images", "way", "seed"]).size()
    assert (count == len(judged.rows)).all()
    assert set(answers.loc[answers["images"] == UNBALANCED, "way"]) == set(REMEDIES)
    assert set(answers.loc[answers["images"] == "8", "way"]) == set(WAYS)
    assert answers["score"].between(0, 1).all()


def test_differences_are_of_the_scores_they_compare(trained):
    _, _, answers = trained
    scores = scores_of_ways(answers).set_index(["images", "way", "metric"])["value"]
    compared = compare_ways(answers)
    assert len(compared) == 3 * (2 * len(PAIRS) + len(REMEDY_PAIRS))
    for row in compared.itertuples():
        plain = (
            scores[row.images, row.way, row.metric] - scores[row.images, row.against, row.metric]
        )
        assert row.difference == pytest.approx(plain, abs=1e-9)
        assert not row.p_holm < row.p  # neither where all scores are alike


def test_gans_are_held_against_real_tiles_with_their_floor(parts, trained):
    _, judged = parts
    _, generators, _ = trained
    distances = gan_distances(generators, judged, 0)
    assert set(distances["arm"]) == {"floor", *VARIANTS}
    own = distances[distances["measure"] == "kernel_lite0"].set_index("arm")["value"]
    assert (own.drop("floor") > own["floor"]).all()
    looks = looked_at(generators, judged, 0)
    assert list(looks) == ["real", *KINDS]
    assert {len(stack) for stack in looks.values()} == {2 * SHOWN}


def test_a_label_that_images_do_not_have_is_named():
    rows = pd.DataFrame(dict(id=list("ab"), label=[0, 1], group=list("ab")))
    tiles = Tiles(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), rows)
    with pytest.raises(InputError, match="Add slides, or lower augment_counts"):
        tiles.few((2, 1), 0)


@pytest.mark.parametrize("counts", ["", "5,5", "1", "a,3"])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match="augment_counts"):
        AugmentationParameters(study="stain", augment_counts=counts)
