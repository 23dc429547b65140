"""Parameters of the HoVer-Net that finds nuclei."""

from __future__ import annotations

from pydantic import Field

from engine.parameters import Parameters


class HoVerNetParameters(Parameters):
    """A small one: the published network has 64 filters at the first of four sizes, and bottlenecks
    four times as wide (Graham et al. 2019, section 3.1)."""

    hovernet_filters: int = Field(16, ge=4, le=256)  # at the first of four sizes
    hovernet_steps: int = Field(400, ge=1)
    hovernet_batch: int = Field(8, ge=2, le=1024)
    hovernet_rate: float = Field(3e-3, gt=0.0, lt=1.0)
    hovernet_decay_start: float = Field(0.5, ge=0.0, le=1.0)  # share of steps before the rate falls
