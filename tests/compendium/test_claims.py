"""Published claims: what is read, recovered, judged, and whether a verdict can change at all."""

import gzip
import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

from compendium.claims.arithmetic import (
    Confusion,
    accuracy_p_limits,
    auc_interval,
    auc_limits,
    fitting_confusions,
    read_printed,
)
from compendium.claims.book import load_claims
from compendium.claims.consistency import Arithmetic
from compendium.claims.evidence import Evidence, read_evidence
from compendium.claims.judgement import judge
from compendium.claims.mutants import EVIDENCE, run_mutants
from compendium.claims.report import claims_of, write_claims
from engine.errors import InputError
from engine.paths import ROOT
from engine.results import Finished

QUICK = ROOT / "results" / "reference" / "quick"


@pytest.fixture(scope="module")
def book():
    return load_claims()


def evidence(book, gain=0.6, synthetic=False, n=300, seeds=1, luck=0.0) -> Evidence:
    """Predictions in which translation helps by ``gain``, for every number a claim asks for.

    With several ``seeds`` the gain of each differs by ``luck``.
    """
    rng, lucky = np.random.default_rng(0), np.random.default_rng(1)
    wanted, overlaps, counts = {}, {}, {}
    for claim in book.claims:
        keys = getattr(claim, "here", None) or ()
        for key in [keys] if isinstance(keys, str) else keys:
            if key.count(".") == 2:
                counts[key] = int(claim.published)
                continue
            notebook, domain, arm, metric = key.split(".")
            kind = overlaps if metric == "dice" else wanted
            kind.setdefault((notebook, domain), set()).add(arm)
    label = np.tile([0, 1], n // 2)
    hard = rng.normal(size=n)
    tables, thresholds = {}, {}
    for (notebook, domain), arms in wanted.items():
        parts = []
        for arm, seed in itertools.product(sorted(arms), range(seeds)):
            own = gain + luck * lucky.normal()
            reach = {"cyclegan_texture": 1 + own, "cyclegan": 1 + own / 2}.get(arm, 1.0)
            logits = 1.5 * reach * (label - 0.5) + 0.5 * hard + 0.3 * rng.normal(size=n)
            ids = [f"{domain}/{i}" for i in range(n)]
            parts.append(pd.DataFrame(dict(
                id=ids, arm=arm, seed=seed, fold=-1, label=label, group=ids,
                score=1 / (1 + np.exp(-logits)),
            )))  # fmt: skip
            thresholds[notebook, domain, arm, seed] = 0.5
        tables[notebook, domain] = pd.concat(parts, ignore_index=True)
    fake = frozenset({"ed1", "ed3", "ed4", "gel"} if synthetic else ())
    places = [f"{number}" for number in range(24)]
    frames = [f"{number // 4}" for number in range(24)]
    measured = {
        key: pd.concat([
            pd.DataFrame(dict(
                id=places, group=frames, arm=arm, seed=seed,
                dice=0.2 + 0.03 * height + rng.uniform(0, 0.1, 24),
            ))
            for (height, arm), seed in itertools.product(enumerate(sorted(arms)), range(seeds))
        ])
        for key, arms in overlaps.items()
    }  # fmt: skip
    return Evidence("paper", "stored", tables, thresholds, fake, counts, measured)


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [("0.9655", 0.9655, 5e-5), ("82.09 %", 0.8209, 5e-5), ("72 %", 0.72, 5e-3), 
     (".7162", 0.7162, 5e-5),
     ("2440", 2440, 0.5)],
)  # fmt: skip
def test_printed_numbers_carry_their_rounding(text, value, half):
    printed = read_printed(text)
    assert printed.value == pytest.approx(value)
    assert printed.half_unit == pytest.approx(half)
    with pytest.raises(InputError, match="no printed number"):
        read_printed("about 0.9")


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.floats(0, 1))
def test_the_true_confusion_is_always_among_those_recovered(negatives, positives, a, b):
    """Oracle: scikit-learn's metrics, printed to four digits."""
    true = Confusion(
        round(a * negatives), negatives - round(a * negatives),
        positives - round(b * positives), round(b * positives),
    )  # fmt: skip
    table = true.predictions()
    called = (table["score"] >= 0.5).astype(int)
    metrics = dict(
        accuracy=(called == table["label"]).mean(),
        balanced_accuracy=balanced_accuracy_score(table["label"], called),
        f1=f1_score(table["label"], called), kappa=cohen_kappa_score(table["label"], called),
    )  # fmt: skip
    if not (true.tp or true.fp) or not np.isfinite(list(metrics.values())).all():
        return  # F1 has no meaning where nothing is called or right
    printed = {name: read_printed(f"{value:.4f}") for name, value in metrics.items()}
    assert true in fitting_confusions(printed, [(negatives, positives)])


def test_the_matrices_that_the_study_printed_are_recovered_from_its_metrics(book):
    arithmetic = Arithmetic(book)
    for claim in book.claims:
        if getattr(claim, "matrix", None):
            (table,) = arithmetic.tables[claim.table]
            assert ((table.tn, table.fp), (table.fn, table.tp)) == claim.matrix


def test_label_rule_of_the_study_is_told_by_its_own_figures(book):
    """ED1 counted as 90/206 fits every printed figure, as 99/197 none."""
    for table, fitting in Arithmetic(book).tables.items():
        if table.startswith("s1.ed1."):
            assert [(c.tn + c.fp, c.fn + c.tp) for c in fitting] == [(90, 206)]


def test_auc_limits_hold_for_scores_with_that_confusion():
    rng = np.random.default_rng(0)
    for _ in range(50):
        label = rng.permutation(np.repeat([0, 1], [30, 50]))
        score = rng.random(80) + rng.random() * label
        called = score >= 0.9
        if called.all() or not called.any():
            continue
        c = Confusion(
            int((~called & (label == 0)).sum()), int((called & (label == 0)).sum()),
            int((~called & (label == 1)).sum()), int((called & (label == 1)).sum()),
        )  # fmt: skip
        auc = (score[label == 1][:, None] > score[label == 0]).mean()
        low, high = auc_limits(c)
        assert low - 1e-12 <= auc <= high + 1e-12


def test_auc_interval_is_that_of_the_published_example():
    """Hanley & McNeil 1982, table II: AUC 0.893, 58 normal and 51 abnormal, SE 0.032."""
    low, high = auc_interval(0.893, 58, 51)
    assert (high - low) / (2 * 1.959964) == pytest.approx(0.032, abs=0.002)


def test_mcnemar_limits_enclose_every_pairing():
    from statsmodels.stats.contingency_tables import mcnemar

    rng = np.random.default_rng(1)
    label = np.repeat([0, 1], [20, 30])
    a, b = Confusion(15, 5, 6, 24), Confusion(18, 2, 3, 27)
    low, high = accuracy_p_limits(a, b)
    for _ in range(200):
        right = []
        for c in (a, b):
            correct = np.zeros(50, bool)
            correct[rng.choice(np.flatnonzero(label == 0), c.tn, replace=False)] = True
            correct[rng.choice(np.flatnonzero(label == 1), c.tp, replace=False)] = True
            right.append(correct)
        x, y = right
        table = [[(x & y).sum(), (x & ~y).sum()], [(~x & y).sum(), (~x & ~y).sum()]]
        assert low - 1e-12 <= mcnemar(table, exact=True).pvalue <= high + 1e-12


def test_claims_cover_the_five_documents(book):
    values = [claim for claim in book.claims if claim.type == "value"]
    assert len(values) >= 60
    assert {claim.system for claim in values} == {"S1", "S2", "S3", "S4", "S5"}
    assert {claim.type for claim in book.claims} == {"value", "difference", "ordering", "interval"}


def test_text_that_contradicts_its_own_table_is_called_inconsistent(book):
    verdicts = {v.claim: v.verdict for v in judge(book, None)}
    assert verdicts["s3.empty_helps"] == verdicts["s3.empty_helps_aug"] == "inconsistent"
    assert verdicts["s5.resnet.precision"] == "inconsistent"
    assert verdicts["s1.table1.mean"] == verdicts["s5.plain.f1"] == "reproduced"


def test_synthetic_images_never_reproduce_a_published_figure(book):
    for synthetic in (True, False):
        verdicts = [
            v for v in judge(book, evidence(book, synthetic=synthetic)) if v.rung == "stored"
        ]
        given = {v.verdict for v in verdicts}
        assert ("reproduced" in given) != synthetic
        assert verdicts
    smoke = evidence(book)
    smoke.profile = "smoke"
    assert "reproduced" not in {v.verdict for v in judge(book, smoke) if v.rung == "stored"}


def test_direction_and_its_opposite(book):
    for gain, expected in ((0.6, "direction only"), (-0.9, "contradicted")):
        found = judge(book, evidence(book, gain, synthetic=True))
        verdicts = {v.claim: v for v in found if v.rung == "stored"}
        assert verdicts["s1.ed3.better_auc"].verdict == expected
    few = judge(book, evidence(book, 0.05, synthetic=True, n=60))
    undecided = {v.claim: v for v in few if v.rung == "stored"}["s1.ed3.better_auc"]
    assert undecided.verdict == "inconclusive"
    assert "images would decide it" in undecided.why


@pytest.mark.parametrize("gain", [0.6, -0.6])
def test_two_methods_with_the_same_scores_are_no_measurement(book, gain):
    """Whatever the texture loss does, a run in which it was off says nothing of it."""
    own = evidence(book, gain)
    before = {v.claim: v.verdict for v in judge(book, own) if v.rung == own.rung}
    off = EVIDENCE["texture weight zeroed"](own)
    (verdict,) = (v for v in judge(book, off) if v.claim == "s1.ed1.texture" and v.rung == own.rung)
    assert before["s1.ed1.texture"] in ("reproduced", "contradicted")
    assert verdict.verdict == "not run"
    assert "the same scores" in verdict.why


def test_two_perfect_methods_do_not_differ(book):
    """Other scores and the same metric: that the one is better is contradicted."""
    own = evidence(book)
    tables = {
        key: table.assign(score=(table["label"] + table["score"]) / 2)
        for key, table in own.predictions.items()
    }
    found = judge(book, replace(own, predictions=tables))
    (verdict,) = (v for v in found if v.claim == "s1.ed1.texture" and v.rung == own.rung)
    assert (verdict.verdict, verdict.why) == ("contradicted", "no difference at all")


def test_every_mutant_changes_a_verdict(book):
    """Where everything can be answered; each spoilt figure and table must be noticed."""
    outcomes, vacuous = run_mutants(book, evidence(book))
    assert len(outcomes) >= 15
    assert [outcome.mutant for outcome in outcomes if not outcome.changed] == []
    assert vacuous == []
    synthetic = evidence(book, synthetic=True)
    real = EVIDENCE["synthetic images taken for real"](synthetic)
    assert [v.verdict for v in judge(book, real)] != [v.verdict for v in judge(book, synthetic)]


@pytest.fixture
def kept(tmp_path):
    folder = tmp_path / "reference" / "quick"
    shutil.copytree(QUICK, folder, ignore=shutil.ignore_patterns("*.ipynb", "figures"))
    return folder


def test_kept_predictions_are_judged_and_written(kept):
    verdicts = write_claims(kept)
    assert {v.rung for v in verdicts} == {"arithmetic", "stored", "none"}
    assert json.loads((kept / "claims.json").read_text())[0]["claim"] == verdicts[0].claim
    text = (kept / "claims.md").read_text()
    assert "s1.ed1.gain_auc" in text
    own = claims_of(Finished("04_evaluation", kept / "04_evaluation"))
    assert {"s1.ed1.adapted30.auc", "s1.ed1.gain_auc"} <= set(own["claim"])
    audit = claims_of(Finished("01_data_audit", kept / "01_data_audit"))
    assert set(audit["rung"]) == {"arithmetic", "none"}  # phantoms are not the published images


def test_numbers_recomputed_from_predictions_are_those_kept(kept):
    metrics = json.loads((kept / "metrics.json").read_text())
    found = read_evidence(kept)
    key = "04_evaluation.ed1.cyclegan_texture.balanced_accuracy"
    ours = found.number(key)
    assert [ours.value, ours.low, ours.high] == pytest.approx(
        [metrics[key][name] for name in ("value", "low", "high")]
    )


def test_edited_predictions_are_noticed(kept):
    path = kept / "04_evaluation" / "predictions" / "ed1.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b",1,", b",0,", 1)))
    with pytest.raises(InputError, match=r"ed1\.csv.*SHA-256"):
        read_evidence(kept)


def test_wrong_input_is_named(tmp_path):
    with pytest.raises(InputError, match="no such results folder"):
        read_evidence(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no predictions"):
        read_evidence(tmp_path / "empty")
    with pytest.raises(InputError, match="no such claims file"):
        load_claims(tmp_path / "none.yaml")
    path = tmp_path / "claims.yaml"
    head = "systems: {S1: one}\nclaims:\n"
    one = "- {id: a, system: S1, where: here, what: it, "
    for entry, message in (
        (one + 'type: opinion, published: "1"}', r"claim a: unknown type 'opinion'"),
        (one + 'type: value, metric: auc, published: "high"}', "'high' is no printed number"),
        (one + 'type: value, metric: auc, published: "1", colour: red}', "claim a: .*colour"),
        (one + "type: interval, low: 1, high: 2, of: b}", "'b' is no claim of type value"),
        ("[1, 2", "not a claims file"),
    ):
        path.write_text(head + entry)
        with pytest.raises(InputError, match=message):
            load_claims(path)


def test_several_seeds_are_judged_together(book):
    """Seeds that differ widen the interval, and the verdict then asks for more of them."""
    key = "04_evaluation.ed1.cyclegan_texture.auc"
    one, alike, unlike = (
        evidence(book, 0.3, n=200, seeds=seeds, luck=luck)
        for seeds, luck in ((1, 0.0), (4, 0.0), (4, 1.5))
    )
    assert one.number(key).seeds == 1
    assert alike.number(key).seeds == unlike.number(key).seeds == 4
    width = {name: found.number(key).high - found.number(key).low
             for name, found in (("alike", alike), ("unlike", unlike))}  # fmt: skip
    assert width["unlike"] > 1.5 * width["alike"]
    assert unlike.number(key).training_share > 0.5 > alike.number(key).training_share
    why = [v.why for v in judge(book, unlike) if v.verdict == "inconclusive"]
    assert any("seeds would decide" in words for words in why)
