from . import (
    ablations,
    arms,
    cell_arms,
    decision,
    fidelity,
    loss_comparison,
    repeats,
    safety,
    shift,
    statistics,
    transfer,
)
