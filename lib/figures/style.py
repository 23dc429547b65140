"""What every figure shares: the style sheet, the colours, the title with its note.

The same domain and the same arm have the same colour everywhere. The colours are those of Okabe &
Ito (2008) and Tol (2021), told apart under the common colour deficiencies.
"""

from __future__ import annotations

import functools
import io
import textwrap
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("style.mplstyle")

DOMAIN_COLOURS = {
    "ED4": "#0072B2",
    "ED3": "#009E73",
    "ED1": "#D55E00",
    "ED2": "#CC79A7",
    "smids": "#0072B2",
    "hushem": "#D55E00",
}
ARM_COLOURS = {
    "raw": "#333333",
    "grey": "#BBBBBB",
    "rgb": "#A65628",
    "recalibrated": "#667788",
    "adabn": "#EE8866",
    "augmented": "#117733",
    "histogram": "#E69F00",
    "fda": "#56B4E9",
    "cyclegan": "#CC79A7",
    "cyclegan_texture": "#882255",
    "cyclegan_joint": "#009E73",
    "simulated": "#0072B2",
    "too_strong": "#DDCC77",
    "randomised": "#A0E0A0",
    # A family has one colour.
    **dict.fromkeys(("dann", "cdan", "cdan_e", "mdnet", "mdnet_nos"), "#CC3311"),
    **dict.fromkeys(("cut", "fastcut"), "#999933"),
    "both_devices": "#B8A07E",
    "oracle": "#332288",
}
ARM_NAMES = {
    "rgb": "RGB",
    "adabn": "AdaBN",
    "fda": "FDA",
    "dann": "DANN",
    "cdan": "CDAN",
    "cdan_e": "CDAN+E",
    "mdnet": "MD-net",
    "mdnet_nos": "MD-net, no source",
    "cyclegan": "CycleGAN",
    "cyclegan_texture": "CycleGAN + texture",
    "cyclegan_joint": "CycleGAN, joint",
    "cut": "CUT",
    "fastcut": "FastCUT",
}
LABEL_NAMES = {0: "no blastocyst", 1: "blastocyst"}
STRUCTURE_NAMES = {"cavity": "cavity", "icm": "inner cell mass"}
METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "auc": "AUC",
    "kappa": "kappa",
}
NEUTRAL = "#666666"
_OTHERS = ("#009E73", "#AA4499", "#999933", "#DDAA33", "#661100", "#6699CC", "#888888")


def _fallback(name: str) -> str:
    # From the name alone, so that it does not depend on what else is in the figure.
    return _OTHERS[zlib.crc32(name.encode()) % len(_OTHERS)]


def domain_colour(domain: str) -> str:
    """Colour of a domain, as #RRGGBB; unknown ones get one from their name."""
    return DOMAIN_COLOURS.get(domain) or _fallback(domain)


def arm_colour(arm: str) -> str:
    """Colour of an arm, as #RRGGBB; unknown ones get one from their name."""
    if arm.startswith("labels_"):
        arm = "both_devices"
    return ARM_COLOURS.get(arm) or _fallback(arm)


def arm_name(arm: str) -> str:
    """Name of an arm as figures print it."""
    if arm.startswith("labels_"):
        return f"{arm.removeprefix('labels_')} labels"
    return ARM_NAMES.get(arm, arm.replace("_", " "))


def interval_text(found: Mapping[str, float]) -> str:
    """``value`` of a metric with its interval ``low`` to ``high``, three digits."""
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


class Sheet(Figure):
    """A figure that a notebook shows as the value of a cell, once, without pyplot's state."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


Drawn = tuple[Sheet, pd.DataFrame]


def styled(draw: Callable[..., Drawn]) -> Callable[..., Drawn]:
    """Draw under the style sheet, whatever the caller's settings."""

    @functools.wraps(draw)
    def drawn(*args, **kwargs) -> Drawn:
        with matplotlib.style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return drawn


def titled_sheet(width: float, height: float, title: str, note: str, detail: str = "") -> Sheet:
    """An empty figure of ``width`` x ``height`` inches below its title.

    Parameters
    ----------
    note
        What the images are ("synthetic phantom", "real images", "semi-synthetic"); always printed.
    detail
        n and what a reader must know, after the note.
    """
    characters = int(width * 17)
    heads = textwrap.wrap(title, int(characters * 0.82))
    lines = textwrap.wrap(f"{note} · {detail}" if detail else note, characters)
    head, line = 0.175, 0.15  # inches
    space = 0.12 + head * len(heads) + line * len(lines)
    sheet = Sheet(figsize=(width, height + space), layout="constrained")
    total = height + space
    edge = 0.05 / width
    rect = (edge, 0, 1 - 2 * edge, height / total)
    sheet.get_layout_engine().set(rect=rect, w_pad=0.04, h_pad=0.05)
    top, left = total - 0.06, 0.08 / width
    sheet.text(
        left, top / total, "\n".join(heads), weight="bold", size=9.5, va="top", linespacing=1.15
    )
    top -= head * len(heads) + 0.01
    sheet.text(left, top / total, "\n".join(lines), color=NEUTRAL, va="top", size=7.5)
    return sheet


def bare(axes: Axes) -> None:
    """Leave of an axes only what is drawn in it: for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def save_figure(sheet: Figure, drawn: pd.DataFrame, stem: Path) -> list[Path]:
    """Write ``stem``.png, .svg and .csv; the same figure gives the same bytes.

    Returns
    -------
    The three paths.
    """
    stem = Path(stem)
    png, svg, csv = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg", "csv"))
    with matplotlib.style.context(["default", STYLE]):
        sheet.savefig(png)
        sheet.savefig(svg, metadata={"Date": None})
    drawn.to_csv(csv, index=False)
    return [png, svg, csv]
