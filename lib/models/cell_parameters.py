"""Parameters of the study of cells: fields, translators, U-Nets, and what is compared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.parameters import SeveralTrainings
from lib.data.culture_parameters import CultureParameters
from lib.models.parameters import TranslatorParameters
from lib.models.unet_parameters import UNetParameters


class CellParameters(CultureParameters, TranslatorParameters, UNetParameters, SeveralTrainings):
    """What this study asks beyond fields, translators and U-Nets."""

    fda_beta: float = Field(0.05, gt=0.0, le=0.5)  # share of the spectrum taken from the source
    # Where the discriminator looks in the rows of Table 1 that change the source images.
    reversal_place: Literal["bottom", "up_1", "up_2", "last"] = "bottom"
