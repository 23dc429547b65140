"""Parameters of the contrastive translators."""

from __future__ import annotations

from pydantic import Field

from lib.models.parameters import TranslatorParameters


class CutParameters(TranslatorParameters):
    """CUT and FastCUT, see ``lib.models.cut``.

    Networks, batches, flips and the decay of the rate are those of the CycleGAN. Weights are never
    averaged over the steps.
    """

    cut_steps: int = Field(900, ge=1)
    cut_rate: float = Field(5e-4, gt=0.0, lt=1.0)
    # Of the contrastive loss beside the adversarial one: of CUT, where that of the identity weighs
    # the same, and of FastCUT, which has none. The published code has 0.5 each, and 10, which keep
    # the old look; on phantoms of other seeds neither more nor less than these was better.
    cut_weight: float = Field(0.1, ge=0.0)
    cut_fast_weight: float = Field(0.2, ge=0.0)
