"""How fast the engine is, how soon it is good, and how its cost grows with the images."""
