"""The classifier, the CycleGAN, its texture losses and how they are trained."""
