import inspect
import io
import itertools
import warnings

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image
from sklearn.metrics import f1_score

from compendium.reader_study import figures as readers
from lib import figures
from lib.evaluation.cell_arms import group_of as kind_of
from lib.evaluation.decision import CallCounts, by_prevalence
from lib.evaluation.groups import group_of
from lib.evaluation.identification import identification
from lib.evaluation.metrics import METRICS
from lib.evaluation.relevance import with_verdicts
from lib.evaluation.stain_arms import group_of as stain_kind_of
from lib.evaluation.statistics import metric_intervals
from lib.figures import style
from lib.models.unet import PLACES

NOTE = "synthetic phantom"
ARMS = ("raw", "cyclegan", "oracle")


def stack(count=4, channels=1, size=16, seed=0):
    shape = (count, channels, size, size)
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def photographs(count=3):
    return [np.random.default_rng(i).integers(0, 256, (24, 32), np.uint8) for i in range(count)]


def image_table():
    rows = [
        (f"{domain}/{label}/{i}", domain, label, f"{domain}{i // 2}")
        for domain, counts in dict(ED4=(8, 12), ED1=(6, 4)).items()
        for label, count in enumerate(counts)
        for i in range(count)
    ]
    return pd.DataFrame(rows, columns=["id", "domain", "label", "group"])


def frames():
    return pd.DataFrame(
        dict(id=list("abc"), x=16.0, y=12.0, radius=8.0, confidence=[0.9, 0.8, 0.1],
             found=[True, True, False])
    )  # fmt: skip


def image_statistics():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(dict(domain=np.repeat(["ED4", "ED1"], 30), mean=rng.normal(100, 9, 60)))
    return table.assign(sd=rng.gamma(9, 2, 60), noise=rng.gamma(2, 1, 60))


def predictions():
    rng = np.random.default_rng(0)
    label = np.tile([0, 1, 1], 20)
    parts = []
    for arm, signal in zip(ARMS, (0.5, 2, 4), strict=True):
        score = 1 / (1 + np.exp(-signal * (label - 0.5) - rng.normal(size=60)))
        names = [f"ED1/{i}" for i in range(60)]
        parts.append(pd.DataFrame(dict(id=names, arm=arm, score=score, label=label, group=names)))
    return pd.concat(parts, ignore_index=True)


def metrics_by_arm():
    table = predictions()
    parts = [
        metric_intervals(table[table["arm"] == arm], cut, 100).assign(arm=arm, protocol=protocol)
        for arm in ARMS
        for protocol, cut in dict(frozen=0.5, optimistic=0.6).items()
    ]
    return pd.concat(parts, ignore_index=True)


def folds(name="resnet10t grey"):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({metric: rng.uniform(0.8, 0.95, 5) for metric in METRICS})
    return table.assign(series=name, fold=range(5))


def training():
    steps = np.arange(30)
    return pd.DataFrame(dict(step=steps, cycle=1 / (1 + steps), texture=0.0, rate=2e-4))


def classifier_training():
    rows = [(fold, epoch, 1 / epoch, 0.5 + epoch / 20) for fold in (0, 1) for epoch in (1, 2, 3)]
    return pd.DataFrame(rows, columns=["fold", "epoch", "loss", "valid_auc"])


def flips():
    rows = [
        dict(arm=arm, label=label, flips=2, value=0.1, low=0.02, high=0.3, n=20, to_positive=1)
        for arm in ARMS
        for label in (0, 1)
    ]
    return pd.DataFrame(rows)


def structures():
    rows = [
        dict(arm=arm, structure=name, measure=measure, value=0.5, low=0.4, high=0.6, n=20)
        for arm in ARMS
        for name in ("cavity", "icm")
        for measure in ("dice", "invented", "erased")
    ]
    return pd.DataFrame(rows)


def fidelity_summary():
    rows = [
        dict(arm=arm, metric=metric, value=0.5, low=0.4, high=0.6, n=20, seeds=1, own=0.5)
        for arm in ARMS
        for metric in ("inside_ssim", "inside_error", "cavity_shift", "cavity_dice")
    ]
    return pd.DataFrame(rows)


def by_seed():
    rows = [
        dict(arm=arm, seed=seed, auc=0.8 + 0.01 * seed, balanced_accuracy=0.7)
        for arm in ARMS
        for seed in range(3)
    ]
    return pd.DataFrame(rows)


def over_seeds():
    rows = [
        dict(arm=arm, metric=metric, value=0.8, low=0.7, high=0.9, n=60, seeds=3)
        for arm in ARMS
        for metric in ("auc", "balanced_accuracy")
    ]
    return pd.DataFrame(rows)


def read_images():
    """What two readers said, as ``agreement.estimates`` tells it."""
    quantities = ("rating", "judged real", "call sensitivity", "call specificity")
    rows = [
        dict(quantity=quantity, kind=kind, reader=reader, value=0.7, low=0.5, high=0.9, readers=2,
             images=10)
        for quantity in quantities
        for kind in ("ED4", "cyclegan_texture")
        for reader in ("all", "anna", "bert")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def missed():
    """Eight images called wrongly, one of them without label 1."""
    return pd.DataFrame(
        dict(place=range(8), id=list("abcdefgh"), kind=["false negative"] * 7 + ["false positive"],
             label=[1] * 7 + [0], score=0.25, gate=0.5, passes=[False] + [True] * 7)
    )  # fmt: skip


def agreements():
    rows = [
        dict(question=question, reader="all", value=0.6, low=0.4, high=0.8, images=40, pairs=16)
        for question in ("quality", "judged_real", "called")
    ]
    return pd.DataFrame(rows)


def studied() -> pd.DataFrame:
    """A study of two constraints and two readers."""
    measures = [("auc", "blurred", 0.01), ("auc", "sharp", 0.05), ("inside_ssim", "", -0.04)]
    rows = [
        dict(arm=f"{constraint}_{loss}_10", reader=reader, metric=metric, difference=change)
        for constraint in ("published", "profile")
        for loss in ("mind", "structure")
        for metric, reader, change in measures
    ]
    table = pd.DataFrame(rows).assign(n=100, seeds=5)
    table = table.assign(low=table["difference"] - 0.015, high=table["difference"] + 0.015)
    return with_verdicts(table)


def elsewhere() -> pd.DataFrame:
    values = {("ED1", "grey"): 0.1, ("ED1", "simulated"): 0.7, ("real embryos", "grey"): 0.1,
              ("real embryos", "simulated"): 0.2}  # fmt: skip
    rows = [dict(where=where, arm=arm, value=v) for (where, arm), v in values.items()]
    table = pd.DataFrame(rows).assign(metric="inside_ssim", n=9)
    return table.assign(low=table["value"] - 0.02, high=table["value"] + 0.02)


def graded():
    """AUC by severity of two arms, and the gain of the one over the other."""
    rows = [
        dict(severity=s, arm=arm, metric="auc", value=v, low=v - 0.02, high=v + 0.02, n=40)
        for arm, values in (("grey", (0.95, 0.6)), ("simulated", (0.96, 0.97)))
        for s, v in zip((0.0, 1.0), values, strict=True)
    ]
    gains = [
        dict(severity=s, arm="simulated", metric="auc", untouched=u, difference=d, low=d - 0.02,
             high=d + 0.02, n=40)
        for s, u, d in ((0.0, 0.95, 0.01), (1.0, 0.6, 0.37))
    ]  # fmt: skip
    return pd.DataFrame(rows), pd.DataFrame(gains)


def many_arms():
    rows = [
        dict(arm=arm, metric=metric, value=0.7, low=0.6, high=0.8, n=60, groups=60)
        for arm in ("raw", "grey", "randomised", "dann", "cut", "simulated", "labels_10",
                    "labels_100", "both_devices", "oracle")
        for metric in METRICS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def fields(seed=0, count=3):
    """Images and masks of fields; one mask is empty."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:16, :16]
    masks = [(rows - 8) ** 2 + (columns - rng.integers(4, 12)) ** 2 < 16 for _ in range(count - 1)]
    masks.append(np.zeros((16, 16), bool))
    return stack(count, seed=seed), torch.from_numpy(np.stack(masks))[:, None]


def cell_arms(seeds=1):
    """Table 1 of cell segmentation; every kind of arm, with several trainings or one."""
    arms = ("unet", "otsu", "randomised", "unet_particles_empty", "random_optics",
            *(f"reversal_{place}" for place in PLACES), "cyclegan",
            "cyclegan_particles_empty_noise", "simulated", "labels_1", "labels_10", "oracle",
            "target")  # fmt: skip
    rows = [
        dict(arm=arm, kind=kind_of(arm), metric=metric, value=0.5 + place / 50,
             low=0.4 + place / 50, high=0.6 + place / 50, n=180, groups=15, seeds=seeds)
        for place, arm in enumerate(arms)
        for metric in ("dice", "iou", "average_precision", "count_error")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def nuclei(seed=0, count=3):
    """Colour images and instance maps of fields; one map is empty."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((count, 1, 32, 32), np.int32)
    for own in maps[:-1, 0]:
        for number, (y, x) in enumerate(rng.integers(2, 24, (4, 2)), 1):
            own[y : y + 6, x : x + 6] = number
    images = torch.from_numpy(rng.integers(0, 256, (count, 3, 32, 32)).astype(np.uint8))
    return images, torch.from_numpy(maps)


STAIN_ARMS = ("hovernet", "macenko", "recombination", "stained", "cyclegan_structure", "cut",
              "ensemble", "oracle", "target")  # fmt: skip


def stain_arms(seeds=1):
    """Table 1 of stain translation; every kind of arm, with several trainings or one."""
    rows = [
        dict(arm=arm, kind=stain_kind_of(arm), metric=metric, value=0.5 + place / 50,
             low=0.4 + place / 50, high=0.6 + place / 50, n=180, groups=15, seeds=seeds)
        for place, arm in enumerate(STAIN_ARMS)
        for metric in ("f1", "pq")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def stain_quality():
    """Quality of the arms that have images, and how it ranks them."""
    arms, measures = STAIN_ARMS[:-3], ("psnr", "ssim", "ms_gmsd", "mdsi", "haarpsi")
    rows = [
        dict(arm=arm, measure=measure, value=place, low=place - 0.5, high=place + 0.5)
        for measure in measures
        for place, arm in enumerate((*arms, "floor"))
    ]
    told = [dict(measure=m, name=m.upper(), value=0.5, low=0.1, high=0.8) for m in measures]
    return pd.DataFrame(rows), stain_arms(), pd.DataFrame(told)


def index_nuclei():
    """Nuclei of six slides in three kinds of images."""
    rng = np.random.default_rng(0)
    kinds = ("ihc", "back_cyclegan", "virtual_cyclegan")
    parts = [
        pd.DataFrame(dict(image=kind, group=np.repeat([f"s{n}" for n in range(6)], 20),
                          positive=rng.random(120) < 0.3, measured=rng.random(120) < 0.4))
        for kind in kinds
    ]  # fmt: skip
    names = {kind: figures.stains.kind_name(kind) for kind in kinds}
    return pd.concat(parts, ignore_index=True), names


def costs():
    arms = [arm for arm in many_arms()["arm"].unique() if arm != "oracle"]
    table = pd.DataFrame(dict(arm=arms, minutes=np.geomspace(0.5, 40, len(arms))))
    return table.assign(group=table["arm"].map(group_of), images_per_second=900.0)


DRAWINGS = {
    "sample_sheet": lambda: figures.sample_sheet(
        {(domain, label): stack(3, 3) for domain in ("ED4", "ED1") for label in (0, 1)}, NOTE
    ),
    "count_bars": lambda: figures.count_bars(image_table(), NOTE),
    "domain_gap_plot": lambda: figures.domain_gap_plot(
        image_statistics(), ["mean", "sd", "noise"], NOTE
    ),
    "statistics_by_domain": lambda: figures.statistics_by_domain(
        image_statistics(), dict(mean="grey levels", sd="grey levels"), NOTE
    ),
    "frames_sheet": lambda: figures.frames_sheet(photographs(), frames(), NOTE, truth=frames()),
    "learning_curves": lambda: figures.learning_curves(classifier_training(), NOTE),
    "loss_curves": lambda: figures.loss_curves(
        pd.concat([training().assign(arm=arm) for arm in ("cyclegan", "cyclegan_texture")]), NOTE
    ),
    "fold_dots": lambda: figures.fold_dots(folds(), folds("EfficientNet-B7"), NOTE),
    "calibration_plot": lambda: figures.calibration_plot(predictions(), NOTE),
    "roc_plot": lambda: figures.roc_plot(predictions(), dict.fromkeys(ARMS, 0.5), NOTE),
    "metric_bars": lambda: figures.metric_bars(metrics_by_arm(), NOTE),
    "confusion_panel": lambda: figures.confusion_panel(
        {arm: np.array([[30, 10], [5, 15]]) for arm in ARMS}, NOTE
    ),
    "image_sheet": lambda: figures.image_sheet(
        dict(raw=stack(), CycleGAN=stack(seed=1), truth=stack(seed=2)),
        {"CycleGAN - truth": ("CycleGAN", "truth")}, NOTE, rows=["no"] * 2 + ["yes"] * 2,
    ),
    "device_comparison": lambda: figures.device_comparison(
        dict(ED4=photographs(), ED1=photographs()), dict(EmbryoScope=photographs())
    ),
    "faults_sheet": lambda: figures.faults_sheet(),
    "translation_schematic": lambda: figures.translation_schematic(),
    "flip_dots": lambda: figures.flip_dots(flips(), NOTE),
    "structure_dots": lambda: figures.structure_dots(structures(), NOTE),
    "fidelity_dots": lambda: figures.fidelity_dots(fidelity_summary(), NOTE),
    "hidden_information_dots": lambda: figures.hidden_information_dots(
        pd.DataFrame([
            dict(arm=arm, disturbance=name, value=5.0, low=4.0, high=6.0, n=9)
            for arm in ("cyclegan", "cyclegan_texture") for name in ("none", "noise 2", "JPEG 95")
        ]), NOTE,
    ),
    "risk_coverage_plot": lambda: figures.risk_coverage_plot(
        pd.concat([
            pd.DataFrame(dict(doubt=name, coverage=[0.1, 1.0], risk=0.2, low=0.1, high=0.3))
            for name in ("gate", "margin", "at random")
        ]), NOTE, 0.95, 60,
    ),
    "seed_dots": lambda: figures.seed_dots(over_seeds(), by_seed(), NOTE, "ED1 hold-out"),
    "division_dots": lambda: figures.division_dots(
        over_seeds(), by_seed().rename(columns=dict(seed="division")), NOTE, "ED1, 3 hold-outs"
    ),
    "group_dots": lambda: figures.group_dots(many_arms(), NOTE, "ED1 hold-out"),
    "cost_dots": lambda: figures.cost_dots(many_arms(), costs(), NOTE, "ED1: quality against cost"),
    "label_curve": lambda: figures.label_curve(many_arms(), 500, NOTE, "What labels would buy"),
    "prior_stress_plot": lambda: figures.prior_stress_plot(
        pd.concat([flips().head(2).assign(share=share) for share in (0.0, 0.5, 1.0)]),
        0.6, NOTE,
    ),
    "predictive_value_curves": lambda: figures.predictive_value_curves(
        by_prevalence({arm: dict(all=CallCounts(50, 10, 30, 5)) for arm in ARMS}), 0.4, NOTE,
        "ED1 hold-out",
    ),
    "miss_sheet": lambda: figures.miss_sheet(
        dict(photograph=stack(9, 3), translated=stack(9), truth=stack(9)), missed(), NOTE,
        "ED1 hold-out",
    ),
    "identification_dots": lambda: figures.identification_dots(
        identification({"mind": np.eye(6) * -0.5 + 1, "gram": np.ones((6, 6))}), NOTE,
        "Which loss knows the object?",
    ),
    "study_forest": lambda: figures.study_forest(studied(), NOTE, "What a texture loss changes"),
    "elsewhere_dots": lambda: figures.elsewhere_dots(elsewhere(), NOTE),
    "look_rows": lambda: figures.look_rows(
        dict(grey=stack(), simulated=stack(seed=1), oracle=stack(seed=2)), ["no", "yes"] * 2, NOTE,
        "The first images",
    ),
    "severity_curves": lambda: figures.severity_curves(
        *graded(), NOTE, "From which shift on?", published=0.95
    ),
    "field_sheet": lambda: figures.cells.field_sheet(
        dict(phase=fields(), gel=fields(1, 2)), NOTE, "Two microscopes", columns=3
    ),
    "overlay_sheet": lambda: figures.cells.overlay_sheet(
        *fields(), dict.fromkeys(("unet", "cyclegan_particles", "target"), fields(1)[1]), NOTE,
        "What the arms find",
    ),
    "arm_dots": lambda: figures.cells.arm_dots(cell_arms(3), NOTE, "Table 1"),
    "depth_plot": lambda: figures.cells.depth_plot(cell_arms(), NOTE, "Where to look"),
    "label_dots": lambda: figures.cells.label_dots(cell_arms(), "simulated", NOTE, "Labels"),
    "stains.tissue_sheet": lambda: figures.stains.tissue_sheet(
        dict(he=nuclei(), ki67=nuclei(1, 2)), NOTE, "Two stains", columns=3
    ),
    "stains.overlay_sheet": lambda: figures.stains.overlay_sheet(
        dict.fromkeys(("hovernet", "cyclegan_structure", "cut"), nuclei()[0]),
        dict(hovernet=nuclei(1)[1], cut=nuclei()[1]), nuclei()[1], 1.0, NOTE, "What arms read",
    ),
    "stains.arm_dots": lambda: figures.stains.arm_dots(stain_arms(3), NOTE, "Table 1"),
    "stains.quality_against_f1": lambda: figures.stains.quality_against_f1(
        *stain_quality(), NOTE, "Quality and use"
    ),
    "stains.index_dots": lambda: figures.stains.index_dots(*index_nuclei(), NOTE, "The index"),
    "reader_dots": lambda: readers.reader_dots(
        read_images(), dict(ED4=True, cyclegan_texture=False), NOTE, ["no blastocyst", "blastocyst"]
    ),
    "agreement_dots": lambda: readers.agreement_dots(agreements(), agreements(), NOTE),
}  # fmt: skip


def test_every_figure_is_drawn_here():
    drawn = {name for name in figures.__all__ if inspect.isfunction(getattr(figures, name))}
    of_cells, of_stains = (
        {name for name, draw in inspect.getmembers(module, inspect.isfunction)
         if inspect.signature(draw).return_annotation == "Drawn"
         and draw.__module__ == module.__name__}
        for module in (figures.cells, figures.stains)
    )  # fmt: skip
    of_stains = {f"stains.{name}" for name in of_stains}
    others = {"reader_dots", "agreement_dots"}
    assert set(DRAWINGS) == drawn - {"in_figures"} | of_cells | of_stains | others


def test_figures_of_cells_give_what_they_show():
    _, shown = DRAWINGS["field_sheet"]()
    assert shown.groupby("row").size().to_dict() == dict(phase=3, gel=2)
    assert shown["cell_share"].iloc[0] == fields()[1][0].float().mean().item()
    _, shown = DRAWINGS["overlay_sheet"]()
    truth, found = fields()[1], fields(1)[1]
    assert shown.groupby("arm").size().to_dict() == dict(unet=3, cyclegan_particles=3, target=3)
    for row in shown.itertuples():
        a, b = truth[row.field].numpy().ravel(), found[row.field].numpy().ravel()
        assert row.dice == pytest.approx(f1_score(a, b) if a.any() else 1.0)
    _, shown = DRAWINGS["depth_plot"]()
    assert shown["arm"].tolist() == [*(f"reversal_{place}" for place in PLACES), "unet", "target"]
    _, shown = DRAWINGS["label_dots"]()
    assert shown["arm"].tolist() == [
        "unet",
        "labels_1",
        "labels_10",
        "target",
        "simulated",
        "oracle",
    ]
    assert set(shown["metric"]) == {"dice"}
    sheet, shown = DRAWINGS["arm_dots"]()
    assert len(shown) == 2 * cell_arms()["arm"].nunique()
    assert "180 fields of 15 frames or images, 3 trainings" in " ".join(
        " ".join(text.get_text() for text in sheet.texts).split()
    )
    labels = {label.get_text() for axes in sheet.axes for label in axes.get_yticklabels()}
    names = {figures.cells.cell_arm_name(arm) for arm in cell_arms()["arm"]}
    assert names <= labels
    assert len(names) == cell_arms()["arm"].nunique()


def test_figures_of_stains_give_what_they_show():
    _, shown = DRAWINGS["stains.tissue_sheet"]()
    assert shown.groupby("row").size().to_dict() == dict(he=3, ki67=2)
    assert shown["nuclei"].iloc[0] == nuclei()[1][0].max()
    _, shown = DRAWINGS["stains.overlay_sheet"]()
    assert set(shown["arm"]) == {"hovernet", "cut"}
    own = shown[shown["arm"] == "cut"]["f1"]
    assert own.iloc[:2].tolist() == [1.0, 1.0]
    assert np.isnan(own.iloc[2])  # nothing is there and nothing was found
    _, shown = DRAWINGS["stains.quality_against_f1"]()
    assert set(shown["arm"]) == set(STAIN_ARMS[:-3])
    f1 = stain_arms().query("metric == 'f1'").set_index("arm")["value"]
    assert (shown["f1"] == f1[shown["arm"]].to_numpy()).all()
    _, shown = DRAWINGS["stains.index_dots"]()
    table, _ = index_nuclei()
    row = shown.query("image == 'back_cyclegan' and group == 's2'").iloc[0]
    own = table.query("image == 'back_cyclegan' and group == 's2'")
    assert (row["truth"], row["measured"]) == (own["positive"].mean(), own["measured"].mean())
    names = {figures.stains.stain_arm_name(arm) for arm in STAIN_ARMS}
    assert len(names) == len(STAIN_ARMS)


def test_a_figure_shows_all_arms_or_the_central_ones():
    few = ["grey", "dann", "oracle"]
    assert figures.in_figures(few) == few
    many = figures.in_figures([*few, "cut", *(f"arm{i}" for i in range(20))])
    assert many == ["grey", "oracle", "cut"]


@pytest.mark.parametrize("name", DRAWINGS)
def test_figure_says_what_it_shows_and_keeps_inside_its_page(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sheet, drawn = DRAWINGS[name]()
        sheet.savefig(io.BytesIO(), format="png", dpi=60)
    title = " ".join(" ".join(text.get_text() for text in sheet.texts).split())
    expected = {
        "translation_schematic": "diagram, no data",
        "device_comparison": "synthetic phantom and real images",
    }.get(name, NOTE)
    assert expected in title
    assert len(drawn) > 0
    page = sheet.bbox.padded(1)  # pixel
    boxes = [sheet.get_tightbbox().transformed(sheet.dpi_scale_trans)]
    for axes in filter(lambda axes: axes.get_visible(), sheet.axes):
        texts = (*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label)
        boxes += [text.get_window_extent() for text in texts if text.get_text()]
    for box in boxes:
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1


def test_save_figure_writes_the_same_bytes_again(tmp_path):
    first = style.save_figure(*DRAWINGS["metric_bars"](), tmp_path / "a.b")
    again = style.save_figure(*DRAWINGS["metric_bars"](), tmp_path / "c")
    assert [path.name for path in first] == ["a.b.png", "a.b.svg", "a.b.csv"]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert len(pd.read_csv(first[2])) == len(metrics_by_arm())


def test_a_figure_does_not_depend_on_the_callers_style():
    def pixels():
        sheet, _ = DRAWINGS["count_bars"]()
        return sheet._repr_png_()

    plain = pixels()
    with matplotlib.style.context("dark_background"):
        sheet, _ = DRAWINGS["count_bars"]()
    assert sheet._repr_png_() == plain
    assert Image.open(io.BytesIO(plain)).width > 300


def seen_by_a_deuteranope(colour):
    """Machado et al. 2009, severity 1, on linear RGB; then CIE Lab."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    machado = [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]  # fmt: skip
    linear = np.clip(np.array(machado) @ linear, 0, 1)
    to_xyz = [
        [0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505],
    ]  # fmt: skip
    scaled = np.array(to_xyz) @ linear / [0.9505, 1.0, 1.089]
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("palette", [style.ARM_COLOURS, style.DOMAIN_COLOURS])
def test_colours_are_told_apart_by_the_colour_blind(palette):
    seen = [seen_by_a_deuteranope(colour) for colour in sorted(set(palette.values()))]
    for i, one in enumerate(seen):
        for other in seen[:i]:
            assert np.linalg.norm(one - other) > 12


def test_unknown_names_keep_their_colour():
    assert style.domain_colour("ED1") == style.DOMAIN_COLOURS["ED1"]
    assert style.domain_colour("my clinic") == style.domain_colour("my clinic")
    assert style.arm_colour("my method") not in style.ARM_COLOURS.values()


def test_count_bars_count():
    _, drawn = DRAWINGS["count_bars"]()
    ed1 = drawn[(drawn["domain"] == "ED1") & (drawn["label"] == 1)].iloc[0]
    assert (ed1["images"], ed1["groups"], ed1["share"]) == (4, 2, 0.4)


def test_residuals_are_signed_luma_differences():
    raw = stack(2, 1)
    brighter = (raw.int() + 10).clamp(0, 255).to(torch.uint8)
    _, drawn = figures.image_sheet(
        dict(raw=raw, other=brighter), {"other - raw": ("other", "raw")}, NOTE
    )
    expected = (brighter.int() - raw.int()).float().mean(dim=(1, 2, 3))
    assert drawn["mean"].tolist() == pytest.approx(expected.tolist())
    assert (drawn["mean"] > 8).all()


def test_misses_are_shown_up_to_so_many_of_each_kind_and_all_are_counted():
    sheet, drawn = DRAWINGS["miss_sheet"]()
    text = " ".join(" ".join(text.get_text() for text in sheet.texts).split())
    assert "7 false negatives and 1 false positive," in text
    assert "photograph, translated, truth" in text
    assert drawn["id"].tolist() == list("abcdefh")  # six of the one kind, all of the other
    titles = [axes.get_title(loc="left") for axes in sheet.axes]
    assert titles[0] == "blastocyst: score 0.25, gate 0.50, stopped"
    assert titles[6] == "no blastocyst: score 0.25, gate 0.50"
    looks = [stack(9, 3)[7].float().mean(0), *[stack(9)[7, 0].float()] * 2]
    shown = sheet.axes[6].images[0].get_array().mean(axis=2)
    assert shown.shape == (16, 3 * 16 + 2)
    for place, look in enumerate(looks):
        part = shown[:, 17 * place : 17 * place + 16]
        assert np.asarray(part) == pytest.approx(look.numpy(), abs=1e-3)


def test_images_keep_their_shape():
    sheet, _ = DRAWINGS["frames_sheet"]()
    sheet.savefig(io.BytesIO(), format="png", dpi=60)
    box = sheet.axes[0].get_window_extent()
    assert box.width / box.height == pytest.approx(32 / 24, rel=0.02)


def test_headings_of_many_columns_do_not_touch():
    arms = ("raw", "grey", "histogram", "fda", "cyclegan", "cyclegan_texture", "cyclegan_joint")
    columns = {arm: stack(2, seed=i) for i, arm in enumerate((*arms, "oracle"))}
    residuals = {f"{arm} - oracle": (arm, "oracle") for arm in arms[-3:]}
    sheet, _ = figures.image_sheet(columns, residuals, NOTE, rows=["no", "yes"])
    sheet.set_dpi(200)
    sheet.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in sheet.axes[: len(columns) + 3]]
    assert all(one.x1 + 8 < other.x0 for one, other in itertools.pairwise(boxes))  # pixels


def test_flips_of_either_class_lie_within_their_panel():
    table = flips()
    table.loc[table["label"] == 1, ["value", "high"]] = 0.8, 0.9
    sheet, _ = figures.flip_dots(table, NOTE)
    for axes in sheet.axes:
        assert axes.get_xlim()[0] <= 0
        assert axes.get_xlim()[1] > 0.9


def test_a_curve_that_lies_on_another_leaves_it_to_be_seen():
    table = predictions()
    twin = table[table["arm"] == "raw"].assign(arm="recalibrated")
    sheet, _ = figures.roc_plot(pd.concat([table, twin]), dict.fromkeys(
        (*ARMS, "recalibrated"), 0.5
    ), NOTE, resamples=100)  # fmt: skip
    lines = {line.get_label().split("\n")[0]: line for line in sheet.axes[0].lines}
    assert (lines["raw"].is_dashed(), lines["recalibrated"].is_dashed()) == (False, True)


def test_phantoms_alone_are_not_called_real():
    sheet, _ = figures.device_comparison(dict(ED4=photographs()), {})
    text = " ".join(text.get_text() for text in sheet.texts)
    assert NOTE in text
    assert "real" not in text


def test_a_loss_that_is_not_used_is_named_and_not_drawn():
    sheet, _ = figures.loss_curves(training(), NOTE)
    assert "0 throughout: texture loss" in " ".join(text.get_text() for text in sheet.texts)
    shown = [axes.get_title() for axes in sheet.axes if axes.get_visible()]
    assert shown == ["cycle loss", "learning rate"]


def test_roc_table_carries_the_area_it_prints():
    _, drawn = DRAWINGS["roc_plot"]()
    for _, arm in drawn.groupby("arm"):
        area = np.trapezoid(arm["true_positive_rate"], arm["false_positive_rate"])
        assert area == pytest.approx(arm["auc"].iloc[0])
        assert (arm["auc_low"] < arm["auc"]).all()


def test_metric_bars_are_as_high_as_the_metrics():
    sheet, drawn = DRAWINGS["metric_bars"]()
    for axes, protocol in zip(sheet.axes, ("frozen", "optimistic"), strict=True):
        heights = sorted(bar.get_height() for bar in axes.patches)
        expected = drawn.loc[drawn["protocol"] == protocol, "value"].sort_values()
        assert heights == pytest.approx(expected.tolist())


def test_published_folds_are_marked():
    _, drawn = DRAWINGS["fold_dots"]()
    sources = drawn.groupby("series")["source"].unique().str[0].to_dict()
    assert sources == {"resnet10t grey": "ours", "EfficientNet-B7": "published"}


def test_confusion_shares_are_of_the_true_class():
    _, drawn = DRAWINGS["confusion_panel"]()
    assert drawn["share"].tolist()[:4] == [0.75, 0.25, 0.25, 0.75]
