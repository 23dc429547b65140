"""Figures and tables as a reader sees them."""
