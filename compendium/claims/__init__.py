"""The published claims: what was printed, what the kept predictions say of it, and how firmly."""
