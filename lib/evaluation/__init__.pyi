from . import (
    ablations,
    arms,
    decision,
    loss_comparison,
    quality,
    repeats,
    safety,
    shift,
    statistics,
)
