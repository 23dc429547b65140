"""Domain randomisation: phantoms photographed so variously that a real photograph is one more.

After Tobin et al. 2017 (arXiv:1703.06907). All functions work on batches on the canvas of
``lib.data.detector`` and draw from the generator they are given.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

SIDE = 64  # px, side of the canvas
CLOSE = 1.5  # half side of a close look in embryo radii


def disc(circles: torch.Tensor, side: int, step: float) -> torch.Tensor:
    """Antialiased discs.

    Parameters
    ----------
    circles : (N, 3); x, y, radius in canvas pixels, centres at integers.
    side, step : the result has ``side`` pixels of ``step`` canvas pixels each.

    Returns
    -------
    (N, 1, side, side) float in 0..1.
    """
    line = (torch.arange(side) + 0.5) * step - 0.5
    x, y, radius = circles.T[:, :, None, None]
    distance = ((line - x) ** 2 + (line[:, None] - y) ** 2).sqrt()
    return ((radius - distance) / step + 0.5).clamp(0, 1).unsqueeze(1)


def place(
    grey: torch.Tensor, circles: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cut a random window out of each photograph, turn and mirror it, put it on the canvas.

    Half of the windows show most of the photograph, half are as close as a second look. Within
    its outer edge the embryo is stretched along the radius, so that zonas of all widths occur.

    Parameters
    ----------
    grey : (N, 1, H, W) float.
    circles : (N, 3); x, y, radius in pixels of the photographs. A window contains the centre.

    Returns
    -------
    canvas, inside : (N, 1, SIDE, SIDE); grey values, and 1 where the window lies (upper left).
    circles : (N, 3) in canvas pixels.
    """
    count = len(grey)
    extent = torch.tensor([grey.shape[3], grey.shape[2]], dtype=torch.float32)
    window = extent * (0.7 + 0.5 * torch.rand(count, 2, generator=rng))
    slack = (extent - window) / 2
    middle = extent / 2 + slack * (2 * torch.rand(count, 2, generator=rng) - 1)
    reach = 0.3 * window
    middle = torch.maximum(torch.minimum(middle, circles[:, :2] + reach), circles[:, :2] - reach)
    close = (torch.rand(count, 1, generator=rng) < 0.5) & (circles[:, 2:] > 0)
    radius = circles[:, 2:]
    jitter = radius * 0.8 * (torch.rand(count, 2, generator=rng) - 0.5)
    middle = torch.where(close, circles[:, :2] + 0.5 + jitter, middle)
    side = 2 * radius * CLOSE * (0.8 + 0.4 * torch.rand(count, 1, generator=rng))
    window = torch.where(close, side, window)
    turns = torch.tensor(
        [[[1.0, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]]
    )
    turn = turns[torch.randint(4, (count,), generator=rng)]
    turn[:, :, 0] *= 1.0 - 2.0 * torch.randint(2, (count, 1), generator=rng)
    # photograph = middle + turn (canvas / scale - turned / 2), edges at integers in both
    turned = (turn.mT.abs() @ window.unsqueeze(2)).squeeze(2)
    scale = SIDE / turned.amax(1, keepdim=True)
    line = torch.arange(SIDE) + 0.5
    pixels = torch.stack(torch.meshgrid(line, line, indexing="xy"), 2).reshape(1, -1, 2)
    local = pixels / scale.unsqueeze(1) - turned.unsqueeze(1) / 2
    source = middle.unsqueeze(1) + local @ turn.mT
    shown = (local < turned.unsqueeze(1) / 2) & (source > 0) & (source < extent)
    inside = shown.all(2).float().reshape(count, 1, SIDE, SIDE)
    centre = circles[:, None, :2] + 0.5
    reached = (source - centre).norm(dim=2, keepdim=True) / circles[:, 2:, None]
    power = torch.rand(count, 1, 1, generator=rng) * 0.5 - 0.4
    stretch = torch.where((reached > 0) & (reached < 1), reached.clamp(min=0.05) ** power, 1.0)
    grid = 2 * (centre + (source - centre) * stretch) / extent - 1
    grid = grid.reshape(count, SIDE, SIDE, 2)
    canvas = _sample(grey, grid, scale)
    back = (turn.mT @ (circles[:, :2] + 0.5 - middle).unsqueeze(2)).squeeze(2)
    moved = scale * (back + turned / 2) - 0.5
    return canvas, inside, torch.cat([moved, scale * circles[:, 2:]], 1)


def _sample(grey: torch.Tensor, grid: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Sample photographs that shrink by ``scale`` (N, 1) from the level blurred to match."""
    level = torch.log2(1 / scale).clamp(0, 2).round().flatten()
    chosen = grey.clone()
    for number, sigma in ((1, 0.8), (2, 1.7)):
        rows = level == number
        if rows.any():
            chosen[rows] = gaussian(grey[rows], sigma)
    return F.grid_sample(chosen, grid, padding_mode="border", align_corners=False)


def surround(
    canvas: torch.Tensor, circles: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give some embryos a wide, faint, granular zona round what they have.

    Parameters
    ----------
    canvas : (N, 1, SIDE, SIDE) grey values.
    circles : (N, 3) in canvas pixels.

    Returns
    -------
    canvas, circles : the circles now enclose the added zona.
    """
    count = len(canvas)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=rng)

    width = uniform(-0.9, 0.3).clamp(min=0)
    wide = torch.cat([circles[:, :2], circles[:, 2:] * (1 + width.flatten(1))], 1)
    ring = gaussian(disc(wide, SIDE, 1.0), 0.7) * (1 - disc(circles, SIDE, 1.0))
    line = torch.linspace(-1, 1, SIDE)
    side = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    shade = side * uniform(6, 25) + uniform(-20, 20) * line + uniform(-20, 20) * line[:, None]
    grain = gaussian(torch.randn(canvas.shape, generator=rng), 0.6) * uniform(10, 40)
    return canvas + ring * (shade + grain), wide


def blend(
    canvas: torch.Tensor,
    circles: torch.Tensor,
    wells: torch.Tensor,
    rng: torch.Generator,
) -> torch.Tensor:
    """Soften the zona's outer edge and lay the embryo into another well, its rim included.

    Parameters
    ----------
    canvas, wells : (N, 1, SIDE, SIDE) grey values; with the embryo, and without any.
    circles : (N, 3) in canvas pixels.
    """
    count = len(canvas)
    soft, lit, chosen, room = torch.rand(4, count, 1, 1, 1, generator=rng)

    def grown(factor: torch.Tensor) -> torch.Tensor:
        return disc(torch.cat([circles[:, :2], circles[:, 2:] * factor.flatten(1)], 1), SIDE, 1.0)

    edge = grown(torch.full_like(room, 1.12)) - grown(torch.full_like(room, 0.85))
    canvas = torch.lerp(canvas, gaussian(canvas, 1.5), edge * (2 * soft - 1).clamp(min=0))
    patch = gaussian(grown(1 + 0.3 * room), 1.0)
    light = (wells / (wells.mean((2, 3), keepdim=True) + 20)).clamp(0.1, 2.0)
    moved = torch.lerp(wells, canvas * torch.lerp(torch.ones(()), light, lit), patch)
    return torch.where(chosen < 0.45, moved, canvas)


def disturb(canvas: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Change dirt, polarity, tone, light, focus and noise of (N, 1, S, S) grey values at random."""
    count, side = len(canvas), canvas.shape[-1]

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=rng)

    x = canvas / 255
    for share, size in ((0.012, 0.7), (0.003, 1.6)):
        specks = (torch.rand(x.shape, generator=rng) < uniform(-share, share)).float()
        specks = gaussian(specks, size) * size**2
        relief = specks - specks.roll((1, 1), (2, 3))
        x = x * (1 - uniform(-1, 3) * specks + uniform(-5, 5) * relief).clamp(0.2, 2)
    x = torch.where(uniform(0, 1) < 0.1, 1 - x, x).clamp(0, 1)
    x = x ** torch.exp(uniform(-0.5, 0.5))
    line = torch.linspace(-0.5, 0.5, side)
    tilt = uniform(-0.3, 0.3) * line + uniform(-0.3, 0.3) * line[:, None]
    x = x * torch.exp(uniform(-0.7, 0.0)) * (1 + tilt) + uniform(0, 0.2)
    blurred = gaussian(x, 0.5 + torch.rand((), generator=rng).item())
    x = torch.lerp(x, blurred, (uniform(-1, 1)).clamp(min=0).sqrt())
    noise = torch.randn(x.shape, generator=rng)
    x = x + uniform(-0.03, 0.03).clamp(min=0) * noise
    return 255 * x.clamp(0, 1)


def gaussian(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur (N, 1, H, W) with a Gaussian of ``sigma`` pixels."""
    reach = int(3 * sigma + 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).tolist()
    height, width = x.shape[2:]
    x = F.pad(x, [reach] * 4, mode="reflect")
    x = sum(k * x[:, :, i : i + height] for i, k in enumerate(kernel))
    return sum(k * x[:, :, :, i : i + width] for i, k in enumerate(kernel))


def nothing(count: int, rng: torch.Generator) -> torch.Tensor:
    """Draw (count, 1, SIDE, SIDE) grey values without an embryo: flat fields to cloudy textures."""
    x = torch.randn(count, 1, SIDE, SIDE, generator=rng)
    grain = torch.rand(count, 1, 1, 1, generator=rng)
    x = torch.where(grain < 0.33, x, torch.where(grain < 0.66, gaussian(x, 2.0), gaussian(x, 6.0)))
    x = x / x.std((2, 3), keepdim=True)
    contrast = 60 * torch.rand(count, 1, 1, 1, generator=rng) ** 2
    return (40 + 180 * torch.rand(count, 1, 1, 1, generator=rng) + contrast * x).clamp(0, 255)
