"""CycleGANs with an adaptive texture loss against domain shift in medical images."""
