"""The Ki67 index of translations, and their quality beside the truth."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from engine.store import Store
from lib.data.tissue_parameters import TissueParameters
from lib.data.tissue_set import TissueSet
from lib.evaluation.stain_arms import ORACLE, UNTOUCHED, StainFits
from lib.evaluation.stain_quality import (
    index_errors,
    paired,
    stained_nuclei,
    summary,
    unpaired,
)


def point_wise(matrix):
    """A generator that mixes colours pixel by pixel."""
    layer = nn.Conv2d(3, 3, 1, bias=False)
    layer.weight.data = torch.tensor(matrix, dtype=torch.float32)[..., None, None]
    return layer


class BothWays(nn.Module):
    has_way_back = True

    def __init__(self, there, back):
        super().__init__()
        self.to_source, self.to_target = point_wise(there), point_wise(back)


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    params = TissueParameters(
        study="stain", source_slides=16, target_slides=16, image_size=48, um_per_px=0.75
    )
    return TissueSet.open(params, tmp_path_factory.mktemp("d"), Store(tmp_path_factory.mktemp("s")))


@pytest.fixture(scope="module")
def nuclei(tissue):
    same, nothing = np.eye(3), np.zeros((3, 3))
    made = {"kept": BothWays(same, same), "lost": BothWays(nothing, same)}
    fits = StainFits({}, {name: (own, pd.DataFrame()) for name, own in made.items()})
    return stained_nuclei(tissue, fits)


def test_nuclei_are_those_that_were_drawn(tissue, nuclei):
    rows = tissue.rows("ki67", "holdout")
    maps, brown = tissue.instances(rows), tissue.positives(rows)
    own = nuclei[nuclei["image"] == "ihc"]
    assert len(own) == sum(len(np.unique(one)) - 1 for one in maps.numpy())
    assert own["id"].is_unique
    positive = sum(len(np.unique(one[mask])) for one, mask in zip(maps, brown, strict=True))
    assert own["positive"].sum() == positive


def test_the_index_is_read_in_ihc_and_where_a_translation_keeps_all(nuclei):
    errors = index_errors(nuclei).set_index("image")
    assert abs(errors.loc["ihc", "value"]) < 0.05
    assert errors.loc["ihc", "auc"] > 0.95
    assert errors.loc["back_kept", "value"] == pytest.approx(errors.loc["ihc", "value"], abs=0.01)


def test_a_translation_to_nothing_loses_it_and_h_and_e_never_had_it(nuclei):
    errors = index_errors(nuclei).set_index("image")
    # Of an empty image no nucleus comes back brown.
    true = nuclei.loc[nuclei["image"] == "back_lost", "positive"].mean()
    assert errors.loc["back_lost", "value"] == pytest.approx(-true)
    assert abs(errors.loc["virtual_kept", "auc"] - 0.5) < 0.3
    assert errors.loc["virtual_kept", "auc"] < errors.loc["ihc", "auc"] - 0.1


def test_the_error_is_measured_minus_true_over_all_nuclei(nuclei):
    own = nuclei[nuclei["image"] == "back_lost"]
    row = index_errors(nuclei).set_index("image").loc["back_lost"]
    assert row["value"] == pytest.approx(own["measured"].mean() - own["positive"].mean())
    assert row["low"] <= row["value"] <= row["high"]


def test_quality_is_best_for_what_is_nearest_the_truth(tissue):
    rows = tissue.rows("ki67", "holdout")
    brown, truth = tissue.stack(rows), tissue.stack(rows, "he")
    near = ((truth.float() * 3 + brown.float()) / 4).round().to(torch.uint8)
    images = {seed: {UNTOUCHED: brown, "near": near, ORACLE: truth} for seed in (0, 1)}
    quality, distances = paired(images, rows), unpaired(tissue, images, rows)
    assert set(quality["arm"]) == {UNTOUCHED, "near"}
    assert set(quality["seed"]) == {0, 1}
    told = summary(quality, distances).set_index(["measure", "arm"])["value"]
    assert told["psnr", "near"] > told["psnr", UNTOUCHED]
    assert told["mdsi", "near"] < told["mdsi", UNTOUCHED]
    assert told["frechet_lite0", ORACLE] < told["frechet_lite0", UNTOUCHED]
    own = quality[(quality["arm"] == "near") & (quality["seed"] == 0)]
    assert told["ssim", "near"] == pytest.approx(own["ssim"].mean())
