"""Parameters of the U-Net that finds cells, and of the discriminator it may play against."""

from __future__ import annotations

from pydantic import Field

from engine.parameters import Parameters


class UNetParameters(Parameters):
    """As published (Aarnio et al. 2022, sections 3.6 and 4) but for the length: Adam at a constant
    1e-3, batches of five. Twenty epochs of its 5239 images are 20956 steps."""

    unet_filters: int = Field(64, ge=4, le=256)  # at the first of four sizes
    unet_steps: int = Field(20956, ge=1)
    unet_long_steps: int = Field(20956, ge=1)  # of those that have many times the images, or bound
    unet_batch: int = Field(5, ge=2, le=1024)
    unet_rate: float = Field(1e-3, gt=0.0, lt=1.0)
    unet_decay_start: float = Field(1.0, ge=0.0, le=1.0)  # share of the steps before the rate falls
    reversal_weight: float = Field(1.0, gt=0.0)  # coefficient of the reversed gradient at the end
    reversal_hidden: int = Field(64, ge=1, le=4096)  # units of the discriminator's hidden layer
