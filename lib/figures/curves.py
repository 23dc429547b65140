"""Figures made of curves: training, losses, ROC, calibration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from sklearn.metrics import roc_curve

from lib.evaluation.metrics import expected_calibration_error, reliability
from lib.evaluation.statistics import metric_intervals, roc_band
from lib.figures.style import NEUTRAL, Drawn, arm_colour, arm_name, styled, titled_sheet

_CURVE_NAMES = {
    "loss": "training loss",
    "valid_auc": "validation AUC",
    "texture_weight": "texture weight",
    "rate": "learning rate",
}


def _curve_name(column: str) -> str:
    return _CURVE_NAMES.get(column, f"{column} loss")


@styled
def learning_curves(history: pd.DataFrame, note: str) -> Drawn:
    """Classifier training: each recorded number against the epoch, thin a fold, thick their mean.

    Parameters
    ----------
    history
        Columns fold, epoch, and one per number (loss, valid_auc, ...).
    """
    names = [column for column in history if column not in ("fold", "epoch")]
    folds = history["fold"].nunique()
    detail = f"{folds} folds; thin: each fold, thick: mean, band: ± 1 SD"
    sheet = titled_sheet(3.1 * len(names), 2.1, "Training of the classifier", note, detail)
    for axes, name in zip(np.atleast_1d(sheet.subplots(1, len(names))), names, strict=True):
        for _, fold in history.groupby("fold"):
            axes.plot(fold["epoch"], fold[name], color="#0072B2", alpha=0.3, lw=0.8)
        over = history.groupby("epoch")[name].agg(["mean", "std"]).fillna(0)
        axes.fill_between(
            over.index, over["mean"] - over["std"], over["mean"] + over["std"],
            color="#0072B2", alpha=0.15, lw=0,
        )  # fmt: skip
        axes.plot(over.index, over["mean"], color="#0072B2", lw=2)
        axes.set(xlabel="epoch", ylabel=_curve_name(name))
        axes.xaxis.get_major_locator().set_params(integer=True)
    return sheet, history.copy()


def _scale(axes: Axes, name: str, values: pd.Series) -> None:
    if name == "texture_weight":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # it may keep within a decade
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, 1.1 * np.quantile(values, 0.995))  # spikes would flatten every curve
        axes.locator_params(axis="y", nbins=4)
    axes.yaxis.set_major_formatter("{x:.3g}")


@styled
def loss_curves(history: pd.DataFrame, note: str) -> Drawn:
    """Translator training: every loss and weight against the step, one panel each.

    One that is 0 throughout is named, not drawn. The texture weight, which can differ between arms
    by orders of magnitude, has a logarithmic axis.

    Parameters
    ----------
    history
        Columns step, one per loss or weight, and optionally arm: one curve per arm then.

    Returns
    -------
    The figure, and the running means (over 1/25 of the steps) that are drawn thick.
    """
    keyed = history if "arm" in history else history.assign(arm="cyclegan_texture")
    every = [column for column in keyed if column not in ("arm", "step")]
    names = [name for name in every if keyed[name].any()]
    window = max(1, keyed["step"].nunique() // 25)
    columns = min(4 if len(names) > 6 else 3, len(names))
    rows = -(-len(names) // columns)
    detail = f"{keyed['step'].nunique()} steps; thin: each step, thick: mean of {window} steps"
    if unused := [_curve_name(name) for name in every if name not in names]:
        detail += f"; 0 throughout: {', '.join(unused)}"
    sheet = titled_sheet(6.9, 1.6 * rows + 0.2, "Training of the translator", note, detail)
    grid = sheet.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    drawn = []
    for arm, curve in keyed.groupby("arm", sort=False):
        smooth = curve[every].rolling(window, center=True, min_periods=1).mean()
        drawn.append(smooth.assign(arm=arm, step=curve["step"])[["arm", "step", *every]])
        for axes, name in zip(grid, names, strict=False):
            if curve[name].any():  # else the arm is trained without it
                axes.plot(curve["step"], curve[name], color=arm_colour(arm), alpha=0.25, lw=0.6)
                axes.plot(curve["step"], smooth[name], color=arm_colour(arm), label=arm_name(arm))
    for axes, name in zip(grid, names, strict=False):
        axes.set_title(_curve_name(name))
        axes.locator_params(axis="x", nbins=4)
        _scale(axes, name, keyed[name])
    for axes in grid[max(0, len(names) - columns) : len(names)]:
        axes.set_xlabel("step")
    if "arm" in history:
        lines, arms = grid[0].get_legend_handles_labels()
        sheet.legend(lines, arms, loc="outside lower center", ncols=len(arms))
    return sheet, pd.concat(drawn, ignore_index=True)


@styled
def roc_plot(
    predictions: pd.DataFrame, thresholds: Mapping[str, float], note: str, title: str = "ROC",
    resamples: int = 2000, seed: int = 0,
) -> Drawn:  # fmt: skip
    """ROC of every arm with a 95 % bootstrap band and the AUC's interval (Fig. 4, 9).

    Parameters
    ----------
    predictions
        Prediction table with the column arm.
    thresholds
        Arm to its frozen threshold, marked on the curve.

    Returns
    -------
    The figure, and arm, false_positive_rate, true_positive_rate, low, high (band), auc, auc_low,
    auc_high.
    """
    arms = list(dict.fromkeys(predictions["arm"]))
    first = predictions[predictions["arm"] == arms[0]]
    counts = first.drop_duplicates("id")["label"].value_counts()
    detail = (
        f"n = {counts.sum()} images, {counts[1]} positive; band and brackets: 95 % bootstrap over "
        "groups; dot: frozen threshold; diagonal: chance"
    )
    sheet = titled_sheet(5.7, max(3.75, 0.36 * len(arms)), title, note, detail)
    axes, key = sheet.subplots(1, 2, width_ratios=[2.1, 1])
    key.axis("off")
    axes.plot([0, 1], [0, 1], color=NEUTRAL, lw=0.8, ls=(0, (4, 3)))
    drawn, curves = [], []
    for arm in arms:
        own = predictions[predictions["arm"] == arm]
        false, true, _ = roc_curve(own["label"], own["score"], drop_intermediate=False)
        low, high = roc_band(own, false, resamples=resamples // 4, seed=seed)
        table = metric_intervals(own, thresholds[arm], resamples, seed).set_index("metric")
        auc = table.loc["auc"]
        colour = arm_colour(arm)
        axes.fill_between(false, low, high, color=colour, alpha=0.10, lw=0)
        told = f"{arm_name(arm)}\n{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]"
        same = any(np.array_equal(rates, (false, true)) for rates in curves)
        curves.append((false, true))
        dashes = (0, (3, 3)) if same else "-"  # one that lies on another leaves it to be seen
        axes.plot(false, true, color=colour, label=told, ls=dashes)
        called = own["score"] >= thresholds[arm]
        axes.plot(
            called[own["label"] == 0].mean(), called[own["label"] == 1].mean(), "o", color=colour,
            mec="white", ms=6.5, zorder=4, clip_on=False,
        )  # fmt: skip
        drawn.append(
            pd.DataFrame(
                dict(
                    arm=arm, false_positive_rate=false, true_positive_rate=true, low=low, high=high,
                    auc=auc.value, auc_low=auc.low, auc_high=auc.high,
                )
            )
        )  # fmt: skip
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_xlabel("false positive rate (1 − specificity)")
    axes.set_ylabel("true positive rate (sensitivity)")
    lines, names = axes.get_legend_handles_labels()
    key.legend(
        lines, names, loc="center left", title="AUC [95 % interval]", alignment="left",
        labelspacing=0.8, borderaxespad=0,
    )  # fmt: skip
    return sheet, pd.concat(drawn, ignore_index=True)


@styled
def calibration_plot(predictions: pd.DataFrame, note: str, bins: int = 10) -> Drawn:
    """Reliability diagram of every arm, with how often each score is given.

    Parameters
    ----------
    predictions
        Prediction table with the column arm.

    Returns
    -------
    The figure, and arm, score, share, low, high, n of every bin, and the arm's ece.
    """
    arms = list(dict.fromkeys(predictions["arm"]))
    columns = min(4, len(arms))
    rows = -(-len(arms) // columns)
    detail = (
        f"n = {predictions['id'].nunique()} images; bars: 95 % Wilson interval; steps below: how "
        "often a score is given; ECE: expected calibration error"
    )
    sheet = titled_sheet(
        max(4.0, 1.65 * columns + 0.3), 1.85 * rows + 0.2, "Calibration of the scores", note, detail
    )
    grid = sheet.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    drawn = []
    for axes, arm in zip(grid.flat, arms, strict=False):
        own = predictions[predictions["arm"] == arm]
        table = reliability(own["label"], own["score"], bins)
        ece = expected_calibration_error(own["label"], own["score"], bins)
        colour = arm_colour(arm)
        given, edges = np.histogram(own["score"], bins, (0, 1))
        axes.stairs(0.25 * given / given.max(), edges, fill=True, color=colour, alpha=0.22)
        axes.plot([0, 1], [0, 1], color=NEUTRAL, lw=0.8, ls=(0, (4, 3)))
        axes.vlines(table["score"], table["low"], table["high"], color=colour, lw=1)
        axes.plot(table["score"], table["share"], "o-", color=colour, ms=3.5)
        axes.set_title(f"{arm_name(arm)}\nECE {ece:.3f}")
        axes.set_xticks([0, 0.5, 1])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        drawn.append(table.assign(arm=arm, ece=ece))
    for axes in grid.flat[len(arms) :]:
        axes.set_visible(False)
    sheet.supxlabel("score (probability of the positive class)", size=8)
    sheet.supylabel("share of positive images", size=8)
    return sheet, pd.concat(drawn, ignore_index=True)
