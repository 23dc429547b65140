"""Parameters of the study of stains: tissue, translators, detectors, and GANs that augment."""

from __future__ import annotations

from engine.parameters import SeveralTrainings
from lib.data.tissue_parameters import TissueParameters
from lib.models.cut_parameters import CutParameters
from lib.models.gan_parameters import AugmentationParameters
from lib.models.hovernet_parameters import HoVerNetParameters


class StainParameters(
    TissueParameters, CutParameters, HoVerNetParameters, AugmentationParameters, SeveralTrainings
):
    """What this study asks beyond tissue, translators, detectors and GANs."""

    published_weights: str = ""  # local file of HoVer-Net's authors; an arm more where it is given
