from . import ablations, arms, loss_comparison, quality, repeats, safety, shift, statistics
