"""What a translation is worth beyond its own phone and phantoms: other phones, real embryos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor

from engine.progress import progress
from lib.data.dataset import Dataset
from lib.data.images import decode
from lib.data.parameters import ImageParameters
from lib.data.phones import phone_series
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

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
UNTOUCHED = "grey"
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
    ``generators``; and the likeness to the truth, columns severity, arm, ``inside_ssim``, value,
    low, high, n (95 % BCa over images).
    """
    params = dataset.params
    series = phone_series(params, rows["id"].tolist(), SEVERITIES)
    reference = dataset.stack(dataset.rows(params.source_domain, "train"))
    predictions, alike = [], []
    for severity, stack in progress(series.looks.items(), label="severities"):
        looks = {UNTOUCHED: stack, "histogram": histogram_match(stack, reference)}
        looks |= {arm: translate(generator, stack) for arm, generator in generators.items()}
        for arm, look in looks.items():
            table = predict(classifier, look, rows, arm, params.seed)
            predictions.append(table.assign(severity=severity))
            ssim = likeness(series.truth, look, series.inside)["inside_ssim"].to_numpy()
            alike.append(dict(severity=severity, arm=arm, metric="inside_ssim",
                              **mean_interval(ssim)))  # fmt: skip
    return pd.concat(predictions, ignore_index=True), pd.DataFrame(alike)


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


def real_embryos(
    paths: Sequence[Path], params: ImageParameters, generators: Mapping[str, Generator]
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """Real photographs of the good device, taken again by the simulated phone, and brought back.

    Returns
    -------
    Columns arm (``grey``: not brought back), metric (inside_ssim, inside_error), value, low, high,
    n (95 % BCa over images); and the images: ``grey``, the arms of ``generators``, ``truth``.
    """
    pairs = through_phone([decode(path) for path in paths], params)
    looks = {"grey": pairs.look}
    looks |= {arm: translate(generator, pairs.look) for arm, generator in generators.items()}
    rows = []
    for arm, stack in looks.items():
        found = likeness(pairs.truth, stack, pairs.inside)
        rows += [dict(arm=arm, metric=name, **mean_interval(found[name].to_numpy()))
                 for name in found]  # fmt: skip
    return pd.DataFrame(rows), looks | {"truth": pairs.truth}


def real_words(table: pd.DataFrame) -> str:
    """Markdown: which arms come nearer to real embryos than the untouched photograph does."""
    ssim = table[table["metric"] == "inside_ssim"].set_index("arm")
    untouched = ssim.loc["grey"]
    lines = []
    for arm, row in ssim.drop(index="grey").iterrows():
        if row["low"] > untouched["high"]:
            words = "nearer to the truth than the photograph it was given"
        elif row["high"] < untouched["low"]:
            words = "**further from the truth than the photograph it was given**"
        else:
            words = "not told apart from the photograph it was given"
        told = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        own = f"{untouched['value']:.3f} [{untouched['low']:.3f}, {untouched['high']:.3f}]"
        lines.append(f"- {arm.replace('_', ' ')}: {words} (SSIM {told}, untouched {own}).")
    return "\n".join(lines)
