"""Whether half the precision costs anything: translators in bfloat16 and in float32."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from compendium.bench.quality import open_scene
from lib.models.fitting import TranslatorRecipe, fit_translators

SEEDS = (0, 1, 2, 3, 4)


def measure_precision(folder: Path, threads: int, profile: str = "quick") -> pd.DataFrame:
    """Train the translator of ``profile`` from ``SEEDS`` in both precisions.

    Returns
    -------
    Columns precision, seed, auc: of the target's hold-out, by the classifier of a finished run.
    """
    scene = open_scene(profile)
    recipes = {
        f"{precision} {seed}": TranslatorRecipe(
            [scene.params.target_domain], True, changes=dict(precision=precision, seed=seed)
        )
        for precision in ("32-true", "bf16-mixed")
        for seed in SEEDS
    }
    fits = fit_translators(scene.dataset, recipes, scene.ensemble.networks[0])
    rows = [(*name.split(), scene.look(fit.to_source)) for name, (fit, _) in fits.items()]
    return pd.DataFrame(rows, columns=["precision", "seed", "auc"]).astype(dict(seed=int))
