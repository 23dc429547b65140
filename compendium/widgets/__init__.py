"""Every widget of the compendium, under one name.

A widget function returns what ``show`` displays. It reads predictions, pictures kept with the
results, or phantoms drawn on the spot: nothing is trained or translated when a slider moves.
"""

from compendium.widgets.device import device_bench
from compendium.widgets.images import spot_the_hallucination, swipe, texture_weight
from compendium.widgets.interactive import show
from compendium.widgets.threshold import threshold_slider

__all__ = [
    "device_bench",
    "show",
    "spot_the_hallucination",
    "swipe",
    "texture_weight",
    "threshold_slider",
]
