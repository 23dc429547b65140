"""How a computation is run, kept and found again; it knows nothing of images or networks."""
