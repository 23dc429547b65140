"""Minutes until the simulated arm is as good, and as true to the embryo, as a CycleGAN ends."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor, nn

from compendium.bench.figures import fidelity_plot
from compendium.bench.quality import SEEDS, Scene, open_scene
from engine.checkpoints import Checkpoints
from engine.progress import progress
from lib.data.random_looks import random_looks
from lib.evaluation.fidelity import likeness
from lib.figures.style import save_figure
from lib.models.simulation import train_simulated
from lib.models.texture import build_texture_loss
from lib.models.translation import train_translator, translate

LOOKS = 30  # in a training
MEASURES = ("auc", "inside_ssim")

Look = Callable[[nn.Module], dict[str, float]]


class _Clock(Checkpoints):
    """Counts the time of training alone, and looks at the generator now and then."""

    def __init__(self, look: Look, every: int, of: Callable[[Mapping], nn.Module]) -> None:
        super().__init__()
        self.look, self.every, self.of = look, every, of
        self.rows: list[dict[str, float]] = []
        self.spent, self.since = 0.0, time.perf_counter()

    def keep(self, step, parts, history) -> None:
        self.spent += time.perf_counter() - self.since
        if step % self.every == 0:
            self.rows.append(dict(step=step, seconds=self.spent, **self.look(self.of(parts))))
        self.since = time.perf_counter()


def measure_fidelity(folder: Path, threads: int, profile: str = "quick") -> pd.DataFrame:
    """Train the CycleGAN with its texture loss, and the simulated arm, from ``SEEDS``.

    What is to be reached is where each CycleGAN ends: AUC of the run's own classifier on the first
    hold-out images of the target, and SSIM to the truth inside the embryo. A training has reached
    it from when on both are as high, at every look until its end. The time to draw the phantoms
    counts for the simulated arm; it is drawn anew for every seed. A figure goes to ``folder``.

    Returns
    -------
    Columns seed, arm, auc and inside_ssim (at the end), drawing (minutes, of phantoms), trained
    (minutes, drawing included), reached (minutes; NaN: never), share (of the minutes that the
    CycleGAN of this seed needs).
    """
    scene = open_scene(profile)
    params = scene.params.model_copy(update=dict(threads=threads))
    look = _look(scene)
    classifier = scene.ensemble.networks[0]
    loss = build_texture_loss(params.texture_loss, classifier, params)
    true_loss = build_texture_loss(params.simulated_texture_loss, classifier, params)
    curves, rows = [], []
    for seed in progress(SEEDS, label="seeds"):
        steps = params.translator_steps
        clock = _Clock(look, max(1, steps // LOOKS), lambda parts: parts["averaged"][0])
        train_translator(scene.target, scene.source, loss, params, steps, seed, clock)
        cyclegan = _curve(clock, "cyclegan_texture", seed)
        begun = time.perf_counter()
        looks = random_looks(params, params.simulated_phantoms, params.simulated_looks, seed)
        drawing = time.perf_counter() - begun
        clock = _Clock(
            look, max(1, params.simulated_steps // LOOKS), lambda parts: parts["network"].to_source
        )
        train_simulated(looks, true_loss, params, seed, clock)
        simulated = _curve(clock, "simulated", seed, drawing)
        curves += [cyclegan, simulated]
        rows += compared(cyclegan, simulated, drawing)
    drawn = pd.concat(curves, ignore_index=True)
    save_figure(*fidelity_plot(drawn, scene.note, len(scene.labels)), folder / "bench_fidelity")
    return pd.DataFrame(rows)


def compared(
    cyclegan: pd.DataFrame, simulated: pd.DataFrame, drawing: float
) -> list[dict[str, float]]:
    """The rows of one seed; curves have the columns arm, seed, minutes and ``MEASURES``."""
    level = cyclegan.iloc[-1]
    rows = []
    for curve, seconds in ((cyclegan, 0.0), (simulated, drawing)):
        good = np.logical_and.reduce([curve[name] >= level[name] for name in MEASURES])
        stays = np.logical_and.accumulate(good[::-1])[::-1]
        last = curve.iloc[-1]
        rows.append(
            dict(seed=int(last["seed"]), arm=last["arm"], auc=last["auc"],
                 inside_ssim=last["inside_ssim"], drawing=seconds / 60, trained=last["minutes"],
                 reached=float(curve["minutes"][stays].min()))
        )  # fmt: skip
    for row in rows:
        row["share"] = row["reached"] / rows[0]["reached"]
    return rows


def _look(scene: Scene) -> Look:
    holdout = scene.dataset.rows(scene.params.target_domain, "holdout").head(len(scene.labels))
    truth, inside = scene.dataset.truth(holdout), scene.dataset.outline(holdout)

    def look(generator: nn.Module) -> dict[str, float]:
        made: Tensor = translate(copy.deepcopy(generator).eval(), scene.stack)
        ssim = likeness(truth, made, inside)["inside_ssim"]
        return dict(auc=scene.auc(made), inside_ssim=float(ssim.mean()))

    return look


def _curve(clock: _Clock, arm: str, seed: int, before: float = 0.0) -> pd.DataFrame:
    table = pd.DataFrame(clock.rows)
    return table.assign(arm=arm, seed=seed, minutes=(table["seconds"] + before) / 60)
