"""The dataset of a run and the arms, on small phantoms."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from engine.errors import InputError
from engine.store import Store
from lib.data.dataset import Dataset
from lib.evaluation import arms
from lib.evaluation.ablations import ablation_table, translate_unframed
from lib.evaluation.metrics import combine_folds
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import Generator, ResidualBlock
from lib.models.fitting import TranslatorRecipe, drawn_to_share, fit_classifiers, fit_translators
from lib.models.networks import build_network


class Identity(torch.nn.Module):
    """A translator that changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture(scope="module")
def classifiers(dataset) -> dict[str, FoldEnsemble]:
    return {name: fit.ensemble for name, fit in fit_classifiers(dataset).items()}


@pytest.fixture(scope="module")
def ensemble(classifiers) -> FoldEnsemble:
    return classifiers["grey"]


def test_stack_follows_its_rows_and_is_read_back_from_the_store(dataset):
    rows = dataset.rows("ED1", "holdout")
    stack = dataset.stack(rows)
    assert stack.shape == (len(rows), 1, 32, 32)
    backwards = dataset.stack(rows.iloc[::-1])
    assert torch.equal(stack, backwards.flip(0))
    assert torch.equal(stack, dataset.stack(rows))


def test_truth_shows_the_same_embryo_at_the_same_place(dataset):
    """Through the source's own device the truth is the image itself."""
    rows = dataset.rows("ED4", "holdout")
    frames = dataset.frames.set_index("id").loc[rows["id"]]
    sure = np.flatnonzero(frames["found"])
    difference = dataset.truth(rows).int() - dataset.stack(rows).int()
    assert difference[sure].abs().float().mean() < 1.0


def test_translator_trains_on_the_training_part_only_unless_transductive(dataset, monkeypatch):
    seen = {}

    def record(target, source, *rest):
        seen["target"], seen["source"] = len(target), len(source)
        raise InterruptedError

    monkeypatch.setattr("lib.models.recipes.train_translator", record)
    network = build_network("test_resnet", 1, "")
    for transductive, parts in ((False, "train"), (True, "")):
        params = dataset.params.model_copy(update={"transductive": transductive})
        other = Dataset(params, dataset.source, dataset.split, dataset.frames, dataset.store)
        with pytest.raises(InterruptedError):
            fit_translators(other, {"a": TranslatorRecipe(["ED1"], False)}, network)
        assert seen["target"] == len(dataset.rows("ED1", parts))
        assert seen["source"] == len(dataset.rows("ED4", "train"))


def test_a_trained_translator_is_found_again(dataset, ensemble, monkeypatch):
    recipe = TranslatorRecipe(["ED1"], texture=True)
    first, history = fit_translators(dataset, {"a": recipe}, ensemble.networks[0])["a"]
    monkeypatch.setattr("lib.models.recipes.train_translator", None)
    again, kept = fit_translators(dataset, {"b": recipe}, ensemble.networks[0])["b"]
    pd.testing.assert_frame_equal(history, kept)
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    stronger = replace(recipe, changes={"texture_weight": 2.0})
    with pytest.raises(TypeError):  # another weight is another translator
        fit_translators(dataset, {"a": stronger}, ensemble.networks[0])
    wrong = replace(recipe, changes={"texture_wieght": 2.0})
    with pytest.raises(InputError, match="did you mean 'texture_weight'"):
        fit_translators(dataset, {"a": wrong}, ensemble.networks[0])


def test_a_recipe_may_change_the_networks(dataset, ensemble):
    blocks = dataset.params.blocks + 1
    recipe = TranslatorRecipe(["ED1"], texture=False, changes={"blocks": blocks})
    networks, _ = fit_translators(dataset, {"a": recipe}, ensemble.networks[0])["a"]
    assert sum(isinstance(part, ResidualBlock) for part in networks.to_source.modules()) == blocks


def test_rows_drawn_to_a_share_are_equally_many(dataset):
    rows = dataset.rows("ED4", "train")
    rarer = rows["label"].value_counts().min()
    for share in (0.0, 0.25, 0.5, 1.0):
        drawn = drawn_to_share(rows, share, seed=0)
        assert len(drawn) == rarer
        assert drawn["label"].sum() == round(share * rarer)
        assert drawn["id"].is_unique
        assert set(drawn["id"]) <= set(rows["id"])


def test_trainings_side_by_side_end_as_one_after_the_other(dataset, ensemble, tmp_path):
    recipes = {name: TranslatorRecipe(["ED1"], name == "texture") for name in ("plain", "texture")}
    ends = []
    for threads in (1, 2):  # two: one process each, with one thread
        params = dataset.params.model_copy(update={"threads": threads})
        store = Store(tmp_path / str(threads))
        other = Dataset(params, dataset.source, dataset.split, dataset.frames, store)
        ends.append(fit_translators(other, recipes, ensemble.networks[0]))
        assert len(list(store.folder.glob("translators/*.csv"))) == len(recipes)  # each one once
    for name in recipes:
        (a, first), (b, second) = (end[name] for end in ends)
        pd.testing.assert_frame_equal(first, second)
        for one, two in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            assert torch.equal(one, two)


def test_arms_show_what_they_say(dataset, classifiers):
    rows = dataset.rows("ED1", "holdout")
    scene = arms.Scene(dataset, rows, classifiers, {"cyclegan": Identity()})
    shown = arms.show_arms(scene)
    stacks = {arm: stack for arm, (stack, _) in shown.items()}
    assert list(stacks) == [*arms.CONTROLS, "cyclegan", "oracle"]
    for arm in ("recalibrated", "adabn", "augmented"):  # another classifier, the same images
        assert torch.equal(stacks[arm], stacks["grey"])
    assert stacks["raw"].shape[1] == 3
    assert torch.equal(stacks["cyclegan"], stacks["grey"])
    assert torch.equal(stacks["oracle"], dataset.truth(rows))
    assert all(len(stack) == len(rows) for stack in stacks.values())


def test_every_arm_is_judged_at_its_own_classifiers_threshold(dataset, classifiers):
    rows = dataset.rows("ED1", "holdout")
    shown = arms.show_arms(arms.Scene(dataset, rows, classifiers))
    table, frozen = arms.predict_arms(shown, rows, seed=0)
    assert frozen["raw"] == classifiers["rgb"].threshold
    assert frozen["augmented"] == classifiers["augmented"].threshold
    assert frozen["histogram"] == frozen["grey"] == classifiers["grey"].threshold
    scores = dict(list(table.groupby("arm")["score"]))
    assert np.array_equal(scores["recalibrated"], scores["grey"])  # only the threshold moves
    assert not np.array_equal(scores["adabn"], scores["grey"])


def test_matched_threshold_calls_as_many_target_images_as_validation_images(dataset, classifiers):
    """One fold, so that the ensemble's threshold is that fold's."""
    grey = classifiers["grey"]
    one = FoldEnsemble(grey.networks[:1], grey.calibrations[:1], grey.blur)
    stack = dataset.stack(dataset.rows("ED1"))
    moved = one.with_matched_thresholds(stack)
    called = np.mean(moved.fold_scores(stack)[0] >= moved.threshold)
    assert called == pytest.approx(one.calibrations[0].called_positive, abs=1 / len(stack))


def test_adabn_takes_the_statistics_of_the_images_it_is_shown():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(1), torch.nn.Flatten())
    ensemble = FoldEnsemble([network.eval()], [Calibration(1.0, 0.0, 0.0, 0.5, 1.0)])
    stack = torch.randint(0, 256, (128, 1, 8, 8), dtype=torch.uint8)
    adapted = ensemble.with_target_statistics(stack).networks[0][0]
    unit = stack.double() / 127.5 - 1
    assert float(adapted.running_mean) == pytest.approx(float(unit.mean()), abs=1e-5)
    assert float(adapted.running_var) == pytest.approx(float(unit.var()), rel=1e-4)
    assert float(network[0].running_mean) == 0.0  # the classifier itself is left alone


def test_ensemble_averages_calibrated_logits():
    class Constant(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = torch.nn.Parameter(torch.tensor(value))

        def forward(self, x):
            return self.value.expand(len(x), 1)

    ensemble = FoldEnsemble(
        [Constant(1.0), Constant(-2.0)],
        [Calibration(2.0, 0.5, 0.3, 0.5, 1.0), Calibration(1.0, 0.0, -0.1, 0.5, 1.0)],
    )
    rows = pd.DataFrame(dict(id=["a"], domain="ED1", label=1, group="a"))
    table = arms.predict(ensemble, torch.zeros(1, 1, 4, 4, dtype=torch.uint8), rows, "grey", 0)
    combined = combine_folds(table)
    assert list(combined["fold"]) == [-1]
    assert combined["score"].iloc[0] == pytest.approx(1 / (1 + np.exp(-(2.5 - 2.0) / 2)))
    assert ensemble.threshold == pytest.approx(1 / (1 + np.exp(-0.1)))


def test_both_protocols_stand_side_by_side(dataset, ensemble):
    rows = dataset.rows("ED1")
    tables = [arms.predict(ensemble, dataset.stack(rows), rows, arm, 0) for arm in ("grey", "fda")]
    combined = combine_folds(pd.concat(tables))
    table = arms.compare_arms(combined, {"grey": 0.5, "fda": 0.4}, resamples=50)
    assert set(table["protocol"]) == {"frozen", "optimistic"}
    balanced = table[table["metric"] == "balanced_accuracy"].pivot(
        index="arm", columns="protocol", values="value"
    )
    assert (balanced["optimistic"] >= balanced["frozen"] - 1e-12).all()
    frozen = table[table["protocol"] == "frozen"].groupby("arm")["threshold"].unique()
    assert frozen["fda"] == [0.4]


def test_ablation_judges_quality_against_the_truth_only(dataset, ensemble):
    rows = dataset.rows("ED1")
    truth = dataset.truth(rows)
    stacks = {"raw": dataset.stack(rows), "truth": truth}
    judged = [arms.predict(ensemble, stack, rows, arm, 0) for arm, stack in stacks.items()]
    combined = combine_folds(pd.concat(judged))
    table = ablation_table(dataset, rows, stacks, combined, ensemble.threshold)
    everything = {"auc", "balanced_accuracy", "inside_ssim", "inside_error"}
    assert set(table[table["arm"] == "raw"]["metric"]) == everything
    assert set(table[table["arm"] == "truth"]["metric"]) == {"auc", "balanced_accuracy"}
    inside = (table["low"] <= table["value"]) & (table["value"] <= table["high"])
    assert inside[table["metric"].str.startswith("inside")].all()


def test_unframed_translation_is_cropped_to_the_embryo(dataset):
    """With a translator that changes nothing, the crop is that of framing, only less sharp."""
    rows = dataset.rows("ED1")
    found = dataset.frames.set_index("id").loc[rows["id"], "found"].to_numpy(copy=True)
    cropped = translate_unframed(Identity(), dataset, rows).float()[found]
    framed = dataset.stack(rows).float()[found]
    for a, b in zip(cropped, framed, strict=True):
        assert np.corrcoef(a.flatten(), b.flatten())[0, 1] > 0.9


def test_truth_is_refused_where_it_is_not_known(dataset):
    class Blind:
        truth_domains = ()

        def fingerprint(self):
            return "blind"

        def through(self, device):
            raise InputError(f"not taken by {device}")

    params = dataset.params.model_copy(update={"framing": "whole"})
    other = Dataset(params, Blind(), dataset.split, dataset.frames.iloc[:0], dataset.store)
    assert not other.has_truth("ED1")
    with pytest.raises(InputError, match="ED4"):
        other.truth(dataset.rows("ED1"))


def test_generator_is_what_a_clinic_uses(dataset, classifiers):
    generator = Generator(1, 4, 1, "reflect", "resize").eval()
    stack = dataset.stack(dataset.rows("ED1", "holdout"))
    scene = arms.Scene(dataset, dataset.rows("ED1", "holdout"), classifiers, {"mine": generator})
    assert arms.show_arms(scene)["mine"][0].shape == stack.shape
