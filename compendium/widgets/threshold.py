"""A threshold to be moved: where it lies on the scores and the ROC, and whom it calls what."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from ipywidgets import HTML, Button, Dropdown, FloatSlider, VBox
from sklearn.metrics import roc_curve

from compendium.widgets.interactive import WIDE, panel, sheet_html, slider_layout
from lib.evaluation.metrics import binary_metrics, confusion
from lib.figures.style import (
    LABEL_NAMES,
    METRIC_NAMES,
    NEUTRAL,
    Drawn,
    arm_colour,
    arm_name,
    styled,
    titled_sheet,
)

_CLASSES = ("#0072B2", "#D55E00")


@styled
def threshold_panel(
    predictions: pd.DataFrame, threshold: float, note: str,
    label_names: Mapping[int, str] = LABEL_NAMES,
) -> Drawn:  # fmt: skip
    """Scores by class, ROC and confusion matrix of one arm at a threshold.

    Parameters
    ----------
    predictions
        Prediction table of one arm, a row an image.

    Returns
    -------
    The figure, and label, called, images of the confusion matrix.
    """
    arm = predictions["arm"].iloc[0]
    label, score = predictions["label"].to_numpy(), predictions["score"].to_numpy()
    counts = confusion(label, score, threshold)
    detail = f"n = {len(label)} images; line and dot: threshold {threshold:.3f}"
    sheet = titled_sheet(6.9, 2.1, f"{arm_name(arm)} at a threshold", note, detail)
    scores, roc, matrix = sheet.subplots(1, 3)
    for value, colour in enumerate(_CLASSES):
        scores.hist(
            score[label == value],
            20,
            range=(0, 1),
            color=colour,
            alpha=0.55,
            label=label_names[value],
        )
    scores.axvline(threshold, color="#222222")
    scores.set(xlabel="score", ylabel="images", xlim=(0, 1))
    scores.legend(loc="upper center", fontsize=6.5, frameon=True, framealpha=0.9, edgecolor="none")
    false, true, _ = roc_curve(label, score)
    roc.plot([0, 1], [0, 1], color=NEUTRAL, lw=0.8, ls=(0, (4, 3)))
    roc.plot(false, true, color=arm_colour(arm))
    rates = counts[:, 1] / counts.sum(axis=1)
    roc.plot(*rates, "o", color=arm_colour(arm), mec="white", ms=8, clip_on=False, zorder=4)
    roc.set(xlabel="false positive rate", ylabel="true positive rate")
    roc.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    shares = counts / counts.sum(axis=1, keepdims=True)
    matrix.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), number in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.55 else "#222222"
        matrix.text(column, row, f"{number}", color=ink, ha="center", va="center", size=10)
    names = [label_names[value].replace(" ", "\n") for value in (0, 1)]
    matrix.set_xticks([0, 1], names)
    matrix.set_yticks([0, 1], names)
    matrix.set(xlabel="called", ylabel="true")
    matrix.grid(False)
    drawn = [(row, column, int(number)) for (row, column), number in np.ndenumerate(counts)]
    return sheet, pd.DataFrame(drawn, columns=["label", "called", "images"])


def threshold_slider(
    predictions: pd.DataFrame, frozen: Mapping[str, float], note: str,
    label_names: Mapping[int, str] = LABEL_NAMES,
) -> VBox:  # fmt: skip
    """Move the threshold of an arm and see scores, ROC, confusion matrix and metrics follow.

    Parameters
    ----------
    predictions
        Prediction table, a row an image and arm.
    frozen
        Arm to its frozen threshold, where the slider begins.
    """
    arms = list(frozen)
    arm = Dropdown(
        options=[(arm_name(each), each) for each in arms], value=arms[0], description="arm",
        style=WIDE,
    )  # fmt: skip
    threshold = FloatSlider(
        value=frozen[arms[0]], min=0.0, max=1.0, step=0.01, description="threshold", style=WIDE,
        continuous_update=False, layout=slider_layout(),
    )  # fmt: skip
    back = Button(description="back to the frozen threshold", layout={"width": "16rem"})
    view = HTML()

    def draw(_=None) -> None:
        own = predictions[predictions["arm"] == arm.value]
        sheet, _ = threshold_panel(own, threshold.value, note, label_names)
        reached = binary_metrics(own["label"], own["score"], threshold.value)
        numbers = ", ".join(f"{METRIC_NAMES[name]} {value:.3f}" for name, value in reached.items())
        counts = confusion(own["label"], own["score"], threshold.value)
        right = " and ".join(
            f"{counts[value, value]} of {counts[value].sum()} {label_names[value]}"
            for value in (1, 0)
        )
        said = f"Threshold {threshold.value:.3f}: {right} called right; {numbers}."
        view.value = sheet_html(sheet, said)

    def freeze(_=None) -> None:
        threshold.value = frozen[arm.value]

    def change(_) -> None:
        freeze()
        draw()

    arm.observe(change, "value")
    threshold.observe(draw, "value")
    back.on_click(freeze)
    draw()
    return panel("Where to cut?", note, arm, threshold, back, view)
