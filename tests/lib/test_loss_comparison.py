"""The comparison of texture losses and weight rules, and arms over seeds, on small phantoms."""

import pandas as pd
import pytest

from engine.errors import InputError
from lib.evaluation import loss_comparison
from lib.evaluation.metrics import METRICS, combine_folds
from lib.evaluation.repeats import (
    differences_over_seeds,
    judge_seed,
    metrics_by_seed,
    metrics_over_seeds,
)
from lib.figures import seed_dots
from lib.figures.verdicts import difference_verdict
from lib.models.fitting import TranslatorRecipe
from lib.models.texture import LOSSES
from lib.studies.embryo import STUDY, EmbryoParameters

GIVEN = dict(
    texture_network="tf_efficientnet_lite0", texture_network_weights="imagenet",
    texture_loss="mind", texture_weight=0.03,
)  # fmt: skip


@pytest.fixture(scope="module")
def params():
    return EmbryoParameters(**GIVEN)


def test_every_loss_and_rule_is_a_variant(params):
    table = loss_comparison.factors(params).set_index("arm")
    assert table.index.is_unique
    assert {"none", *LOSSES} == set(table["loss"])
    assert table.loc["imagenet_early"].tolist() == ["imagenet_early", "gradient_ratio", "inductive"]
    rules = table.loc[table["loss"] == "mind", "weight rule"]
    assert {"constant", "linear", "gradient_ratio", "constrained"} == set(rules)
    assert set(table["translator"]) == {"inductive", "transductive"}
    assert table.loc["published"].tolist() == ["efficientnet", "linear", "inductive"]


def test_variants_differ_in_one_factor(params):
    history = pd.DataFrame(dict(texture_weight=[0.1, 0.3], texture=[9.0, 0.5]))
    recipes = loss_comparison.loss_recipes(params) | loss_comparison.rule_recipes(params, history)
    assert [*recipes] == loss_comparison.factors(params)["arm"].tolist() or set(recipes) == set(
        loss_comparison.factors(params)["arm"]
    )
    assert set(loss_comparison.against(params)) == set(recipes) - {"none"}
    for name, recipe in recipes.items():
        changed = set(recipe.changes) - {"texture_weight", "texture_final_weight", "texture_bound"}
        assert len(changed) <= 1 or name == "published" or name.endswith("transductive")
    linear = recipes["mind_linear"].changes
    mean = (linear["texture_weight"] + linear["texture_final_weight"]) / 2
    assert mean == pytest.approx(0.2)  # that of the history
    assert recipes["mind_constant"].changes["texture_weight"] == pytest.approx(0.2)
    assert recipes["mind_constrained"].changes["texture_bound"] == 0.5


def test_a_study_without_a_loss_is_refused(params):
    for change in (dict(texture_loss="none"), dict(texture_rule="linear")):
        with pytest.raises(InputError, match="gradient_ratio"):
            loss_comparison.loss_recipes(params.model_copy(update=change))


def test_a_study_is_refused_before_it_runs_where_the_published_loss_has_no_weights(dataset):
    given = dict(loss_study=True, texture_loss="mind", texture_network_weights="")
    small = dataset.with_params(**given)
    with pytest.raises(InputError, match=r"notebook 03.*\n.*texture_network_weights"):
        STUDY.check(small.params, small.source)
    small = dataset.with_params(**given | GIVEN)
    STUDY.check(small.params, small.source)


def test_study_runs_from_images_to_verdict(dataset, params):
    small = dataset.with_params(**GIVEN)
    rows = small.rows("ED1", "holdout")
    predictions, limits, fidelity = loss_comparison.train_study(small, rows, [0, 1])
    variants = set(loss_comparison.factors(params)["arm"])
    assert set(predictions["arm"]) == set(fidelity["arm"]) == variants
    assert len(limits) == 2 * len(variants)
    combined = combine_folds(predictions)
    over, single = metrics_over_seeds(combined, limits), metrics_by_seed(combined, limits)
    means = single.groupby("arm")[list(METRICS)].mean()
    for row in over.itertuples():
        assert row.value == pytest.approx(means.loc[row.arm, row.metric])
        assert (row.seeds, row.n) == (2, len(rows))
    held = differences_over_seeds(combined, limits, loss_comparison.against(params))
    assert set(held["arm"]) == variants - {"none"}
    assert held.set_index("arm").loc["mind_transductive", "against"].eq("mind").all()
    assert "none" in difference_verdict(held)
    seed_dots(over, single, "synthetic phantom", "ED1")


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
