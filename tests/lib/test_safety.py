"""The safety audit: each measure on a case whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from engine.errors import InputError
from lib.data.sources import open_source
from lib.evaluation import safety
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble
from lib.models.gate import Gate
from lib.models.networks import build_network
from lib.models.segmentation import segment, train_segmenter
from lib.phantom.embryo import grow
from lib.studies.embryo import EmbryoParameters

NAMES = ("cavity", "icm")


class Identity(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x


def test_flips_are_counted_by_class_and_direction():
    label = np.array([0, 0, 0, 0, 1, 1])
    called = {"grey": np.array([0, 0, 0, 1, 1, 1]), "arm": np.array([1, 1, 0, 0, 1, 0])}
    found = safety.label_flips(called, label).set_index("label")
    assert found.loc[0, ["flips", "n", "to_positive"]].tolist() == [3, 4, 2]
    assert found.loc[1, ["flips", "n", "to_positive"]].tolist() == [1, 2, 0]
    assert found.loc[0, "value"] == pytest.approx(0.75)
    assert found.loc[0, "low"] < 0.75 < found.loc[0, "high"]


class Inverted(nn.Module):
    """A translator that turns bright to dark."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return -x


def test_translators_of_other_mixes_are_held_against_the_untouched_image():
    judge = SimpleNamespace(
        threshold=0.5, fold_scores=lambda stack: stack.float().mean((1, 2, 3)).numpy()[None] / 255
    )
    stack = torch.tensor([10, 250, 240, 20], dtype=torch.uint8).view(4, 1, 1, 1)
    stack = stack.expand(4, 1, 16, 16).contiguous()
    mixes = {0.0: Identity(), 1.0: Inverted()}
    found = safety.prior_stress(mixes, judge, stack, np.array([0, 1, 1, 1]))
    flips = found.set_index(["share", "label"])["flips"].to_dict()
    assert flips == {(0.0, 0): 0, (0.0, 1): 0, (1.0, 0): 1, (1.0, 1): 3}
    assert set(found["arm"]) == {"mix"}


def test_structures_kept_invented_and_erased():
    truth = torch.zeros(4, 2, 16, 16, dtype=torch.bool)
    truth[:2, :, 4:12, 4:12] = True
    shown = dict(right=truth, nothing=torch.zeros_like(truth), everything=torch.ones_like(truth))
    found = safety.structure_kept(shown, truth, NAMES)
    value = found.set_index(["arm", "structure", "measure"])["value"]
    assert value["right", "cavity"].to_dict() == dict(dice=1.0, invented=0.0, erased=0.0)
    assert value["nothing", "icm"].to_dict() == dict(dice=0.0, invented=0.0, erased=1.0)
    whole = value["everything", "cavity"].to_dict()
    assert whole == dict(dice=pytest.approx(2 * 64 / (64 + 256)), invented=1.0, erased=0.0)
    assert set(found["n"]) == {2}


def test_round_trip_that_hides_nothing_loses_only_what_was_disturbed():
    networks = nn.Module()
    networks.to_source, networks.to_target = Identity(), Identity()
    stack = torch.full((8, 1, 32, 32), 128, dtype=torch.uint8)
    found = safety.hidden_information(networks, stack).set_index("disturbance")["value"]
    assert found["none"] == 0
    assert found["JPEG 95"] < 1
    for sigma in (5, 10):  # mean of |N(0, s)|
        assert found[f"noise {sigma}"] == pytest.approx(sigma * np.sqrt(2 / np.pi), rel=0.03)


def test_gate_lets_pass_what_it_knows_and_stops_what_it_does_not():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)

    def embryos(n):
        y, x = np.mgrid[:32, :32]
        at = rng.uniform(12, 20, (n, 2, 1, 1))
        disc = (x - at[:, 0]) ** 2 + (y - at[:, 1]) ** 2 < 64
        image = 90 + 80 * disc + rng.normal(0, 4, (n, 32, 32))
        return torch.from_numpy(image.clip(0, 255).astype(np.uint8))[:, None]

    networks = [build_network("test_resnet", 1, "").eval() for _ in range(2)]
    ensemble = FoldEnsemble(networks, [Calibration(1.0, 0.0, 0.0, 0.5, 1.0)] * 2)
    gate = Gate.fit(ensemble, embryos(200), np.arange(200) % 2)
    assert [len(known) for known in gate.known] == [100, 100]  # none of the fold's own
    strange = torch.randint(0, 256, (20, 1, 32, 32), dtype=torch.uint8)
    assert 0.85 < gate.passes(gate.score(embryos(200))).mean() < 1.0
    assert gate.passes(gate.score(strange)).mean() < 0.2


def test_risk_falls_to_nothing_if_the_doubt_knows_what_is_wrong():
    wrong = np.array([True] * 20 + [False] * 80)
    rng = np.random.default_rng(0)
    table = safety.risk_coverage(wrong, {"knows": wrong + 0.1 * rng.random(100)}, resamples=50)
    knows = table[table["doubt"] == "knows"].set_index("coverage")["risk"]
    assert (knows[knows.index <= 0.8] == 0).all()
    assert knows.iloc[-1] == pytest.approx(0.2)
    chance = table[table["doubt"] == "at random"]["risk"]
    assert (chance == 0.2).all()


def test_copies_are_found():
    known = torch.randint(0, 256, (30, 1, 8, 8), dtype=torch.uint8)
    unseen = torch.randint(0, 256, (30, 1, 8, 8), dtype=torch.uint8)
    found = safety.memorisation(dict(copier=known[:10], other=unseen), unseen, known)
    table = found.set_index("arm")
    assert table.loc["copier", "value"] == 0
    assert table.loc["copier", "copies"] == 1
    assert table.loc["other", "copies"] < 0.1
    distance, place = safety.nearest_known(known[:5], known)
    assert (distance == 0).all()
    assert place.tolist() == [0, 1, 2, 3, 4]


def test_truth_masks_lie_where_the_embryos_structures_are(tmp_path):
    params = EmbryoParameters(
        source_count=40, target_count=12, second_target_count=12, phantom_width=64, image_size=32
    )
    source = open_source(params, tmp_path)
    ids = [id for id in source.table()["id"] if id.startswith("ED4")]
    masks = np.stack(source.structures().read_many(ids))
    assert masks.shape[-1] == 3
    assert set(np.unique(masks)) == {0, 255}
    seeds = np.array([int(id.split("/")[1]) for id in ids])
    embryos = grow(seeds, 64, params.positive_share)
    area = (masks[..., 0] > 0).mean((1, 2)) / source.truth(ids)["radius"].to_numpy() ** 2
    drawn = embryos.cavity.mean((1, 2))
    assert np.corrcoef(area, drawn)[0, 1] > 0.95
    assert not (masks[..., 0] & masks[..., 1]).any()  # a cavity is not the inner cell mass
    assert (masks[..., 2].mean((1, 2)) > masks[..., 0].mean((1, 2))).all()  # the whole embryo


def test_structures_of_real_images_are_refused(tmp_path):
    from lib.data.interface import Source

    class Real(Source):
        def table(self):
            return None

        def read_many(self, ids):
            return []

        def fingerprint(self):
            return ""

    with pytest.raises(InputError, match="not known"):
        Real().structures()


def test_segmenter_learns_discs_and_repeats():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    at = rng.uniform(10, 22, (192, 2, 1, 1))
    disc = (x - at[:, 0]) ** 2 + (y - at[:, 1]) ** 2 < rng.uniform(16, 49, (192, 1, 1))
    stack = torch.from_numpy((60 + 120 * disc).astype(np.uint8))[:, None]
    masks = torch.from_numpy(disc)[:, None]
    params = EmbryoParameters(device="cpu", threads=1)
    network, history = train_segmenter(stack[:160], masks[:160], params, 0, [1.0])
    found = segment(network, stack[160:])
    dice = 2 * (found & masks[160:]).sum() / (found.sum() + masks[160:].sum())
    assert dice > 0.9
    again, _ = train_segmenter(stack[:160], masks[:160], params, 0, [1.0])
    assert torch.equal(segment(again, stack[160:]), found)
    assert list(history["epoch"]) == list(range(1, len(history) + 1))
