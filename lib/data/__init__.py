"""Images, their splits, the simulated embryos and the devices that photograph them."""
