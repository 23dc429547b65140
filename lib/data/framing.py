"""Framing: where the embryo sits in an image, and the crop to a common field of view.

A small network (``lib.data.detector``) paints the embryo's disc, zona included, on a reduced grey
copy of the image; a circle is fitted to the painting. How well circle and painting agree is the
confidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from PIL import Image

from engine.errors import InputError
from engine.progress import progress
from lib.data.detector import STRIDE, load_detector, normalise
from lib.phantom.randomisation import CLOSE, SIDE, disc

MIN_CONFIDENCE = 0.65  # below it the find is unsure and the whole frame is kept
SMALLEST = 32  # pixels of the shorter side; the detector sees nothing in less
BATCH = 64  # images
SOFTNESS = 1.0  # width of the fitted circle's edge, in pixels of the painting
FIT_STEPS = 25
MIRRORS = ((), (2,), (3,), (2, 3))  # of the close look; their paintings are averaged


class Frame(NamedTuple):
    """Circle round an embryo: outer edge of the zona.

    ``x``, ``y``, ``radius`` in pixels of the image (pixel centres at integers, x right, y down);
    ``confidence`` in 0..1; ``found`` False: unsure, and the circle is the one inscribed in the
    longer side of the whole frame.
    """

    x: float
    y: float
    radius: float
    confidence: float
    found: bool


class Readable(Protocol):
    """Anything images can be read from by id."""

    def read(self, id: str) -> np.ndarray: ...


def reduce(image: np.ndarray, left: float, top: float, side: float) -> np.ndarray:
    """Bring a square of an image to the canvas the detector looks at.

    Parameters
    ----------
    image : (H, W) uint8.
    left, top, side : the square's edges in pixels; pixel i covers i - 0.5 to i + 0.5.

    Returns
    -------
    (2, SIDE, SIDE) float32; grey values of zero mean and unit deviation, then 1 where the canvas
    shows the image and 0 where it lies beside it.
    """
    half = side / 2
    grey = crop(image, left + half, top + half, half, 1.0, SIDE).astype(np.float32)
    line = (np.arange(SIDE) + 0.5) / SIDE * side
    inside = [
        (start + line > -0.5) & (start + line < length - 0.5)
        for start, length in zip((top, left), image.shape, strict=True)
    ]
    shown = (inside[0][:, None] & inside[1]).astype(np.float32)
    canvas = torch.from_numpy(np.stack([grey, shown]))[None]
    canvas[:, :1] = normalise(canvas[:, :1], canvas[:, 1:])
    return canvas[0].numpy()


def fit_circles(painting: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit a soft-edged disc to each painted probability map by Gauss-Newton least squares.

    Parameters
    ----------
    painting : (N, S, S) float, probability that a pixel belongs to the embryo.
    inside : (N, S, S) float, 1 where the pixel lies in the image; other pixels have no say, so a
        circle cut by the frame is completed.

    Returns
    -------
    circles : (N, 3) float; x, y, radius in pixels of the painting, centres at integers.
    agreement : (N,) float in 0..1, soft Jaccard index of disc and painting within the image.
    """
    side = painting.shape[-1]
    line = torch.arange(side, dtype=painting.dtype)
    row, column = torch.meshgrid(line, line, indexing="ij")
    row, column = row.flatten(), column.flatten()
    painted = (painting * inside).flatten(1)
    weight = inside.flatten(1)
    mass = painted.sum(1) + 1e-3
    x, y = (painted * column).sum(1) / mass, (painted * row).sum(1) / mass
    circles = torch.stack([x, y, (mass / torch.pi).sqrt().clamp(min=1.0)], dim=1)

    def soft_disc(circles: torch.Tensor) -> tuple[torch.Tensor, ...]:
        dx, dy = column - circles[:, :1], row - circles[:, 1:2]
        distance = (dx**2 + dy**2 + 1e-6).sqrt()
        return (
            torch.sigmoid((circles[:, 2:] - distance) / SOFTNESS),
            dx / distance,
            dy / distance,
        )

    damping = 1e-2 * torch.eye(3, dtype=painting.dtype)
    for _ in range(FIT_STEPS):
        soft, towards_x, towards_y = soft_disc(circles)
        slope = soft * (1 - soft) / SOFTNESS * weight
        jacobian = torch.stack([slope * towards_x, slope * towards_y, slope], dim=2)
        residual = (painted - soft * weight).unsqueeze(2)
        normal = jacobian.mT @ jacobian + damping
        step = torch.linalg.solve(normal, jacobian.mT @ residual).squeeze(2)
        circles = circles + step.clamp(-side / 16, side / 16)
        circles[:, 2] = circles[:, 2].clamp(1.0, side)
    fitted = disc(circles, side, 1.0).flatten(1) * weight
    union = torch.maximum(fitted, painted).sum(1)
    agreement = torch.minimum(fitted, painted).sum(1) / (union + 1e-3)
    return circles, agreement


def find_embryos(images: Sequence[np.ndarray]) -> list[Frame]:
    """Find the embryo in each image; see ``Frame`` for what comes back and its units.

    The detector looks twice: at the whole image, then closely, in four mirror images, at what it
    found there.

    Parameters
    ----------
    images : uint8 arrays, (H, W) or (H, W, 3), any sizes from ``SMALLEST`` pixels.

    Raises
    ------
    InputError
        Not uint8, wrong shape, or a side below ``SMALLEST`` pixels.
    """
    for image in images:
        _check(image)
    greys = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
    first = _look(greys, np.array([[-0.5, -0.5, max(grey.shape)] for grey in greys]), [()])
    x, y, radius, confidence = first.T
    half = CLOSE * radius
    second = _look(greys, np.stack([x - half, y - half, 2 * half], axis=1), MIRRORS)
    second[:, 3] = np.minimum(second[:, 3], confidence)
    return [_frame(grey, *circle.tolist()) for grey, circle in zip(greys, second, strict=True)]


def _look(
    greys: Sequence[np.ndarray], squares: np.ndarray, mirrors: Sequence[tuple[int, ...]]
) -> np.ndarray:
    """Circles (N, 4) x, y, radius, confidence within ``squares`` (N, 3) left, top, side.

    The paintings of the canvas mirrored along each of ``mirrors`` are averaged.
    """
    canvases = torch.from_numpy(
        np.stack([reduce(grey, *square) for grey, square in zip(greys, squares, strict=True)])
    )
    with torch.inference_mode():
        painting = sum(
            torch.sigmoid(load_detector()(canvases.flip(axes))).flip(axes) for axes in mirrors
        ).squeeze(1) / len(mirrors)
        inside = (torch.nn.functional.avg_pool2d(canvases[:, 1], STRIDE) > 0.5).float()
        circles, agreement = fit_circles(painting, inside)
    scale = squares[:, 2:] * STRIDE / SIDE
    centres = squares[:, :2] + (circles[:, :2].numpy() + 0.5) * scale
    return np.hstack([centres, circles[:, 2:].numpy() * scale, agreement[:, None].numpy()])


def find_embryo(image: np.ndarray) -> Frame:
    """Find the embryo in one image; see ``find_embryos``."""
    return find_embryos([image])[0]


def frames_of(images: Sequence[np.ndarray]) -> list[Frame]:
    """As ``find_embryos``, of images of any size: too small a one keeps its whole frame."""
    large = [image for image in images if min(image.shape[:2]) >= SMALLEST]
    found = iter(find_embryos(large) if large else [])
    return [
        next(found) if min(image.shape[:2]) >= SMALLEST else _frame(image, 0.0, 0.0, 0.0, 0.0)
        for image in images
    ]


def frame_table(source: Readable, ids: Iterable[str]) -> pd.DataFrame:
    """Find the embryo in every image of a source.

    Returns
    -------
    DataFrame, one row per id in the order given: id, x, y, radius (pixels), confidence, found.
    """
    ids = list(ids)
    frames: list[Frame] = []
    starts = range(0, len(ids), BATCH)
    for start in progress(starts, total=len(starts), label="framing"):
        frames += frames_of([source.read(id) for id in ids[start : start + BATCH]])
    table = pd.DataFrame(frames, columns=Frame._fields)
    table.insert(0, "id", pd.Series(ids, dtype=object))
    return table.astype({"found": bool})


def crop(
    image: np.ndarray,
    x: float,
    y: float,
    radius: float,
    field_of_view: float,
    size: int,
) -> np.ndarray:
    """Cut the square of half side ``field_of_view * radius`` round (x, y) to ``size`` pixels.

    Resampled with an antialiased cubic kernel; what lies outside the image is its mirror image.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8.
    x, y, radius : pixels, centres at integers.
    field_of_view : half side of the square in radii.
    size : side of the result in pixels.

    Returns
    -------
    (size, size) or (size, size, 3) uint8.

    Raises
    ------
    InputError
        As ``find_embryos``, or the square has no extent.
    """
    _check(image)
    half = field_of_view * radius
    if not (np.isfinite([x, y, half]).all() and half > 0 and size > 0):
        raise InputError(
            f"crop: x={x}, y={y}, radius={radius}, field_of_view={field_of_view}, size={size}; "
            "give finite coordinates and positive lengths."
        )
    margin = int(np.ceil(2 * max(1.0, 2 * half / size))) + 1  # reach of the cubic kernel
    left, top = x + 0.5 - half, y + 0.5 - half  # edges; a pixel covers [i, i + 1]
    count = int(np.ceil(2 * half)) + 1 + 2 * margin
    first_column, first_row = int(np.floor(left)) - margin, int(np.floor(top)) - margin
    rows = _mirror(np.arange(first_row, first_row + count), image.shape[0])
    columns = _mirror(np.arange(first_column, first_column + count), image.shape[1])
    patch = Image.fromarray(image[rows[:, None], columns])
    left, top = left - first_column, top - first_row
    box = left, top, left + 2 * half, top + 2 * half
    return np.asarray(patch.resize((size, size), Image.Resampling.BICUBIC, box=box))


def _mirror(index: np.ndarray, length: int) -> np.ndarray:
    index = np.abs(index) % (2 * length - 2)
    return np.minimum(index, 2 * length - 2 - index)


def _frame(image: np.ndarray, x: float, y: float, radius: float, confidence: float) -> Frame:
    height, width = image.shape[:2]
    inside = -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
    if confidence >= MIN_CONFIDENCE and inside:
        return Frame(x, y, radius, confidence, True)
    return Frame((width - 1) / 2, (height - 1) / 2, max(height, width) / 2, confidence, False)


def _check(image: np.ndarray) -> None:
    shape = image.shape
    if image.dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
        raise InputError(
            f"image of shape {shape} and type {image.dtype}: expected uint8 (H, W) or (H, W, 3). "
            "Read it with lib.data.images.decode."
        )
    if min(shape[:2]) < SMALLEST:
        raise InputError(
            f"image of {shape[1]}x{shape[0]} pixels: at least {SMALLEST} are needed. Give a larger "
            "one."
        )
