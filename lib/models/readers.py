"""A network that finds objects, once it is trained."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from torch import nn


@dataclass(frozen=True)
class FittedReader:
    """A trained network: what it calls object from ``threshold`` on, its history, and the processor
    time that its training took (NaN where it is not known)."""

    network: nn.Module
    threshold: float
    history: pd.DataFrame
    seconds: float
