"""What scores say without labels: how far they moved, and how well they are calibrated with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, ks_2samp, wasserstein_distance
from sklearn.metrics import brier_score_loss

from lib.evaluation.bootstrap import LEVEL
from lib.evaluation.intervals import mean_interval
from lib.evaluation.metrics import expected_calibration_error, logits_of
from lib.models.calibration import Calibration


def score_shift(home: Mapping[str, pd.DataFrame], combined: pd.DataFrame) -> pd.DataFrame:
    """How far the scores of every arm lie from those of the same classifier on source images.

    A classifier that reads the target as it read the source gives like scores, if as many images
    are positive; no label enters. A large shift warns, a small one proves nothing.

    Parameters
    ----------
    home
        Arm to the prediction table of its classifier on images of the source hold-out.
    combined
        Prediction table with the column arm; of the arms that ``home`` has not, nothing is said.

    Returns
    -------
    Columns arm, ks (largest distance of the distribution functions, 0 to 1), low, high (95 %
    bootstrap over images), p (two-sample Kolmogorov-Smirnov), wasserstein (of the logits), n.
    """
    rows = []
    for arm, table in combined[combined["arm"].isin(list(home))].groupby("arm", sort=False):
        near, away = logits_of(home[arm]["score"]), logits_of(table["score"])
        test = ks_2samp(near, away)
        limits = bootstrap(
            (near, away), lambda a, b: ks_2samp(a, b).statistic, n_resamples=500,
            vectorized=False, method="percentile", confidence_level=LEVEL,
            rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
        rows.append(
            dict(arm=arm, ks=float(test.statistic), low=float(limits.low), high=float(limits.high),
                 p=float(test.pvalue), wasserstein=float(wasserstein_distance(near, away)),
                 n=len(away))
        )  # fmt: skip
    return pd.DataFrame(rows)


def calibration_table(
    predictions: pd.DataFrame, calibrations: Sequence[Calibration]
) -> pd.DataFrame:
    """Brier score and ECE of raw, temperature-scaled and Platt-scaled scores on the same images.

    Parameters
    ----------
    predictions
        One row an image and fold; scores as ``FoldEnsemble`` gives them, by Platt's map.
    calibrations
        That of every fold, both maps fitted on its own source validation images.

    Returns
    -------
    Columns method, brier, low, high (95 % BCa over images), ece, n; means over the folds. Folds
    with a slope of 0 have lost their logits and count for Platt only.
    """
    fold = predictions["fold"].to_numpy()
    slope, offset, temperature = (
        np.array([getattr(calibration, name) for calibration in calibrations])[fold]
        for name in ("slope", "offset", "temperature")
    )
    platt = logits_of(predictions["score"])
    raw = np.divide(platt - offset, slope, out=np.full(len(slope), np.nan), where=slope != 0)
    rows = []
    for method, logits in (("none", raw), ("temperature", raw / temperature), ("Platt", platt)):
        table = predictions.assign(score=1 / (1 + np.exp(-logits))).dropna(subset="score")
        table["error"] = (table["score"] - table["label"]) ** 2
        by_image = mean_interval(table.groupby("id")["error"].mean().to_numpy())
        brier = brier_score_loss(table["label"], table["score"]) if len(table) else np.nan
        errors = [
            expected_calibration_error(part["label"], part["score"])
            for _, part in table.groupby("fold")
        ]
        rows.append(
            dict(method=method, brier=brier, low=by_image["low"],
                 high=by_image["high"], ece=float(np.mean(errors)) if errors else np.nan,
                 n=by_image["n"])
        )  # fmt: skip
    return pd.DataFrame(rows)
