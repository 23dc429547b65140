"""Parameters of the classifiers that are adapted to a target domain."""

from __future__ import annotations

from pydantic import Field

from lib.models.parameters import ClassifierParameters


class AdaptationParameters(ClassifierParameters):
    """The classifier, what makes it sturdier, and the game that adapts it."""

    randomised_epochs: int = Field(40, ge=1, le=1000)  # of the classifier of lib.models.rivals
    adapted_folds: int = Field(5, ge=1, le=20)  # at most; of these and of the sturdier classifier
    adapted_epochs: int = Field(40, ge=1, le=1000)
    adapted_weight: float = Field(1.0, ge=0.0)  # what the reversed gradient grows to
    adapted_rate: float = Field(3e-3, gt=0.0, lt=1.0)
    discriminator_rate: float = Field(1e-3, gt=0.0, lt=1.0)
    discriminator_width: int = Field(256, ge=4, le=8192)
    mdnet_rate: float = Field(1e-2, gt=0.0, lt=1.0)  # gradient descent with momentum
    # Labelled target images that a clinic could give: an arm for each, separated by commas.
    label_counts: str = Field("10,30,100", pattern=r"^\d+(,\d+)*$")
    source_free_rate: float = Field(1e-3, gt=0.0, lt=1.0)  # likewise, without source images
