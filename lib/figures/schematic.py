"""The networks and losses of the translator as one drawing (Fig. 3, 10)."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from lib.figures.style import NEUTRAL, Drawn, domain_colour, styled, titled_sheet

_TERM_COLOURS = {
    "adversarial": "#332288",
    "cycle": "#117733",
    "identity": "#8A6D00",
    "texture": "#882255",
}
_SIDE = 1.3  # of an image, in the drawing's units (half an inch)


def _tint(colour: str, share: float) -> tuple[float, ...]:
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def _image(axes: Axes, x: float, y: float, look: str, colour: str, name: str) -> None:
    """An embryo under one of the two microscopes: relief on dark, or bright field."""
    half = _SIDE / 2
    dark = look == "relief"
    ground, body = ("#2b2b2b", "#9a9a9a") if dark else ("#e3e9ef", "#c9c2b4")
    edge, inner = ("#e8e8e8", "#c4c4c4") if dark else ("#6d5138", "#a08a6c")
    corner = (x - half, y - half)
    axes.add_patch(Rectangle(corner, _SIDE, _SIDE, fc=ground, ec=colour, lw=2))
    axes.add_patch(Circle((x, y), 0.68 * half, fc=body, ec=edge, lw=1.6))
    axes.add_patch(
        Circle((x - 0.02, y + 0.02), 0.52 * half, fc=_tint(body, 0.75), ec=inner, lw=0.7)
    )
    axes.add_patch(Circle((x + 0.16, y - 0.13), 0.21 * half, fc=inner, ec=edge, lw=0.5))
    axes.text(x, y - half - 0.1, name, ha="center", va="top", size=6.8, linespacing=1.1)


def _generator(axes: Axes, x: float, y: float, letter: str, colour: str) -> None:
    """An hourglass: down by strided convolutions, residual blocks, up again."""
    wide, narrow, reach = 0.62, 0.30, 0.72
    half = [(-reach, wide), (-0.28, narrow), (0.28, narrow), (reach, wide)]
    outline = [(x + dx, y + dy) for dx, dy in half] + [(x + dx, y - dy) for dx, dy in half[::-1]]
    axes.add_patch(Polygon(outline, fc=_tint(colour, 0.25), ec=colour, lw=1.3, joinstyle="round"))
    axes.text(x, y, f"${letter}$", ha="center", va="center", size=11, color=colour)


def _judge(axes: Axes, x: float, y: float, name: str, colour: str) -> None:
    box = FancyBboxPatch(
        (x - 0.5, y - 0.36), 1.0, 0.72, boxstyle="round,pad=0,rounding_size=0.3",
        fc=_tint(colour, 0.25), ec=colour, lw=1.3,
    )  # fmt: skip
    axes.add_patch(box)
    axes.text(x, y, name, ha="center", va="center", size=9, color=colour)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=8, color=colour, lw=1.2, shrinkA=0,
            shrinkB=0,
        )
    )  # fmt: skip


def _compare(
    axes: Axes, left: tuple[float, float], right: tuple[float, float], level: float, term: str
) -> None:
    """A bracket between two images that one loss compares."""
    colour = _TERM_COLOURS[term]
    path = [left, (left[0], level), (right[0], level), right]
    axes.plot(*zip(*path, strict=True), color=colour, lw=1.4, solid_joinstyle="round")
    for x, y in (left, right):
        axes.plot(x, y, "o", color=colour, ms=3)
    axes.text(
        (left[0] + right[0]) / 2, level, f"{term} loss", color=colour, size=7.5, weight="bold",
        ha="center", va="center", bbox=dict(fc="white", ec="none", pad=1.5),
    )  # fmt: skip


def _round_trip(
    axes: Axes, y: float, letters: str, looks: tuple[str, str], colours: tuple[str, str],
    names: tuple[str, str],
) -> None:  # fmt: skip
    """One direction: there, judged, and back again. Index 0 is where it starts."""
    first, second = letters
    real, other = ("x", "y") if first == "G" else ("y", "x")
    half, gap = _SIDE / 2, 0.12
    places = (1.0, 5.3, 9.6)
    _image(axes, places[0], y, looks[0], colours[0], f"real {names[0]}\n${real}$")
    _image(axes, places[1], y, looks[1], colours[1], f"fake {names[1]}\n${first}({real})$")
    back = f"${second}({first}({real}))$"
    _image(axes, places[2], y, looks[0], colours[0], f"cycled {names[0]}\n{back}")
    for x, letter, colour in ((3.15, first, colours[1]), (7.45, second, colours[0])):
        _generator(axes, x, y, letter, colour)
        _arrow(axes, (x - 2.15 + half + gap, y), (x - 0.72 - 0.06, y), NEUTRAL)
        _arrow(axes, (x + 0.72 + 0.06, y), (x + 2.15 - half - gap, y), NEUTRAL)
    _compare(axes, (places[0], y + half), (places[2], y + half), y + half + 0.42, "cycle")
    low = y - half - 0.68
    _compare(axes, (places[0], low), (places[1] - 0.35, low), low - 0.38, "texture")

    judge = y - half - 1.62
    _judge(axes, places[1], judge, f"$D_{{{'S' if first == 'G' else 'T'}}}$", colours[1])
    _arrow(axes, (places[1], low + 0.02), (places[1], judge + 0.38), NEUTRAL)
    _arrow(axes, (6.75, judge), (places[1] + 0.54, judge), NEUTRAL)
    axes.text(
        6.82, judge, f"real {names[1]}  ${other}$", va="center", size=6.8,
        bbox=dict(fc="white", ec=colours[1], lw=1.2, boxstyle="square,pad=0.35"),
    )  # fmt: skip
    axes.text(
        places[1] - 0.62, judge, "adversarial loss", color=_TERM_COLOURS["adversarial"], size=7.5,
        weight="bold", ha="right", va="center",
    )  # fmt: skip


def _identity(
    axes: Axes, x: float, y: float, letter: str, look: str, colour: str, name: str
) -> None:
    """A domain's own image through the generator that leads to that domain."""
    half, gap = _SIDE / 2, 0.12
    real = "y" if letter == "G" else "x"
    _image(axes, x, y, look, colour, f"real {name}\n${real}$")
    _generator(axes, x + 1.75, y, letter, colour)
    _image(axes, x + 3.5, y, look, colour, f"same {name}\n${letter}({real})$")
    _arrow(axes, (x + half + gap, y), (x + 0.97, y), NEUTRAL)
    _arrow(axes, (x + 2.53, y), (x + 3.5 - half - gap, y), NEUTRAL)
    _compare(axes, (x, y + half), (x + 3.5, y + half), y + half + 0.35, "identity")


@styled
def translation_schematic(source: str = "ED4", target: str = "ED1") -> Drawn:
    """Both generators, both discriminators and every loss of the translator.

    Parameters
    ----------
    source, target
        Domain the classifier was trained on, and domain to be translated to it.

    Returns
    -------
    The figure, and term, asks (in words), formula of every loss.
    """
    blue, red = domain_colour(source), domain_colour(target)
    terms = pd.DataFrame(
        [
            ("adversarial", "fakes pass for real images", "$(D_S(G(x))-1)^2$"),
            ("cycle", "the round trip ends where it began", "$|F(G(x))-x|$"),
            ("identity", "an image already there stays as it is", "$|G(y)-y|$"),
            ("texture", "features of the original are kept", r"$(\phi(G(x))-\phi(x))^2$"),
        ],
        columns=["term", "asks", "formula"],
    )
    sheet = titled_sheet(
        6.9, 5.35, "CycleGAN with a texture loss", "diagram, no data",
        f"source: {source}, the classifier's domain; target: {target}; each loss acts in both "
        "directions",
    )  # fmt: skip
    axes = sheet.subplots()
    axes.set(xlim=(0, 13.8), ylim=(0, 10.7), aspect="equal")
    axes.axis("off")
    looks, colours, names = ("bright", "relief"), (red, blue), (target, source)
    _round_trip(axes, 9.3, "GF", looks, colours, names)
    _round_trip(axes, 5.3, "FG", looks[::-1], colours[::-1], names[::-1])
    _identity(axes, 1.0, 1.3, "G", "relief", blue, source)
    _identity(axes, 6.1, 1.3, "F", "bright", red, target)

    left = 11.05
    axes.text(left, 10.35, "Networks", weight="bold", size=8)
    networks = [
        ("$G$", blue, f"generator to {source}"), ("$F$", red, f"generator to {target}"),
        ("$D_S$", blue, f"discriminator of {source}"), ("$D_T$", red, f"discriminator of {target}"),
    ]  # fmt: skip
    for i, (sign, colour, told) in enumerate(networks):
        axes.text(left, 9.85 - 0.42 * i, sign, color=colour, size=8.5, va="center")
        axes.text(left + 0.6, 9.85 - 0.42 * i, told, size=6.8, va="center")
    axes.text(left, 7.75, "Losses", weight="bold", size=8)
    for i, row in enumerate(terms.itertuples()):
        top = 7.2 - 1.7 * i
        axes.text(left, top, row.term, color=_TERM_COLOURS[row.term], weight="bold", size=7.5)
        axes.text(left, top - 0.47, row.formula, size=8)
        axes.text(left, top - 0.68, textwrap.fill(row.asks, 24), size=6.5, va="top", color=NEUTRAL)
    return sheet, terms
