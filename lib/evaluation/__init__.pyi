from . import (
    ablations,
    arms,
    decision,
    fidelity,
    loss_comparison,
    repeats,
    safety,
    shift,
    statistics,
    transfer,
)
