"""Objects from a seed, and the devices that photograph them step by step."""
