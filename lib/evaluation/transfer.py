"""What a translation is worth beyond its own phone and phantoms: other devices, other embryos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor

from engine.progress import progress
from lib.data.dataset import Dataset
from lib.data.images import decode
from lib.data.parameters import ImageParameters
from lib.data.phones import photographed_by
from lib.data.real_embryos import through_phone
from lib.evaluation.arms import predict
from lib.evaluation.controls import histogram_match
from lib.evaluation.fidelity import likeness
from lib.evaluation.intervals import mean_interval
from lib.evaluation.metrics import combine_folds
from lib.evaluation.relevance import with_verdicts
from lib.evaluation.statistics import metric_intervals, paired_difference
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import Generator
from lib.models.translation import translate
from lib.phantom.optics import DEVICES
from lib.phantom.phone import phone
from lib.phantom.random_optics import lit_from_the_side

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
UNTOUCHED = "grey"
RECOVERED = "recovered"
_OTHER = {"cavity": "grain", "grain": "cavity"}  # phantom_label: the same embryos, other texture
RESAMPLES = 1000


def judge_series(
    dataset: Dataset, rows: pd.DataFrame, classifier: FoldEnsemble,
    generators: Mapping[str, Generator],
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Show the phantoms of ``rows`` by phones of every severity, untouched and translated.

    Parameters
    ----------
    rows
        Of the target's hold-out.
    generators
        Arm to the translator that it sends images through, the same at every severity.

    Returns
    -------
    Prediction table with the column severity, arms ``grey`` (untouched), ``histogram`` and those of
    ``generators``; and the likeness to the truth, columns severity, arm, metric (inside_ssim,
    inside_error), value, low, high, n (95 % BCa over images).
    """
    params = dataset.params
    machines = {severity: phone(severity) for severity in SEVERITIES}
    series = photographed_by(params, rows["id"].tolist(), machines)
    reference = dataset.stack(dataset.rows(params.source_domain, "train"))
    predictions, alike = [], []
    for severity, stack in progress(series.looks.items(), label="severities"):
        looks = _translated(stack, generators)
        looks["histogram"] = histogram_match(stack, reference)
        for arm, look in looks.items():
            table = predict(classifier, look, rows, arm, params.seed)
            predictions.append(table.assign(severity=severity))
        alike.append(_alike(series.truth, looks, series.inside).assign(severity=severity))
    return pd.concat(predictions, ignore_index=True), pd.concat(alike, ignore_index=True)


def by_severity(predictions: pd.DataFrame, threshold: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each arm is read with at every severity, and how far it is from the untouched image.

    Returns
    -------
    Columns severity, arm, metric (auc, balanced_accuracy), value, low, high, n; and severity, arm,
    metric, untouched (value), difference, low, high, n, verdict (``relevance.verdict``). 95 % BCa,
    differences paired by image.
    """
    values, differences = [], []
    for severity, series in progress(predictions.groupby("severity"), label="severities"):
        tables = dict(list(combine_folds(series).groupby("arm", sort=False)))
        for arm, table in tables.items():
            found = metric_intervals(table, threshold, RESAMPLES)
            found = found[found["metric"].isin(["auc", "balanced_accuracy"])]
            values.append(found.drop(columns="groups").assign(severity=severity, arm=arm))
            if arm == UNTOUCHED:
                continue
            for metric in ("auc", "balanced_accuracy"):
                pair = paired_difference(
                    tables[UNTOUCHED], table, metric, threshold, threshold, RESAMPLES
                )
                kept = {name: pair[name] for name in ("difference", "low", "high", "n")}
                differences.append(
                    dict(severity=severity, arm=arm, metric=metric, untouched=pair["a"], **kept)
                )
    order = ["severity", "arm", "metric", "value", "low", "high", "n"]
    table = pd.concat(values, ignore_index=True)[order]
    return table, with_verdicts(pd.DataFrame(differences))


def judge_elsewhere(
    dataset: Dataset, rows: pd.DataFrame, generators: Mapping[str, Generator]
) -> pd.DataFrame:
    """How true translations are on the phantoms of ``rows`` by ED1, and on what none was made for.

    Returns
    -------
    Columns where, arm (``grey``: untouched, and those of ``generators``), metric (inside_ssim,
    inside_error), value, low, high, n (95 % BCa over images). Where: ``ED1``; ``other texture``,
    the same embryos by ED1 with the texture of the other ``phantom_label``; ``lamp at the side``,
    a microscope whose lamp stands where no random one's does, all else within their ranges.
    """
    params, ids = dataset.params, rows["id"].tolist()
    other = params.model_copy(update=dict(phantom_label=_OTHER[params.phantom_label]))
    usual = DEVICES["ED1"]
    own = photographed_by(params, ids, {"ED1": usual, "lamp at the side": lit_from_the_side()})
    textured = photographed_by(other, ids, {"other texture": usual})
    places = {"ED1": own, "other texture": textured, "lamp at the side": own}
    parts = []
    for where, series in progress(places.items(), label="elsewhere"):
        looks = _translated(series.looks[where], generators)
        parts.append(_alike(series.truth, looks, series.inside).assign(where=where))
    table = pd.concat(parts, ignore_index=True)
    return table[["where", *(name for name in table if name != "where")]]


def _translated(look: Tensor, generators: Mapping[str, Generator]) -> dict[str, Tensor]:
    made = {arm: translate(generator, look) for arm, generator in generators.items()}
    return {UNTOUCHED: look} | made


def _alike(truth: Tensor, looks: Mapping[str, Tensor], inside: Tensor) -> pd.DataFrame:
    """The likeness of each look, columns arm, metric, value, low, high, n."""
    rows = []
    for arm, stack in looks.items():
        found = likeness(truth, stack, inside)
        rows += [dict(arm=arm, metric=name, **mean_interval(found[name].to_numpy()))
                 for name in found]  # fmt: skip
    return pd.DataFrame(rows)


def real_embryos(
    paths: Sequence[Path], params: ImageParameters, generators: Mapping[str, Generator]
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """Real embryos of the good device, as the simulated phone takes them, and brought back.

    Returns
    -------
    Columns arm (``grey``: not brought back; ``recovered``: what the simulated good device makes
    of the recovered height), metric (inside_ssim, inside_error), value, low, high, n
    (95 % BCa over images); and the images: ``grey``, the arms of ``generators``, ``recovered``,
    ``truth``.
    """
    pairs = through_phone([decode(path) for path in paths], params)
    looks = _translated(pairs.look, generators) | {RECOVERED: pairs.again}
    return _alike(pairs.truth, looks, pairs.inside), looks | {"truth": pairs.truth}


def real_words(table: pd.DataFrame) -> str:
    """Markdown: which arms come nearer to real embryos than the untouched photograph does."""
    ssim = table[table["metric"] == "inside_ssim"].set_index("arm")

    def told(arm: str) -> str:
        return "{value:.3f} [{low:.3f}, {high:.3f}]".format(**ssim.loc[arm])

    untouched = ssim.loc[UNTOUCHED]
    lines = []
    for arm, row in ssim.drop(index=[UNTOUCHED, RECOVERED]).iterrows():
        if row["low"] > untouched["high"]:
            words = "nearer to the truth than the photograph it was given"
        elif row["high"] < untouched["low"]:
            words = "**further from the truth than the photograph it was given**"
        else:
            words = "not told apart from the photograph it was given"
        lines.append(f"- {arm.replace('_', ' ')}: {words} (SSIM {told(arm)}).")
    lines.append(
        f"- For comparison: the photograph itself {told(UNTOUCHED)}; what the simulated good "
        f"device reaches with the same recovered embryos {told(RECOVERED)}."
    )
    return "\n".join(lines)
