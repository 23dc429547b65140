"""The comparison of texture losses and weight rules, and arms over seeds, on small phantoms."""

import numpy as np
import pandas as pd
import pytest
import torch

from engine.errors import InputError
from lib import figures
from lib.evaluation import loss_comparison
from lib.evaluation.loss_comparison import CELLS, COMPARED, CONSTRAINTS, DOSE, DOSES, NONE, Cell
from lib.evaluation.repeats import judge_seed
from lib.models.classifier import to_unit
from lib.models.fitting import TranslatorRecipe
from lib.models.simulation import training_looks
from lib.models.texture import TextureWeight, build_texture_loss, mind_loss
from lib.studies.embryo import STUDY

GIVEN = dict(
    texture_network="tf_efficientnet_lite0", texture_network_weights="imagenet",
    texture_loss="mind", texture_weight=0.03,
)  # fmt: skip


def test_cells_are_a_factorial_with_further_doses_and_rules():
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    crossed = {(cell.constraint, cell.loss) for cell in CELLS}
    assert crossed == {(c, loss) for c in CONSTRAINTS for loss in (NONE, *COMPARED)}
    doses = {cell.dose for cell in CELLS if cell.loss == "structure" and cell.constraint != "free"}
    assert doses == {DOSE, *DOSES}
    for cell in CELLS:
        assert cell.against in {other.name for other in CELLS}
        assert set(cell.name) <= set("abcdefghijklmnopqrstuvwxyz_0123456789")


def test_a_cell_differs_from_its_none_in_the_texture_loss_alone():
    lost = dict.fromkeys(COMPARED, 0.7)
    for cell in CELLS:
        changes = cell.recipe("ED1", 9, lost).changes
        none = Cell(cell.constraint, NONE).recipe("ED1", 9, {}).changes
        assert dict(none) == {name: value for name, value in changes.items() if name in none}
        more = {name for name in changes if name not in none}
        assert all(name.startswith("texture_") for name in more)
        assert cell.recipe("ED1", 9, lost).texture == (cell.loss != NONE)
    published = Cell("published", "efficientnet", "linear").recipe("ED1", 9, {}).changes
    assert (published["texture_weight"], published["texture_final_weight"]) == (1.0, 0.1)
    bounded = Cell("profile", "mind", "constrained").recipe("ED1", 9, lost).changes
    assert bounded["texture_bound"] == 1.4


def test_bounds_are_what_a_loss_says_of_two_photographs_of_one_object(dataset):
    small = dataset.with_params(simulated_phantoms=12, simulated_looks=2)
    lost = loss_comparison.bounds(small, ["mind", "structure"], None)
    looks = training_looks(small)
    pairs = [(look[None], home) for home, own in zip(looks.home, looks.others, strict=True)
             for look in own]  # fmt: skip
    each = [mind_loss(*(to_unit(image[None]) for image in pair)).item() for pair in pairs]
    assert lost["mind"] == pytest.approx(np.mean(each), rel=1e-5)
    # Of photographs of two objects the encoder says more.
    loss = build_texture_loss("structure", None, small.params)
    with torch.inference_mode():
        apart = loss(to_unit(looks.others[:, :1].roll(1, 0)), to_unit(looks.home)).item()
    assert 0 < lost["structure"] < apart


def test_a_translation_that_loses_what_a_device_takes_is_at_its_bound():
    """Both ways of it: their sum is what the rule holds to the bound."""
    changes = Cell("profile", "mind", "constrained").recipe("ED1", 9, dict(mind=0.4)).changes
    rule = TextureWeight("constrained", 0.1, 9, bound=changes["texture_bound"])
    there, back = torch.tensor(0.4), torch.tensor(0.4)
    assert rule.update(0, there + back, torch.ones(()), torch.ones(())) == pytest.approx(0.1)
    assert rule.update(1, there + 2 * back, torch.ones(()), torch.ones(())) > 0.1


def test_a_study_is_refused_before_it_runs_where_the_published_loss_has_no_weights(dataset):
    given = dict(loss_study=True, texture_loss="mind", texture_network_weights="")
    small = dataset.with_params(**given)
    with pytest.raises(InputError, match=r"notebook 03.*\n.*texture_network_weights"):
        STUDY.check(small.params, small.source)
    small = dataset.with_params(**given | GIVEN)
    STUDY.check(small.params, small.source)


def test_study_runs_from_images_to_words(dataset):
    small = dataset.with_params(**GIVEN, classifier_blur=1.0)
    rows = small.rows("ED1", "holdout")
    few = (
        Cell("profile", NONE), Cell("profile", "mind"), Cell("profile", "structure"),
        Cell("profile", "gradient"), Cell("free", NONE), Cell("free", "mind"),
        Cell("profile", "structure", "constrained"),
    )  # fmt: skip
    found, single = loss_comparison.train_study(small, rows, [0, 1], 4, few)
    textured = {cell.name for cell in few if cell.loss != NONE}
    assert set(found["arm"]) == textured
    assert set(found["reader"]) == {"blurred", "sharp", ""}
    assert {"auc", "balanced_accuracy", "inside_ssim"} <= set(found["metric"])
    assert set(single["arm"]) == {cell.name for cell in few}
    for row in found[found["metric"] == "auc"].itertuples():
        own = single[single["reader"] == row.reader].groupby("arm")["auc"].mean()
        assert row.difference == pytest.approx(own[row.arm] - own[row.against])
        assert (row.seeds, row.n) == (2, len(rows))
    _, shown = figures.study_forest(found, "synthetic phantom", "What it changes")
    assert set(shown["arm"]) == textured
    losses = ["mind", "structure", "gradient"]
    known = pd.DataFrame(dict(loss=losses, measure="ratio", value=[0.8, 0.2, 1.0]))
    words = figures.study.study_words(found, known, "profile")
    assert "AUC, sharp, 5 ways to use a texture loss" in words
    assert "over 3 losses" in words
    answer = figures.study.study_answer(found)
    assert "of 5 ways to use a texture loss, each against none in 2 trainings" in answer


def test_the_answer_counts_verdicts_by_loss():
    cells = [Cell("profile", "structure"), Cell("free", "structure"), figures.study.PUBLISHED_CELL]
    found = pd.DataFrame(dict(
        arm=[cell.name for cell in cells] * 2, metric=["auc"] * 3 + ["inside_ssim"] * 3,
        reader=["blurred"] * 3 + [""] * 3, difference=[0.0, 0.0, -0.1, 0.1, 0.1, 0.0],
        low=-0.2, high=0.2, seeds=3,
        verdict=["undecided", "the same", "worse", "better", "better", "the same"],
    ))  # fmt: skip
    auc, ssim, published = figures.study.study_answer(found).split("\n")
    assert "better in **0**, worse in **1** (efficientnet 1), the same in 1, undecided in 1" in auc
    assert "better in **2** (structure 2), worse in **0**" in ssim
    assert "AUC -0.100 [-0.200, +0.200], worse" in published


def test_another_seed_is_another_training_of_the_same_images(dataset):
    rows = dataset.rows("ED1", "holdout")
    recipes = {"cyclegan": TranslatorRecipe(["ED1"], texture=False)}
    first, cuts, looks = judge_seed(dataset, rows, recipes, 0)
    assert {arm: look.shape for arm, look in looks.items()} == {"cyclegan": (len(rows), 1, 32, 32)}
    again, _, _ = judge_seed(dataset, rows, recipes, 0)
    other, others, _ = judge_seed(dataset, rows, recipes, 5)
    pd.testing.assert_frame_equal(first, again)
    assert list(first["id"]) == list(other["id"])
    assert set(other["seed"]) == {5}
    assert set(cuts) == set(others) == set(first["arm"])
    for arm in ("grey", "cyclegan"):
        a, b = (table.loc[table["arm"] == arm, "score"] for table in (first, other))
        assert not a.equals(b)
