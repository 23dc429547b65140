"""What a notebook begins with: ``run = start("NN_name", globals())``, and what a run keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure
from torch import Tensor

from engine import run as engine_run
from engine.fabric import device_name
from engine.jobs import prepare_workers
from engine.parameters import parameters_in
from lib.figures.pictures import Pictures, save_pictures
from lib.figures.source_code import source_of
from lib.figures.style import save_figure
from lib.models.bundle import Bundle, save_bundle
from lib.models.cyclegan import Generator
from lib.models.gate import Gate

SCREEN_DPI = 96  # of the picture shown in the notebook


class Run(engine_run.Run):
    """The run of a notebook, which also keeps figures, pictures of widgets and translators."""

    def figure(self, figure: Figure, drawn: pd.DataFrame, name: str) -> None:
        """Keep a figure as PNG and SVG with the table it was drawn from, show it, close it."""
        stem = self.path("figures", name)
        self.figures.append(name)
        stem.parent.mkdir(exist_ok=True)
        picture = save_figure(figure, drawn, stem)[0]
        display(Image(picture.read_bytes(), width=round(figure.get_figwidth() * SCREEN_DPI)))
        plt.close(figure)

    def pictures(
        self, name: str, looks: Mapping[str, Tensor], names: Sequence[str], note: str, **facts: Any
    ) -> Pictures:
        """Keep what a widget shows, as ``pictures/NAME.safetensors``, and hand it back.

        ``looks``: an arm or the like to uint8 (N, C, H, W); ``names``: what each of the N objects
        is; ``note``: what kind of images these are; ``facts``: what else the widget says of them.
        """
        pictures = Pictures(looks, names, note, facts)
        save_pictures(self.path("pictures", f"{name}.safetensors"), pictures)
        return pictures

    def translator(
        self, arm: str, domain: str, generator: Generator, gate: Gate, **facts: Any
    ) -> None:
        """Keep the translator of ``domain`` for use elsewhere, as ``models/ARM.safetensors``."""
        bundle = Bundle(self.params, domain, arm, generator, gate, facts)
        save_bundle(self.path("models", f"{arm}.safetensors"), bundle)

    def show_source(self, *things: Any) -> None:
        """Show the source of functions or classes."""
        display(Markdown(f"```python\n{source_of(*things)}\n```"))


def start(notebook: str, namespace: dict[str, Any]) -> Run:
    """Start a notebook: check its parameters, seed everything, open its output folder, say so.

    Parameters
    ----------
    notebook : str
        Its name without suffix, as ``"NN_name"``.
    namespace : dict
        ``globals()`` of the notebook, where the parameters stand.

    Raises
    ------
    InputError
        A parameter is refused, or the device is not there.
    """
    run = Run(notebook, parameters_in(namespace))
    p = run.params
    if p.threads > 1 and run.device.type == "cpu":
        prepare_workers("lib.models.judges")
    facts = [f"**Profile {p.profile}**", *p.facts, device_name(run.device)]
    display(Markdown(" · ".join(facts)))
    return run
