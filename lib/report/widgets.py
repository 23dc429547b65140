"""Every widget of the compendium, under one name.

A widget function returns what ``show`` displays. It reads predictions, pictures kept with the
results, or phantoms drawn on the spot: nothing is trained or translated when a slider moves.
"""

from lib.report.bench_widget import device_bench
from lib.report.image_widgets import spot_the_hallucination, swipe, texture_weight
from lib.report.interactive import show
from lib.report.threshold_widget import threshold_slider

__all__ = [
    "device_bench",
    "show",
    "spot_the_hallucination",
    "swipe",
    "texture_weight",
    "threshold_slider",
]
