"""A device bench: one phantom embryo, and the optical faults of the phone on switches."""

from __future__ import annotations

import numpy as np
from ipywidgets import HTML, Checkbox, HBox, Layout, VBox

from compendium.widgets.interactive import panel, pictures_html
from lib.figures.faults import NOTE, phone_photograph
from lib.phantom.faults import FAULTS, PHONE


def device_bench() -> VBox:
    """Switch the phone's faults on and off and watch one phantom embryo."""
    ideal, whole = phone_photograph(()), phone_photograph(FAULTS)
    switches = [
        Checkbox(value=False, description=fault, indent=False, layout=Layout(width="11rem"))
        for fault in FAULTS
    ]
    view = HTML()

    def draw(_=None) -> None:
        chosen = [switch.description for switch in switches if switch.value]
        photograph = phone_photograph(chosen)
        off = np.abs(photograph.astype(float) - ideal).mean()
        said = f"On: {', '.join(chosen) or 'none'}. {off:.1f} grey levels away from no fault."
        row = {"no fault": ideal, "your phone": photograph, f"{PHONE}, all faults": whole}
        view.value = pictures_html(row, said)

    for switch in switches:
        switch.observe(draw, "value")
    draw()
    box = HBox(switches, layout=Layout(flex_flow="row wrap"))
    return panel("Device bench", NOTE, box, view)
