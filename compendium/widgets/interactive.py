"""What all widgets share: where they are shown, and pictures that carry their description.

A widget needs a running kernel. It stands behind a figure of the same thing, which is what counts
where a notebook is only read, and it keeps no state in the notebook.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from IPython.display import Javascript, display
from ipywidgets import HTML, Layout, VBox, Widget
from PIL import Image

from lib.figures.style import Sheet, arm_name

WIDE = {"description_width": "initial"}
_SIDE = 320  # pixels of a picture's longer side; the page makes it smaller where it must
# Sliders come without a name that a screen reader could say: they take that of their label.
_NAME_SLIDERS = """
const name = () => document.querySelectorAll(".noUi-handle:not([aria-label])").forEach(handle => {
  const label = handle.closest(".widget-inline-hbox")?.querySelector(".widget-label");
  if (label?.textContent) handle.setAttribute("aria-label", label.textContent);
});
new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
name();
"""


def show(widget: Callable[..., Widget], *arguments: Any) -> None:
    """Build and display a widget; a line instead in a run without a reader.

    Such a run (``COMPENDIUM_HEADLESS``) does not build it either: its state would be kept in the
    executed notebook, with every picture it shows.
    """
    if os.environ.get("COMPENDIUM_HEADLESS"):
        print("Interactive in Jupyter: open this notebook there and run it.")
        return
    display(widget(*arguments), Javascript(_NAME_SLIDERS))


def panel(title: str, note: str, *parts: Widget) -> VBox:
    """The parts of a widget below its title; ``note`` says what kind of images it shows."""
    head = f"<strong>{html.escape(title)}</strong> · {html.escape(note)}"
    return VBox([HTML(head), *parts], layout=Layout(width="100%", max_width="60rem"))


def slider_layout() -> Layout:
    """As wide as the page, up to a width that a hand can follow."""
    return Layout(width="95%", max_width="34rem")


def as_image(picture: np.ndarray) -> np.ndarray:
    """uint8 (C, H, W) with 1 or 3 channels as (H, W, 3)."""
    return np.broadcast_to(picture, (3, *picture.shape[1:])).transpose(1, 2, 0)


def difference_map(first: np.ndarray, second: np.ndarray, reach: float) -> np.ndarray:
    """Signed difference in luma as colours (H, W, 3): red where ``first`` is brighter.

    ``reach`` is the difference in grey levels that has the full colour.
    """
    signed = (luma(first) - luma(second)) / (2 * reach) + 0.5
    return (255 * matplotlib.colormaps["RdBu_r"](np.clip(signed, 0, 1))[..., :3]).astype(np.uint8)


def luma(picture: np.ndarray) -> np.ndarray:
    """Brightness of a picture (C, H, W), float (H, W)."""
    return as_image(picture) @ np.array([0.299, 0.587, 0.114])


def pictures_html(pictures: Mapping[str, np.ndarray], said: str, width: str = "13rem") -> str:
    """Pictures uint8 (H, W, 3) side by side, each under its name, and a sentence below them.

    ``width`` is that of a picture at the most, as CSS writes it.
    """
    figures = "".join(
        f"<figure style='margin:0;flex:1 1 8rem;max-width:{width}'>"
        f"<figcaption style='line-height:1.3'>{html.escape(arm_name(name))}</figcaption>"
        f"{_img(Image.fromarray(enlarged(picture)), f'{arm_name(name)}. {said}')}</figure>"
        for name, picture in pictures.items()
    )
    row = f"<div style='display:flex;flex-wrap:wrap;gap:.6rem'>{figures}</div>"
    return row + said_html(said)


def sheet_html(sheet: Sheet, said: str) -> str:
    """A figure as a picture, and the sentence that describes it; a narrow page scrolls it."""
    picture = _img(Image.open(io.BytesIO(sheet._repr_png_())), said)
    return (
        "<div tabindex='0' role='group' aria-label='figure' "
        "style='overflow-x:auto;contain:inline-size'>"
        f"<div style='min-width:34rem;max-width:47rem'>{picture}</div></div>{said_html(said)}"
    )


def said_html(said: str) -> str:
    """A sentence that a screen reader says when it changes."""
    return f"<p role='status' style='line-height:1.4;margin:.3rem 0'>{html.escape(said)}</p>"


def numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    """Choices of a list of images: number and name, and the place."""
    return [(f"{place + 1}: {name}", place) for place, name in enumerate(names)]


def enlarged(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) at a size to be looked at; one that is large enough stays."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    factor = max(1.0, _SIDE / max(image.size))
    size = [round(factor * side) for side in image.size]
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _img(image: Image.Image, alt: str) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode()
    return (
        f"<img alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{data}' "
        "style='width:100%;height:auto;display:block'>"
    )
