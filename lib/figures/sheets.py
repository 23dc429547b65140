"""Figures made of images: samples, frames, devices side by side, translations with residuals.

Image stacks are uint8 (N, C, H, W); single photographs are uint8 (H, W) or (H, W, 3).
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from torch import Tensor

from lib.evaluation.controls import grey
from lib.figures.style import (
    LABEL_NAMES,
    NEUTRAL,
    Drawn,
    Sheet,
    arm_name,
    bare,
    domain_colour,
    styled,
    titled_sheet,
)


def _show(axes: Axes, image: np.ndarray) -> None:
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    bare(axes)


def row_name(axes: Axes, name: str, colour: str = "#222222", middle: float = 0.5) -> None:
    """Write ``name`` upright on the left of ``axes``, the first of its row."""
    axes.annotate(
        name, (0, middle), (-5, 0), xycoords="axes fraction", textcoords="offset points",
        rotation=90, ha="right", va="center", multialignment="center", color=colour, weight="bold",
        size=7.5, in_layout=False,
    )  # fmt: skip


def _name_rows(column: Sequence[Axes], names: Sequence[str]) -> None:
    """Name the rows on the left of ``column``; neighbours of one name share it."""
    start = 0
    for name, same in itertools.groupby(names):
        count = len(list(same))
        # Of an even number of rows the middle is the lower edge of the upper half.
        row_name(column[start + (count - 1) // 2], name, middle=0.5 if count % 2 else -0.02)
        start += count


def _heading(name: str, width: float) -> str:
    """``name`` as figures print it, arms by their names, in lines of at most ``width`` inches."""
    printed = " −\N{NO-BREAK SPACE}".join(arm_name(part) for part in name.split(" - "))
    return textwrap.fill(printed, max(9, int(width * 14)), break_long_words=False)


def _heading_size(headings: Sequence[str], width: float) -> float:
    """Points at which the longest line of the headings is no wider than a column of ``width``."""
    longest = max(len(line) for heading in headings for line in heading.split("\n"))
    return min(7.5, 72 * width / (0.6 * longest))  # a character is about 0.6 of its size wide


def tight(sheet: Sheet, left: float = 0.0) -> None:
    """Images close together; ``left`` inches are kept free for the names of the rows."""
    engine = sheet.get_layout_engine()
    x, y, width, height = engine.get()["rect"]
    share = left / sheet.get_figwidth()
    rect = (x + share, y, width - share, height)
    engine.set(rect=rect, w_pad=0.015, h_pad=0.015, wspace=0.01, hspace=0.01)


@styled
def sample_sheet(
    stacks: Mapping[tuple[str, int], Tensor], note: str,
    label_names: Mapping[int, str] = LABEL_NAMES, columns: int = 4,
) -> Drawn:  # fmt: skip
    """Sample images of every domain, one row a domain, one block of columns a label (Fig. 1a).

    Parameters
    ----------
    stacks
        (domain, label) to images; the first ``columns`` of each are drawn.
    """
    domains = list(dict.fromkeys(domain for domain, _ in stacks))
    labels = sorted({label for _, label in stacks})
    gap = 0.15  # of a cell, between the classes
    widths = [*([1] * columns + [gap]) * len(labels)][:-1]
    cell = 6.4 / sum(widths)
    detail = f"first {columns} images of each class, all scaled to one size"
    sheet = titled_sheet(
        6.9, (cell + 0.02) * len(domains) + 0.17, "Sample images by domain and class", note, detail
    )
    tight(sheet, left=0.2)
    grid = sheet.subplots(len(domains), len(widths), squeeze=False, width_ratios=widths)
    for axes in grid.ravel():
        axes.set_axis_off()
    drawn = []
    for b, label in enumerate(labels):
        block = grid[:, b * (columns + 1) :][:, :columns]
        block[0, 0].set_title(label_names[label], loc="left", size=8.5, pad=4)
        for row, domain in zip(block, domains, strict=True):
            for i, (axes, image) in enumerate(
                zip(row, stacks.get((domain, label), []), strict=False)
            ):
                axes.set_axis_on()
                _show(axes, image.permute(1, 2, 0).numpy())
                drawn.append((domain, label, i, float(image.float().mean())))
    for axes, domain in zip(grid[:, 0], domains, strict=True):
        row_name(axes, domain, domain_colour(domain))
    return sheet, pd.DataFrame(drawn, columns=["domain", "label", "place", "mean_grey_level"])


@styled
def frames_sheet(
    images: Sequence[np.ndarray], frames: pd.DataFrame, note: str,
    truth: pd.DataFrame | None = None, columns: int = 5,
) -> Drawn:  # fmt: skip
    """The embryo found in each photograph, as a circle on the original.

    Parameters
    ----------
    images
        Photographs in the order of the rows of ``frames``.
    frames
        Frame table: id, x, y, radius (pixels), confidence, found, and optionally domain, which
        then stands above each photograph. Unsure finds are dashed.
    truth
        id, x, y, radius; drawn as a thin black and white circle below the found one.
    """
    columns = min(columns, len(images))
    ratios = [image.shape[0] / image.shape[1] for image in images]
    heights = [max(ratios[i : i + columns]) for i in range(0, len(images), columns)]
    cell = 6.8 / columns
    kept = int((~frames["found"]).sum())
    detail = f"n = {len(frames)} images; orange: found; dashed: unsure ({kept}), whole frame kept"
    detail += "; white: truth" if truth is not None else ""
    height = cell * sum(heights) + 0.2 * len(heights)
    sheet = titled_sheet(6.9, height, "Where the embryo is", note, detail)
    tight(sheet)
    grid = sheet.subplots(len(heights), columns, squeeze=False, height_ratios=heights).ravel()
    for axes in grid[len(images) :]:
        axes.set_visible(False)
    true = None if truth is None else truth.set_index("id")
    for axes, image, frame in zip(grid, images, frames.itertuples(), strict=False):
        _show(axes, image)
        if true is not None:
            x, y, radius = true.loc[frame.id, ["x", "y", "radius"]]
            axes.add_patch(Circle((x, y), radius, fill=False, color="black", lw=1.6))
            axes.add_patch(Circle((x, y), radius, fill=False, color="white", lw=0.8))
        line = dict(color="#E69F00", lw=1.3, ls="-" if frame.found else (0, (3, 2)))
        axes.add_patch(Circle((frame.x, frame.y), frame.radius, fill=False, **line))
        axes.plot(frame.x, frame.y, "+", color="#E69F00", ms=6)
        # A circle may leave the photograph; the photograph must not shrink for it.
        axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
        domain = getattr(frame, "domain", "")
        axes.set_title(f"{domain} confidence {frame.confidence:.2f}".strip(), size=7, pad=2)
    if truth is None:
        return sheet, frames.copy()
    return sheet, frames.merge(truth, on="id", suffixes=("", "_truth"))


@styled
def device_comparison(
    devices: Mapping[str, Sequence[np.ndarray]], real: Mapping[str, Sequence[np.ndarray]],
    columns: int = 5,
) -> Drawn:  # fmt: skip
    """Simulated devices beside real photographs; every row says which it is.

    Parameters
    ----------
    devices
        Device name to phantom photographs.
    real
        Name of a real data set to its photographs; may be empty, which the title then says.
    """
    rows = [(name, "phantom", images) for name, images in devices.items()]
    rows += [(name, "real", images) for name, images in real.items()]
    cell = 6.5 / columns
    ratios = [images[0].shape[0] / images[0].shape[1] for _, _, images in rows]
    title, note = "Simulated devices", "synthetic phantom"
    detail = f"the first {columns} images of each, whole frames"
    if real:
        title, note = f"{title} beside real photographs", f"{note} and real images"
        detail += "; the name of each row says which"
    sheet = titled_sheet(6.9, cell * sum(ratios) + 0.03 * len(rows), title, note, detail)
    tight(sheet, left=0.35)
    grid = sheet.subplots(len(rows), columns, squeeze=False, gridspec_kw=dict(height_ratios=ratios))
    drawn = []
    for line, (name, kind, images) in zip(grid, rows, strict=True):
        for axes in line[len(images) :]:
            axes.set_visible(False)
        for i, (axes, image) in enumerate(zip(line, images, strict=False)):
            _show(axes, image)
            drawn.append((name, kind, i, float(image.mean()), float(image.std())))
        colour = domain_colour(name) if kind == "phantom" else NEUTRAL
        row_name(line[0], f"{name}\n{kind}", colour)
    return sheet, pd.DataFrame(drawn, columns=["name", "kind", "place", "mean", "sd"])


@styled
def image_sheet(
    columns: Mapping[str, Tensor], residuals: Mapping[str, tuple[str, str]], note: str,
    title: str = "Translated images", rows: Sequence[str] = (), detail: str = "",
) -> Drawn:  # fmt: skip
    """Images in rows, versions of them in columns, then signed residual maps (Fig. 2, 7, A).

    Parameters
    ----------
    columns
        Heading (an arm, or any text) to stack (N, C, H, W); the same N images in all.
    residuals
        Heading ("a - b") to (minuend, subtrahend), both headings of ``columns``. Drawn as luma
        difference in grey levels, all on one scale: the largest 99th percentile of the absolute
        difference.
    rows
        Name of each row; neighbours of one name share it.

    Returns
    -------
    The figure, and the mean signed and mean absolute residual (grey levels) of every map.
    """
    count = len(next(iter(columns.values())))
    maps = {
        name: (grey(columns[a]).float() - grey(columns[b]).float())[:, 0].numpy()
        for name, (a, b) in residuals.items()
    }
    width = len(columns) + len(maps)
    beside = 0.15 + (0.2 if rows else 0) + (0.75 if maps else 0)  # inches: row names, colour bar
    cell = min(1.25, (6.9 - beside) / width)
    told = f"n = {count} images shown" + (f"; {detail}" if detail else "")
    if maps:
        told += "; residuals: red where the first is brighter"
    headings = [_heading(name, cell) for name in (*columns, *maps)]
    above = 0.1 + 0.13 * max(heading.count("\n") + 1 for heading in headings)
    sheet = titled_sheet(cell * width + beside, (cell + 0.01) * count + above, title, note, told)
    tight(sheet, left=0.2 if rows else 0.0)
    grid = sheet.subplots(count, width, squeeze=False)
    for axes, heading in zip(grid[0], headings, strict=True):
        axes.set_title(heading, size=_heading_size(headings, cell), pad=3)
    for c, stack in enumerate(columns.values()):
        for axes, image in zip(grid[:, c], stack, strict=True):
            _show(axes, image.permute(1, 2, 0).numpy())
    _name_rows(grid[:, 0], rows)
    if not maps:
        return sheet, pd.DataFrame(columns=["residual", "row", "mean", "mean_absolute"])
    reach = max(1.0, *(float(np.quantile(np.abs(each), 0.99)) for each in maps.values()))
    drawn = []
    for c, (name, each) in enumerate(maps.items(), start=len(columns)):
        for i, (axes, residual) in enumerate(zip(grid[:, c], each, strict=True)):
            shown = axes.imshow(residual, cmap="RdBu_r", vmin=-reach, vmax=reach)
            bare(axes)
            drawn.append((name, i, float(residual.mean()), float(np.abs(residual).mean())))
    bar = sheet.colorbar(shown, ax=grid, fraction=0.04, pad=0.01, aspect=9 * count, extend="both")
    bar.set_label("difference (grey levels)")
    bar.outline.set_visible(False)
    return sheet, pd.DataFrame(drawn, columns=["residual", "row", "mean", "mean_absolute"])


@styled
def look_rows(
    looks: Mapping[str, Tensor], names: Sequence[str], note: str, title: str, detail: str = ""
) -> Drawn:
    """The same images in columns, one row for each look: few looks, large, for print.

    Parameters
    ----------
    looks
        Name of each row to its stack (N, C, H, W).
    names
        Of the N images, above them.

    Returns
    -------
    The figure, and the mean grey level of every image shown (columns look, image, mean).
    """
    width, beside = len(names), 0.36  # inches: names of two lines
    cell = (6.9 - beside) / width
    told = f"n = {width} images" + (f"; {detail}" if detail else "")
    sheet = titled_sheet(6.9, (cell + 0.01) * len(looks) + 0.25, title, note, told)
    tight(sheet, left=beside)
    grid = sheet.subplots(len(looks), width, squeeze=False)
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(_heading(name, cell), size=7, pad=3)
    drawn = []
    for axes_row, (look, stack) in zip(grid, looks.items(), strict=True):
        for i, (axes, image) in enumerate(zip(axes_row, stack, strict=True)):
            _show(axes, image.permute(1, 2, 0).numpy())
            drawn.append((look, i, float(grey(image[None]).float().mean())))
    _name_rows(grid[:, 0], [_heading(look, cell) for look in looks])
    return sheet, pd.DataFrame(drawn, columns=["look", "image", "mean"])
