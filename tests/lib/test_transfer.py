"""Other devices and embryos: what they are, and what is said of a translation on them."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from engine.errors import InputError
from lib import figures
from lib.data.framing import crop
from lib.data.images import to_grey
from lib.data.phones import photographed_by
from lib.evaluation import transfer
from lib.evaluation.fidelity import likeness
from lib.evaluation.relevance import BETTER, SAME, UNDECIDED, WORSE
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble
from lib.phantom.embryo import EXTENT, grow
from lib.phantom.optics import DEVICES, photograph
from lib.phantom.phone import phone
from lib.phantom.random_optics import lit_from_the_side
from lib.studies.embryo import EmbryoParameters


def test_severity_1_is_the_phone_of_all_other_figures():
    seeds = np.arange(3)
    embryos = grow(seeds, 64, 0.5)
    usual = photograph(embryos, seeds, "ED1", 64)
    graded = photograph(embryos, seeds, "ED1", 64, phone(1.0))
    assert (usual.images == graded.images).all()


def test_likeness_to_the_mildest_falls_with_severity():
    seeds = np.arange(8)
    embryos = grow(seeds, 128, 0.6)
    grades = (0.0, 0.5, 1.0, 1.5)
    taken = [photograph(embryos, seeds, "ED1", 128, phone(s)).images.mean(3) for s in grades]
    good = photograph(embryos, seeds, "ED1", 128, phone(0.0)).images.mean(3)
    alike = [np.corrcoef(good.ravel(), images.ravel())[0, 1] for images in taken]
    assert all(np.diff(alike) < 0)


@pytest.mark.parametrize("wrong", [-0.1, 2.1])
def test_a_severity_beyond_the_range_is_named(wrong):
    with pytest.raises(InputError, match=f"severity {wrong}.*choose"):
        phone(wrong)


def test_the_series_is_registered_with_its_truth(dataset):
    rows = dataset.rows("ED1", "holdout").head(5)
    machines = {severity: phone(severity) for severity in (0.0, 1.0)}
    series = photographed_by(dataset.params, rows["id"].tolist(), machines)
    assert list(series.looks) == [0.0, 1.0]
    size = dataset.params.image_size
    assert series.truth.shape == series.inside.shape == (5, 1, size, size)
    # The embryo fills the same disc in all: half side 1.15 radii.
    share = series.inside.float().mean((1, 2, 3))
    assert torch.allclose(share, torch.tensor(np.pi / 4 / 1.15**2).float(), atol=0.06)
    own = dataset.stack(rows)
    nearest = torch.cdist(series.looks[1.0].flatten(1).float(), own.flatten(1).float()).argmin(1)
    assert (nearest == torch.arange(5)).float().mean() > 0.8  # framed by truth and by the finder


class Bright(nn.Module):
    """A classifier of brightness."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(4.0))

    def forward(self, images):
        return self.weight * images.mean((1, 2, 3))[:, None]


class Darker(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return images * 0 - 1


def test_every_arm_is_judged_at_every_severity(dataset, monkeypatch):
    monkeypatch.setattr(transfer, "SEVERITIES", (0.0, 1.0))
    monkeypatch.setattr(transfer, "RESAMPLES", 50)
    rows = dataset.rows("ED1", "holdout")
    judge = FoldEnsemble([Bright().eval()], [Calibration(1.0, 0.0, 0.5, 0.5, 1.0)], blur=0.0)
    series, alike = transfer.judge_series(dataset, rows, judge, {"blank": Darker()})
    assert len(series) == 2 * 3 * len(rows)
    ssim = alike[alike["metric"] == "inside_ssim"].set_index("arm")["value"]
    assert (ssim["blank"] < ssim["grey"].min()).all()
    table, gains = transfer.by_severity(series, 0.5)
    assert set(table["arm"]) == {"grey", "histogram", "blank"}
    assert set(gains["arm"]) == {"histogram", "blank"}
    auc = table[table["metric"] == "auc"].set_index(["severity", "arm"])["value"]
    assert auc[0.0, "blank"] == pytest.approx(0.5)  # one grey for all tells nothing
    for row in gains[(gains["metric"] == "auc") & (gains["arm"] == "blank")].itertuples():
        assert row.difference == pytest.approx(0.5 - row.untouched)


def test_elsewhere_is_another_place(dataset):
    rows = dataset.rows("ED1", "holdout").head(6)
    table = transfer.judge_elsewhere(dataset, rows, {"blank": Darker()})
    assert list(table.columns[:3]) == ["where", "arm", "metric"]
    values = table.set_index(["where", "arm", "metric"])["value"]
    assert set(table["where"]) == {"ED1", "other texture", "lamp at the side"}
    assert set(table["arm"]) == {"grey", "blank"}
    # Of the same six embryos: their own texture, the other one, and another device.
    ids = rows["id"].tolist()
    other = dataset.params.model_copy(update=dict(phantom_label="grain"))
    wanted = {
        "ED1": photographed_by(dataset.params, ids, {0: DEVICES["ED1"]}),
        "other texture": photographed_by(other, ids, {0: DEVICES["ED1"]}),
        "lamp at the side": photographed_by(dataset.params, ids, {0: lit_from_the_side()}),
    }
    for where, series in wanted.items():
        alike = likeness(series.truth, series.looks[0], series.inside)["inside_ssim"].mean()
        assert values[where, "grey", "inside_ssim"] == pytest.approx(alike)
    assert not torch.equal(wanted["ED1"].truth, wanted["other texture"].truth)


def test_a_lamp_at_the_side_shows_the_slopes_across():
    seeds = np.arange(6)
    embryos = grow(seeds, 128, 0.6)
    across = np.gradient(embryos.height, axis=2)

    def likeness_to_slopes(machine):
        taken = photograph(embryos, seeds, "ED3", 300, machine)
        places = zip(taken.images, taken.x, taken.y, taken.radius, across, strict=True)
        crops = [(crop(to_grey(i), x, y, r, EXTENT, 128), own) for i, x, y, r, own in places]
        return np.mean([np.corrcoef(image.ravel(), own.ravel())[0, 1] for image, own in crops])

    assert likeness_to_slopes(lit_from_the_side()) > 0.2
    assert abs(likeness_to_slopes(DEVICES["ED3"])) < 0.1


def test_real_embryos_are_judged_beside_the_most_that_can_be_reached(shared_data):
    paths = sorted((shared_data / "embryo_embryoscope_stork" / "images").glob("*_f+00.jpg"))[:4]
    params = EmbryoParameters(phantom_width=128, image_size=64)
    table, looks = transfer.real_embryos(paths, params, {"blank": Darker()})
    assert list(looks) == ["grey", "blank", "recovered", "truth"]
    assert set(table["arm"]) == {"grey", "blank", "recovered"}
    ssim = table[table["metric"] == "inside_ssim"].set_index("arm")["value"]
    assert ssim["recovered"] > 0.7 > ssim["grey"] > ssim["blank"]
    words = transfer.real_words(table)
    assert "- blank:" in words
    assert "- recovered:" not in words
    assert f"recovered embryos {ssim['recovered']:.3f}" in words


GAINS = pd.DataFrame(
    [
        dict(severity=0.0, untouched=0.97, difference=-0.05, low=-0.07, high=-0.03, verdict=WORSE),
        dict(severity=0.5, untouched=0.95, difference=0.0, low=-0.01, high=0.01, verdict=SAME),
        dict(severity=0.75, untouched=0.9, difference=0.03, low=0.0, high=0.06, verdict=UNDECIDED),
        dict(severity=1.0, untouched=0.6, difference=0.36, low=0.3, high=0.4, verdict=BETTER),
    ]
).assign(arm="simulated", metric="auc", n=100)


def test_words_name_where_it_helps_and_where_it_harms():
    words = figures.severity.severity_words(GAINS, "simulated", 0.957)
    assert "better than the untouched image at severity (untouched AUC): 1 (0.600)" in words
    assert "**is read worse** at severity (untouched AUC): 0 (0.970)" in words
    assert "makes no difference that matters at severity (untouched AUC): 0.5 (0.950)" in words
    assert "nearest is severity 0.5 with 0.950" in words
    assert "+0.000 [-0.010, +0.010]: the same" in words
    assert "published" not in figures.severity.severity_words(GAINS, "simulated", None)


def test_the_published_number_is_that_of_untouched_images():
    table = pd.DataFrame(
        dict(published_as=["ED1 translated", "ED1 as luma, not translated"], auc=[0.9, 0.95])
    )
    assert figures.severity.published_untouched(table) == 0.95
    assert figures.severity.published_untouched(table.head(1)) is None
    assert figures.severity.published_untouched(pd.DataFrame()) is None
