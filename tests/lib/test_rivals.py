"""Classifiers adapted to the target, what labels buy, and what each arm costs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from engine.errors import InputError
from engine.jobs import Job
from engine.store import Store
from lib.data.dataset import Dataset
from lib.data.framing import frame_table
from lib.data.sources import open_source
from lib.data.splits import split_table
from lib.evaluation import arms
from lib.evaluation.groups import GROUPS, group_of, place_of
from lib.models import rivals
from lib.models.fitting import fit_classifiers, seconds_of
from lib.models.rivals import ADAPTED, BOTH, RANDOMISED, SOURCE_FREE, fit_rivals, labelled_few
from lib.studies import embryo
from lib.studies.embryo import EmbryoParameters
from tests.conftest import SMALL

FEW = ("labels_10", "labels_16")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    changes = dict(
        target_count=48, rivals=True, label_counts="10,16", adapted_epochs=3, randomised_epochs=2
    )
    params = EmbryoParameters(**SMALL | changes)
    source = open_source(params, tmp_path_factory.mktemp("data"))
    split = split_table(source.table(), params.folds, params.holdout_shares, params.seed)
    frames = frame_table(source, split["id"])
    return Dataset(params, source, split, frames, Store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def readers(dataset):
    return arms.fit_readers(dataset, "ED1")


def rows(count=40, positive=0.7, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < positive).astype(int)
    return pd.DataFrame(dict(id=[f"ED1/{i}" for i in range(count)], domain="ED1", label=labels))


def test_few_labels_keep_the_balance_and_grow():
    table = rows()
    ten, thirty = (labelled_few(table, count, 0) for count in (10, 30))
    assert (len(ten), len(thirty)) == (10, 30)
    assert set(ten["id"]) < set(thirty["id"])
    assert abs(thirty["label"].mean() - table["label"].mean()) < 0.05
    assert labelled_few(rows(positive=0.06, seed=1), 10, 0)["label"].sum() == 2
    assert list(labelled_few(table, 10, 1)["id"]) != list(ten["id"])


@pytest.mark.parametrize(("count", "table"), [(41, rows()), (3, rows()), (10, rows(positive=0.0))])
def test_too_few_images_to_label_are_refused(count, table):
    with pytest.raises(InputError, match=rf"ED1: {count} labelled images.*label_counts"):
        labelled_few(table, count, 0)


def test_a_run_is_refused_before_it_starts_where_images_are_too_few(dataset):
    params = dataset.params.model_copy(update=dict(label_counts="10,30"))
    with pytest.raises(InputError, match="30 labelled images are wanted"):
        embryo.check(params, dataset.source)


def test_every_rival_is_an_arm_of_its_group(dataset, readers):
    classifiers = {name: fit.ensemble for name, fit in readers.items()}
    holdout = dataset.rows("ED1", "holdout")
    scene = arms.Scene(dataset, holdout, classifiers)
    shown = arms.show_arms(scene)
    own = ("randomised", *ADAPTED, *FEW, BOTH)
    assert set(shown) == {*arms.CONTROLS, *own, "oracle"}
    assert list(shown) == sorted(shown, key=place_of)
    assert [group_of(arm) for arm in (*ADAPTED, *FEW, "cut")] == (
        ["adapted classifiers"] * len(ADAPTED) + ["bounds"] * len(FEW) + ["translators"]
    )
    same = arms.unchanged({arm: stack for arm, (stack, _) in shown.items()})
    assert set(same) == {"recalibrated", "adabn", "augmented", *own}
    predictions, frozen = arms.predict_arms(shown, holdout, 0)
    scores = predictions.pivot(index=["id", "fold"], columns="arm", values="score")[list(own)]
    assert scores.T.drop_duplicates().shape[0] == len(own)  # no two are the same classifier
    assert set(frozen) == set(shown)
    assert set(GROUPS) == {group_of(arm) for arm in (*shown, "cyclegan")}


def test_labels_of_the_target_reach_the_bounds_alone(dataset, readers, monkeypatch):
    """With every target label turned round, the adapted classifiers stay bit for bit."""
    target = dataset.split["domain"] == "ED1"
    turned = dataset.split.assign(label=dataset.split["label"].where(~target, lambda y: 1 - y))
    other = replace(dataset, split=turned)
    again = fit_rivals(other, "ED1", readers["grey"])
    for arm, fit in again.items():
        blind = arm in (*ADAPTED, RANDOMISED)
        pairs = zip(fit.ensemble.networks, readers[arm].ensemble.networks, strict=True)
        same = all(
            torch.equal(a, b)
            for one, two in pairs
            for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
        )
        assert same == blind, arm
        if blind:
            assert fit.ensemble.calibrations == readers[arm].ensemble.calibrations


def test_calibration_is_by_what_an_arm_may_know(dataset, readers):
    grey = readers["grey"].ensemble.calibrations
    assert readers[SOURCE_FREE].ensemble.calibrations == grey
    for arm in ADAPTED:
        if arm != SOURCE_FREE:
            assert readers[arm].ensemble.calibrations != grey
    for arm in (*FEW, BOTH):
        first, *rest = readers[arm].ensemble.calibrations
        assert all(other == first for other in rest)


def test_a_fold_does_not_learn_the_labels_that_calibrate_it(dataset, readers):
    images = rivals._Images.of(dataset, "ED1")
    home = len(images.home)
    for arm in (*FEW, BOTH):
        known = images.rows_of(arm, dataset.params)
        for fold in range(dataset.params.folds):
            job = rivals._job(images, arm, fold, readers["grey"], dataset.params)
            train = job.ingredients["train"]
            learnt = known.iloc[train[train >= home] - home]
            assert (learnt["fold"] != fold).all()
            assert (images.home.iloc[train[train < home]]["fold"] != fold).all()
            labels = job.ingredients["labels"][train[train >= home]]
            np.testing.assert_array_equal(labels, learnt["label"])
            if arm != BOTH:
                assert (train >= home).sum() == (train < home).sum()


def test_rivals_are_found_again(dataset, readers, monkeypatch):
    def never(**_):
        raise AssertionError("trained again")

    for name in ("_adapt", "_learn"):
        monkeypatch.setattr(rivals, name, never)
    again = fit_rivals(dataset, "ED1", readers["grey"])
    assert again["dann"].seconds == readers["dann"].seconds


def test_costs_count_every_training_that_an_arm_needs(dataset, readers):
    classifiers = {name: fit.ensemble for name, fit in readers.items()}
    holdout = dataset.rows("ED1", "holdout")
    costs = arms.arm_costs(arms.Scene(dataset, holdout, classifiers), readers, {}).set_index("arm")
    minutes = {name: fit.seconds / 60 for name, fit in readers.items()}
    assert costs.loc["histogram", "minutes"] == costs.loc["grey", "minutes"] == minutes["grey"]
    assert costs.loc["raw", "minutes"] == minutes["rgb"]
    assert costs.loc["mdnet", "minutes"] > minutes["grey"]  # it goes on from there
    assert costs.loc["dann", "minutes"] == minutes["dann"]
    assert (costs["images_per_second"] > 0).all()
    assert "oracle" not in costs.index


def test_seconds_are_kept_with_a_training_and_unknown_where_it_went_on(tmp_path):
    def train(checkpoints):
        sum(i * i for i in range(200_000))
        return torch.nn.Linear(1, 1), pd.DataFrame(dict(step=[0]))

    job = Job("translators", (), dict(a=1), train)
    _, history = job.stored(Store(tmp_path), 0)
    again = job.stored(Store(tmp_path), 0)[1]
    assert seconds_of(history) == seconds_of(again) > 0
    unfinished = Job("translators", (), dict(a=2), train)
    folder = unfinished.checkpoints(Store(tmp_path), 0).folder
    folder.mkdir(parents=True)
    (folder / "000000001.safetensors").write_bytes(b"half")
    assert np.isnan(seconds_of(unfinished.stored(Store(tmp_path), 0)[1]))


def test_without_rivals_there_are_the_source_classifiers_alone(dataset):
    plain = dataset.with_params(rivals=False)
    assert set(arms.fit_readers(plain, "ED1")) == set(fit_classifiers(dataset))
