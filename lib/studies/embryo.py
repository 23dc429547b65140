"""Blastocyst or not: ED4 reads ED1 and ED3 (notebooks 01 to 05)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from engine.parameters import SeveralTrainings, check_params
from engine.study import Study
from lib.models.adaptation_parameters import AdaptationParameters
from lib.models.cut_parameters import CutParameters
from lib.models.parameters import TranslationParameters

if TYPE_CHECKING:
    from lib.data.interface import Source

# Whoever reads parameters imports this: what takes seconds to import, it imports when it is called.


class EmbryoParameters(
    TranslationParameters, CutParameters, AdaptationParameters, SeveralTrainings
):
    """What this study asks beyond images, classifier and translator."""

    repeated_splits: int = Field(1, ge=1, le=100)  # divisions of the images, in notebook 04
    texture_strong_weight: float = Field(30.0, gt=0.0)  # times the weight, in an ablation
    rivals: bool = False  # notebook 04: adapted classifiers, CUT, and what labels would buy
    ablation_study: bool = True  # notebook 03: two translators that are known to fail
    loss_study: bool = False  # notebook 03: texture losses by constraints, from every seed
    study_steps: int = Field(450, ge=1)  # of each of its translators
    prior_stress: bool = False  # translators for other shares of positives, in notebook 04
    # Share of positives where it is to be decided, for PPV and NPV; None: that of the hold-out.
    prevalence: float | None = Field(None, gt=0.0, lt=1.0)


def open_images(params: EmbryoParameters, data_root: Path) -> Source:
    """The images that the parameters name, see `lib.data.sources.open_source`."""
    from lib.data.sources import open_source

    return open_source(params, data_root)


def check(params: EmbryoParameters, images: Source) -> None:
    """Divide the images and build the networks once, so that nothing fails later.

    Raises
    ------
    InputError
        Images that cannot be divided, fewer than are to be labelled, an unknown network, or weights
        that cannot be had.
    """
    from lib.data.splits import split_table
    from lib.models.fitting import check_networks
    from lib.models.rivals import label_counts, labelled_few

    split = split_table(images.table(), params.folds, params.holdout_shares, params.seed)
    if params.rivals:
        own = split[(split["domain"] == params.target_domain) & (split["split"] == "train")]
        for count in label_counts(params).values():
            labelled_few(own, count, params.seed)
    # Notebook 03 compares the published loss with all others, whatever the parameters name.
    if params.loss_study or images.truth_domains:
        published = params.model_dump() | dict(texture_loss="efficientnet")
        params = check_params(published, "notebook 03")
    check_networks(params)


STUDY = Study(
    notebooks=(
        "01_data_audit",
        "02_baseline_classifier",
        "03_cyclegan_texture",
        "04_evaluation",
        "05_ed3_generalization",
    ),
    parameters=EmbryoParameters,
    open_images=open_images,
    check=check,
)
