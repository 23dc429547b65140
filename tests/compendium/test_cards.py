"""Cards: every figure is one of the tables, and without its tables there is no card."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from compendium.cards import DATA_CARD, audit_of, data_card, write_cards
from compendium.readme import REFERENCE
from engine.errors import InputError
from engine.parameters import check_params
from engine.results import Finished
from lib.evaluation.decision import CallCounts, as_facts
from lib.figures.style import METRIC_NAMES, arm_name
from lib.figures.verdicts import decision_words
from lib.models.bundle import Bundle, load_bundle, save_bundle
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import CycleGAN
from lib.models.gate import Gate
from lib.models.networks import build_network
from lib.studies.embryo import EmbryoParameters

AUDIT, JUDGED = "01_data_audit", "04_evaluation"
KEPT = sorted(path.parent for path in REFERENCE.glob(f"*/{DATA_CARD}"))


def make_bundle(params, arm: str) -> Bundle:
    torch.manual_seed(0)
    networks = [build_network(params.classifier, 1, "").eval() for _ in range(2)]
    ensemble = FoldEnsemble(networks, [Calibration(1.2, 0.1, 0.05, 0.5, 1.0)] * 2)
    size = params.image_size
    stack = torch.randint(0, 256, (24, 1, size, size), dtype=torch.uint8)
    gate = Gate.fit(ensemble, stack, np.arange(24) % 2)
    generator = CycleGAN(params).to_source.eval()
    return Bundle(params, params.target_domain, arm, generator, gate)


class Results:
    """The kept tables of the smoke profile, with translators beside them."""

    def __init__(self, folder):
        self.folder = folder
        for name in (AUDIT, JUDGED):
            shutil.copytree(REFERENCE / "smoke" / name, folder / name)
        for card in folder.rglob("*.md"):
            card.unlink()
        self.write()

    def write(self, facts=None, **changes):
        """Put ``changes`` of the parameters into the records, and translators made with them."""
        for name in (AUDIT, JUDGED):
            path = self.folder / name / "run.json"
            record = json.loads(path.read_text())
            record["parameters"] |= changes
            path.write_text(json.dumps(record))
        params = check_params(record["parameters"], "test")
        for arm in ("cyclegan", "cyclegan_texture"):
            path = self.folder / JUDGED / "models" / f"{arm}.safetensors"
            save_bundle(path, replace(make_bundle(params, arm), facts=facts or {}))

    def path(self, notebook, name):
        return self.folder / notebook / "tables" / f"{name}.csv"

    def table(self, notebook, name):
        return Finished(notebook, self.folder / notebook).table(name)

    def change(self, notebook, name, **values):
        self.table(notebook, name).assign(**values).to_csv(self.path(notebook, name), index=False)

    def cards(self):
        return {path.name: path.read_text() for path in write_cards(self.folder, "d" * 64)}


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "smoke")


def rows_of(card, *beginning):
    """Cells of the lines of all tables in ``card`` that begin with these cells."""
    lines = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("|")]
    return [cells[len(beginning) :] for cells in lines if cells[: len(beginning)] == [*beginning]]


def printed(row):
    return f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"


def test_a_card_lies_beside_every_translator_and_one_for_the_images(results):
    cards = results.cards()
    assert set(cards) == {DATA_CARD, "cyclegan.md", "cyclegan_texture.md"}
    assert (results.folder / JUDGED / "models" / "cyclegan.md").is_file()
    assert (results.folder / DATA_CARD).is_file()


def test_performance_is_that_of_table_2_at_the_frozen_threshold(results):
    card = results.cards()["cyclegan.md"]
    table = results.table(JUDGED, "table_2").query("protocol == 'frozen'")
    for arm, own in table.groupby("arm"):
        name = "**CycleGAN**" if arm == "cyclegan" else arm_name(arm)
        own = own.set_index("metric")
        wanted = [printed(own.loc[metric]) for metric in METRIC_NAMES] + [str(own["n"].iloc[0])]
        assert wanted in rows_of(card, name)


def test_what_a_call_is_worth_is_that_of_its_table_and_said_in_words(results):
    cards = results.cards()
    assert "In words: not known, this file was kept without the counts." in cards["cyclegan.md"]
    counts = dict(all=CallCounts(80, 20, 45, 5), passed=CallCounts(70, 10, 40, 2, 20, 8))
    results.write(facts=dict(decision=as_facts(counts, 0.25)))
    card = results.cards()["cyclegan_texture.md"]
    own = results.table(JUDGED, "decision").query("arm == 'cyclegan_texture'")
    shown = rows_of(card, "every image called", "CycleGAN + texture")
    assert shown == [[printed(row) for row in own.query("images == 'all'").itertuples()]]
    assert rows_of(card, "images that the gate passes", "CycleGAN + texture")
    assert rows_of(card, "every image called", "oracle")
    for kept in counts.values():
        assert decision_words(kept, 0.25, "cyclegan_texture", EmbryoParameters()) in card


def test_a_structure_that_is_not_seen_in_the_truth_counts_as_not_measured(results):
    structures = results.table(JUDGED, "structure_judge")["structure"]
    for seen in ([], ["cavity"], ["cavity", "icm"]):
        dice = np.where(structures.isin(seen), 0.9, 0.123)
        results.change(JUDGED, "structure_judge", speaks=structures.isin(seen), value=dice)
        for card in results.cards().values():
            if card.startswith("# Model card"):
                lines = [line for line in card.splitlines() if "**Not measured for" in line]
                said = [line.split("for ")[1].split("*")[0] for line in lines]
                assert said == [name for name in structures.unique() if name not in seen]
                assert all("0.123 [" in line for line in lines)


def test_failures_are_those_of_the_tables(results):
    results.change(JUDGED, "gate", arm="cyclegan_texture")
    card = results.cards()["cyclegan_texture.md"]
    names = {0: "no blastocyst", 1: "blastocyst"}
    for row in results.table(JUDGED, "label_flips").query("arm == 'cyclegan_texture'").itertuples():
        shown = rows_of(card, "CycleGAN + texture", names[row.label])
        assert shown == [[printed(row), str(row.n)]]
    structures = results.table(JUDGED, "structures")
    kept = structures.query("arm == 'cyclegan_texture' and measure != 'dice'")
    for row in kept.itertuples():
        shown = rows_of(card, "CycleGAN + texture", row.structure, row.measure)
        assert shown == [[printed(row), str(row.n)]]
    for row in results.table(JUDGED, "prior_stress").query("arm == 'mix'").itertuples():
        assert rows_of(card, str(row.share), names[row.label]) == [[printed(row), str(row.n)]]
    gate = results.table(JUDGED, "gate")
    assert f"Of {len(gate)} hold-out images it passes {gate['passes'].sum()};" in card
    assert "hold-out images it passes" not in results.cards()["cyclegan.md"]  # not measured for it


def test_numbers_follow_the_tables(results):
    results.change(JUDGED, "table_2", value=0.123, low=0.1, high=0.2)
    results.change(JUDGED, "label_flips", value=0.456, low=0.4, high=0.5)
    results.change(AUDIT, "near_duplicates", same_domain=False)
    cards = results.cards()
    (row,) = rows_of(cards["cyclegan.md"], "grey", "0.123 [0.100, 0.200]")
    assert row[:-1] == ["0.123 [0.100, 0.200]"] * 4
    assert rows_of(cards["cyclegan.md"], "oracle", "blastocyst")[0][0] == "0.456 [0.400, 0.500]"
    near = len(results.table(AUDIT, "near_duplicates"))
    assert f"across domains: {near}." in cards[DATA_CARD]


def test_images_are_counted_from_the_split(results):
    cards = results.cards()
    split = results.table(AUDIT, "split")
    for (domain, part), own in split.groupby(["domain", "split"]):
        counts = [len(own), own["group"].nunique(), *own["label"].value_counts().sort_index()]
        assert rows_of(cards[DATA_CARD], domain, part) == [[str(n) for n in counts]]
    train = split.query("domain == 'ED1' and split == 'train'")
    assert rows_of(cards["cyclegan.md"], "ED1")[0][0] == str(len(train))
    assert "Inductive" in cards["cyclegan.md"]


@pytest.mark.parametrize(("arm", "name"), [("cut", "CUT"), ("fastcut", "FastCUT")])
def test_a_contrastive_translator_says_how_it_was_trained(results, arm, name):
    models = results.folder / JUDGED / "models"
    params = load_bundle(models / "cyclegan.safetensors").params
    save_bundle(models / f"{arm}.safetensors", make_bundle(params, arm))
    for other in ("cyclegan", "cyclegan_texture"):
        (models / f"{other}.safetensors").unlink()
    card = results.cards()[f"{arm}.md"]
    assert card.startswith(f"# Model card: {name}, ED1 to ED4")
    assert f"A {name} generator" in card
    assert rows_of(card, "ED1")  # it saw images of the target, unlike one trained in simulation
    assert rows_of(card, "translator_batch") == [[f"`{params.translator_batch}`"]]
    for foreign in ("cycle_weight", "texture_loss", "translator_rate", "simulated_steps"):
        assert rows_of(card, foreign) == []


def test_a_transductive_translator_says_what_it_saw(results):
    results.write(transductive=True)
    card = results.cards()["cyclegan.md"]
    everything = results.table(AUDIT, "split").query("domain == 'ED1'")
    assert rows_of(card, "ED1")[0][0] == str(len(everything))
    assert "**Transductive**" in card


def test_synthetic_and_real_images_are_told_apart(results):
    for name, card in results.cards().items():
        assert "**Synthetic.**" in card or "on synthetic images.**" in card, name
        assert "**Real**" not in card
    results.write(data_kind="table", data_dir="mine", prior_stress=False)
    cards = results.cards()
    assert not any("ynthetic" in card for card in cards.values())
    assert "**Real** images" in cards[DATA_CARD]
    assert "not known to this compendium" in cards[DATA_CARD]
    assert "Patients are unknown" in cards[DATA_CARD]
    assert cards["cyclegan.md"].count("**not measured**") == 2  # structures, another mix


def test_every_model_card_says_what_it_is_not_for(results):
    for name in ("cyclegan.md", "cyclegan_texture.md"):
        card = results.cards()[name]
        assert "**Not a medical device.**" in card
        assert "It knows ED1 and ED4 only." in card


def test_arms_that_do_as_well_without_it_are_named(results):
    table = results.table(JUDGED, "table_2")
    balanced = table["metric"] == "balanced_accuracy"
    values = table["arm"].map(dict(grey=0.9, cyclegan=0.6, oracle=1.0)).fillna(0.5)
    table.loc[balanced, "value"] = values[balanced]
    table.to_csv(results.path(JUDGED, "table_2"), index=False)
    card = results.cards()["cyclegan.md"]
    assert "No worse without it, by balanced accuracy: grey." in card


@pytest.mark.parametrize(
    ("notebook", "table"),
    [(AUDIT, name) for name in ("integrity", "excluded", "exact_duplicates", "near_duplicates",
                                "name_collisions", "group_leaks", "frames")]
    + [(JUDGED, name) for name in ("table_2", "table_2_seeds", "label_flips", "structures",
                                   "structure_judge",
                                   "prior_stress", "gate", "memorisation", "decision")],
)  # fmt: skip
def test_without_its_tables_there_is_no_card(results, notebook, table):
    results.path(notebook, table).unlink()
    with pytest.raises(InputError, match=f"{notebook} keeps no tables '{table}'"):
        results.cards()
    assert not list(results.folder.rglob("*.md"))


def test_without_a_split_there_is_no_card(results):
    results.path(AUDIT, "split").unlink()
    with pytest.raises(InputError, match="make reproduce PROFILE=smoke"):
        results.cards()


@pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)
def test_kept_data_cards_are_those_of_the_kept_tables(folder):
    data = json.loads((folder / "manifest.json").read_text())["data"]
    assert (folder / DATA_CARD).read_text() == data_card(audit_of(folder), data)


def test_smoke_results_keep_their_cards():
    assert REFERENCE / "smoke" in KEPT
    assert sorted(path.stem for path in REFERENCE.glob(f"smoke/{JUDGED}/models/*")) == [
        "cut",
        "cyclegan",
        "cyclegan_texture",
        "fastcut",
        "simulated",
    ]
