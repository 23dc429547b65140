"""What a call is worth: against published numbers, formulas written out, and exact coverage."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm
from statsmodels.stats.proportion import proportion_confint

from engine.errors import InputError
from engine.parameters import check_params
from lib.evaluation.decision import (
    MEASURES,
    CallCounts,
    as_facts,
    by_prevalence,
    count_arms,
    count_calls,
    decision_table,
    decision_values,
    design_effect,
    from_facts,
    misses,
)
from lib.evaluation.natural_frequencies import COHORTS, natural_frequencies
from lib.figures.verdicts import decision_words
from lib.studies.embryo import EmbryoParameters

# Altman & Bland 1994, BMJ 309:102: liver scans against pathology.
LIVER = CallCounts(tp=231, fn=27, tn=54, fp=32)
PARAMS = EmbryoParameters()


def values(counts, prevalence=None):
    return decision_values(counts, prevalence).set_index("metric")


def table(label, score, group=None):
    names = [f"image{i}" for i in range(len(label))]
    return pd.DataFrame(
        dict(id=names, arm="grey", label=label, score=score, group=group or names)
    )  # fmt: skip


def test_predictive_values_are_those_that_altman_and_bland_print():
    assert values(LIVER)["value"].round(2).to_dict() == dict(
        sensitivity=0.90, specificity=0.63, ppv=0.88, npv=0.67
    )
    elsewhere = values(LIVER, 0.25)["value"].round(2)
    assert (elsewhere["ppv"], elsewhere["npv"]) == (0.45, 0.95)


@pytest.mark.parametrize("stopped", [(0, 0), (30, 4)])
def test_at_the_prevalence_of_the_sample_they_are_plain_shares(stopped):
    found = values(CallCounts(231, 27, 54, 32, *stopped))
    assert found.loc["ppv", "value"] == pytest.approx(231 / (231 + 32))
    assert found.loc["npv", "value"] == pytest.approx(54 / (54 + 27))
    assert found["n"].tolist() == [258, 86, 344, 344]
    for metric, (count, n) in dict(sensitivity=(231, 258), specificity=(54, 86)).items():
        limits = proportion_confint(count, n, method="wilson")
        assert found.loc[metric, ["low", "high"]].tolist() == pytest.approx(limits)


def test_a_gate_that_stops_one_class_changes_what_a_call_is_worth():
    """By Bayes with the share of each class that is called and passes; checked on 10 000 images."""
    found = values(CallCounts(60, 20, 30, 10, stopped_positive=20, stopped_negative=60), 0.5)
    assert found.loc["sensitivity", "value"] == pytest.approx(60 / 80)
    assert found.loc["ppv", "value"] == pytest.approx(5000 * 0.6 / (5000 * 0.6 + 5000 * 0.1))
    assert found.loc["npv", "value"] == pytest.approx(5000 * 0.3 / (5000 * 0.3 + 5000 * 0.2))


def mercaldo(counts, prevalence):
    """Logit intervals of PPV and NPV: Mercaldo, Lau & Zhou 2007, equations 8 to 11."""
    z, n1, n0 = norm.isf(0.025), counts.tp + counts.fn, counts.tn + counts.fp
    se, sp = counts.tp / n1, counts.tn / n0
    ppv = np.log(se * prevalence / ((1 - sp) * (1 - prevalence)))
    npv = np.log(sp * (1 - prevalence) / ((1 - se) * prevalence))
    halves = (
        z * np.sqrt((1 - se) / se / n1 + sp / (1 - sp) / n0),
        z * np.sqrt(se / (1 - se) / n1 + (1 - sp) / sp / n0),
    )
    return [[1 / (1 + np.exp(-(middle + side))) for side in (-half, half)]
            for middle, half in zip((ppv, npv), halves, strict=True)]  # fmt: skip


@pytest.mark.parametrize("prevalence", [0.05, 0.25, 0.75])
def test_intervals_are_nearly_the_logit_intervals_where_every_call_occurs(prevalence):
    ours = values(LIVER, prevalence).loc[["ppv", "npv"], ["low", "high"]].to_numpy()
    assert ours == pytest.approx(np.array(mercaldo(LIVER, prevalence)), abs=0.01)


@pytest.mark.parametrize(
    ("sensitivity", "specificity"), [(0.9, 0.85), (0.98, 0.95), (0.7, 0.6), (0.95, 0.05)]
)
def test_predictive_values_are_covered_as_often_as_promised(sensitivity, specificity):
    """Exact: over every table that 30 and 20 images can give, with its probability."""
    n1, n0, prevalence = 30, 20, 0.3
    truth = dict(
        ppv=sensitivity * prevalence
        / (sensitivity * prevalence + (1 - specificity) * (1 - prevalence)),
        npv=specificity * (1 - prevalence)
        / (specificity * (1 - prevalence) + (1 - sensitivity) * prevalence),
    )  # fmt: skip
    covered = dict(ppv=[], npv=[])
    for tp in range(n1 + 1):
        for tn in range(n0 + 1):
            weight = binom.pmf(tp, n1, sensitivity) * binom.pmf(tn, n0, specificity)
            if weight < 1e-4:
                continue
            found = values(CallCounts(tp, n1 - tp, tn, n0 - tn), prevalence)
            for metric, true in truth.items():
                row = found.loc[metric]
                if not np.isnan(row["value"]):
                    covered[metric].append((weight, row["low"] <= true <= row["high"]))
    for metric, hits in covered.items():
        weight, inside = np.array(hits).T
        assert weight @ inside / weight.sum() > 0.92, metric


@pytest.mark.parametrize(
    "counts", [(20, 0, 10, 3), (20, 3, 10, 0), (20, 0, 10, 0), (20, 0, 0, 10), (0, 20, 10, 3)]
)
def test_where_a_call_does_not_occur_the_interval_still_has_a_width(counts):
    found = values(CallCounts(*counts), 0.4).dropna()  # what is never called has no value
    assert len(found) >= 3
    assert (found["low"] <= found["value"] + 1e-12).all()
    assert (found["value"] <= found["high"] + 1e-12).all()
    assert (found["high"] - found["low"] > 0.01).all()
    assert found[["low", "high"]].stack().between(0, 1).all()


def test_what_cannot_be_known_is_not_a_number():
    nobody = values(CallCounts(0, 0, 10, 2), 0.4)
    assert nobody.loc[["sensitivity", "ppv", "npv"], "value"].isna().all()
    assert nobody.loc["specificity", "value"] == pytest.approx(10 / 12)
    never = values(CallCounts(0, 5, 10, 0))
    assert never["value"].isna().to_dict() == dict(
        sensitivity=False, specificity=False, ppv=True, npv=False
    )


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 40.0])
def test_an_impossible_prevalence_is_refused(prevalence):
    for use in (decision_values, natural_frequencies):
        with pytest.raises(InputError, match=r"not between 0 and 1. Give the share of positives"):
            use(LIVER, prevalence)
    with pytest.raises(InputError, match="prevalence"):
        check_params(dict(prevalence=prevalence), "test")


def test_calls_are_counted_with_and_without_gate():
    label = np.array([1, 1, 1, 1, 0, 0, 0])
    score = np.array([0.9, 0.5, 0.4, 0.9, 0.6, 0.1, 0.2])
    passes = np.array([True, True, True, False, True, True, False])
    arms = pd.concat([table(label, score), table(label, 1 - score).assign(arm="other")])
    found = count_arms(arms, dict(grey=0.5, other=0.5), dict(grey=passes))
    assert found["grey"]["all"] == CallCounts(tp=3, fn=1, tn=2, fp=1)
    assert found["grey"]["passed"] == CallCounts(2, 1, 1, 1, 1, 1)
    assert found["other"] == {"all": CallCounts(tp=2, fn=2, tn=1, fp=2)}
    printed = decision_table(found, 0.4)
    assert printed.groupby(["images", "arm"], sort=False).size().to_dict() == {
        ("all", "grey"): 4, ("all", "other"): 4, ("passed", "grey"): 4,
    }  # fmt: skip
    assert set(printed["prevalence"]) == {0.4}
    assert tuple(printed["metric"][:4]) == MEASURES


def test_images_that_are_there_k_times_in_a_group_count_once():
    rng = np.random.default_rng(0)
    label, score = np.arange(60) % 2, rng.random(60)
    once = table(label, score)
    thrice = pd.concat([once] * 3, ignore_index=True)
    single, tripled = (values(count_calls(each, 0.5)) for each in (once, thrice))
    limits = ["value", "low", "high"]
    assert tripled[limits].to_numpy() == pytest.approx(single[limits].to_numpy(), abs=0.004)
    assert tripled["n"].tolist() == (3 * single["n"]).tolist()


def test_where_nothing_is_missed_every_group_counts_as_one_image():
    hit = np.ones(40, dtype=bool)
    assert design_effect(hit, np.arange(40) // 4) == 4
    assert design_effect(hit, np.zeros(40)) == 40
    assert design_effect(np.arange(40) % 2 == 0, np.zeros(40)) == 40
    assert design_effect(hit, np.arange(40)) == 1


def test_a_sensitivity_of_grouped_images_is_covered():
    """30 groups of 8 images, missed more in some than in others; ungrouped it would not be."""
    rng, inside, plain = np.random.default_rng(0), 0, 0
    group = np.repeat(np.arange(30), 8)
    for _ in range(300):
        hit = rng.random(240) < np.repeat(rng.beta(4, 1, 30), 8)
        predictions = table(np.ones(240, int), hit.astype(float), group.tolist())
        row = values(count_calls(predictions, 0.5), 0.5).loc["sensitivity"]
        inside += row["low"] <= 0.8 <= row["high"]
        low, high = proportion_confint(hit.sum(), 240, method="wilson")
        plain += low <= 0.8 <= high
    assert inside / 300 > 0.92
    assert plain / 300 < 0.88


@pytest.mark.parametrize("prevalence", [None, 0.004, 0.1, 0.333, 0.5, 0.999])
@pytest.mark.parametrize("counts", [(231, 27, 54, 32), (7, 1, 2, 2, 3, 1), (300, 1, 200, 0)])
def test_natural_frequencies_add_up_and_lose_nothing_that_happens(counts, prevalence):
    counts = CallCounts(*counts)
    found = natural_frequencies(counts, prevalence)
    cohort = int(found["count"].sum())
    prior = counts.prevalence if prevalence is None else prevalence
    assert cohort in COHORTS
    assert found.loc[1, "count"].sum() == pytest.approx(prior * cohort, abs=0.501)
    for label in (0, 1):
        exact = found.loc[label, "count"].sum() * np.array(counts.of(label))
        shares = exact / sum(counts.of(label))
        assert found.loc[label, "count"].to_numpy() == pytest.approx(shares, abs=1)
        happens = np.array(counts.of(label)) > 0
        called = happens & [True, True, False]
        assert not found.loc[label, "count"][~happens].any()
        assert cohort == 10_000 or found.loc[label, "count"][called].all()
    assert (found["low"] <= found["count"]).all()
    assert (found["count"] <= found["high"]).all()
    assert (found % 1 == 0).all().all()


def test_of_a_hundred_unless_a_rare_miss_would_be_lost():
    assert natural_frequencies(CallCounts(180, 20, 90, 10))["count"].sum() == 100
    assert natural_frequencies(CallCounts(299, 1, 90, 10))["count"].sum() == 1000


def test_a_gate_that_hardly_stops_any_does_not_make_a_thousand():
    found = natural_frequencies(CallCounts(180, 20, 90, 10, 1, 1))
    assert found["count"].sum() == 100
    words = decision_words(CallCounts(180, 20, 90, 10, 3, 0), None, "grey", PARAMS)
    assert "The gate stops 1 of them." in words
    assert "others the gate" not in words


def test_words_say_the_numbers_of_the_table():
    words = decision_words(CallCounts(180, 20, 90, 10), None, "cyclegan_texture", PARAMS)
    assert words.startswith(
        "Of 100 embryos, 67 are blastocysts. CycleGAN + texture calls 60 of them blastocyst and "
        "misses 7 (4 to 11). Of the 33 others 3 are wrongly called blastocyst (1 to 6). Of the 63 "
        "called blastocyst, 60 rightly so: PPV 0.947 [0.911, 0.970]. "
    )
    assert "gate" not in words
    gated = decision_words(CallCounts(180, 0, 90, 10, 20, 5), 0.5, "grey", PARAMS)
    assert (
        "The gate stops 5 of them. grey calls 45 of them blastocyst and misses none (0 to " in gated
    )
    assert "Of the 50 others the gate stops 2; 5 are wrongly" in gated
    few, most = (decision_words(CallCounts(9, 0, 9, 0), p, "raw", PARAMS) for p in (0.01, 0.99))
    assert ", 1 is a blastocyst." in few
    assert "Of the 1 other none are" in most


def test_words_never_print_what_is_not_known():
    never = decision_words(CallCounts(0, 5, 10, 0), 0.2, "raw", PARAMS)
    assert "calls none of them blastocyst" in never
    assert "Nothing is called blastocyst: there is no PPV." in never
    one_class = decision_words(CallCounts(4, 1, 0, 0), 0.2, "raw", PARAMS)
    assert one_class == "Not known: the hold-out has no image of class no blastocyst."
    assert "nan" not in never.lower()


def test_classes_of_a_table_keep_their_names():
    own = EmbryoParameters(
        data_kind="table", data_dir="own", positive_label="abnormal", negative_label="normal"
    )
    words = decision_words(LIVER, 0.25, "grey", own)
    assert words.startswith(
        "Of 100 images, 25 are of class abnormal. grey calls 22 of them abnormal"
    )


def test_curves_pass_through_the_values_of_the_table():
    curve = by_prevalence(dict(grey=dict(all=LIVER)))
    assert set(curve["metric"]) == {"ppv", "npv"}
    for row in curve.iloc[::17].itertuples():
        assert values(LIVER, row.prevalence).loc[row.metric, "value"] == row.value
    rising = curve[curve["metric"] == "ppv"]["value"].diff().dropna()
    assert (rising > 0).all()


def test_misses_are_listed_surest_first():
    label = np.array([1, 1, 0, 0, 1, 0])
    score = np.array([0.3, 0.9, 0.6, 0.1, 0.1, 0.95])
    gate, passes = np.arange(6) / 10, np.arange(6) < 5
    found = misses(table(label, score), 0.5, gate, passes)
    assert found["place"].tolist() == [4, 0, 5, 2]
    assert found["kind"].tolist() == ["false negative"] * 2 + ["false positive"] * 2
    assert found["passes"].tolist() == [True, True, False, True]
    assert found["gate"].tolist() == [0.4, 0.0, 0.5, 0.2]
    assert misses(table(label, label.astype(float)), 0.5, gate, passes).empty


def test_counts_travel_as_facts():
    kept = dict(all=LIVER, passed=CallCounts(200, 20, 50, 30, 38, 6, 1.7, 1.0))
    facts = json.loads(json.dumps(dict(decision=as_facts(kept, 0.3))))
    assert from_facts(facts) == (kept, 0.3)
    assert from_facts(dict(target_images=12)) == ({}, None)
