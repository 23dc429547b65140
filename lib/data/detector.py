"""The network that paints the embryo's disc, and its training on the phantom's truth.

``python -m lib.data.detector`` trains it again (a few minutes on one core) and writes
``framing.safetensors`` beside this file.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from engine.errors import InputError
from engine.progress import progress
from lib.phantom.embryo import grow
from lib.phantom.optics import DEVICES, photograph
from lib.phantom.randomisation import SIDE, blend, disc, disturb, nothing, place, surround

STRIDE = 2  # canvas pixels per pixel of the painting
WIDTHS = (16, 24, 40, 56)  # channels at 1/2, 1/4, 1/8 and 1/16 of the canvas
WEIGHTS = Path(__file__).with_name("framing.safetensors")

SEED = 0
PHANTOMS = 300  # per device and width
FIRST_SEED = 1 << 40  # phantoms from here on train the detector and appear in no experiment
WELLS = 40  # photographs without embryo, per device and width
PHANTOM_WIDTHS = (64, 128, 256)  # px
STEPS = 2400
EMBRYOS_PER_BATCH = 3  # per device and width; further 5 images without embryo
RATE = 2e-3
RELIEF = "ED4"  # its wide granular zonas are fainter than any the phantom grows
NOWHERE = (0.0, 0.0, -1e6)  # circle round no pixel


def _block(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    )


class Detector(nn.Module):
    """U-Net (Ronneberger et al. 2015) over four scales, its skips added instead of stacked.

    Takes (N, 2, SIDE, SIDE): grey and validity. Gives (N, 1, SIDE / STRIDE, SIDE / STRIDE):
    log-odds that a pixel lies within the embryo's outer edge. It also sees the grey values with
    light and contrast evened out, so that a well's bright rim and dark outside do not hide what
    lies over them.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Sequential(_block(3, widths[0], 2), _block(widths[0], widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(_block(fine, coarse, 2), _block(coarse, coarse))
            for fine, coarse in itertools.pairwise(widths)
        )
        self.bottom = _block(widths[-1], widths[-1])
        self.lift = nn.ModuleList(
            nn.Conv2d(coarse, fine, 1) for fine, coarse in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(_block(fine, fine) for fine in widths[:-1])
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, canvas: torch.Tensor) -> torch.Tensor:
        skips = [self.stem(torch.cat([canvas, even(canvas)], dim=1))]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = self.bottom(skips.pop())
        for lift, up in zip(reversed(self.lift), reversed(self.up), strict=True):
            x = F.interpolate(lift(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = up(x + skips.pop())
        return self.head(x)


@functools.cache
def load_detector() -> Detector:
    """Read the trained detector, in evaluation mode on the CPU.

    Raises
    ------
    InputError
        The weights file is missing.
    """
    if not WEIGHTS.is_file():
        raise InputError(f"{WEIGHTS}: missing. Restore it, or run python -m lib.data.detector.")
    with safe_open(WEIGHTS, framework="pt") as file:
        widths = tuple(json.loads(file.metadata()["parameters"])["widths"])
        state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    detector = Detector(widths)
    detector.load_state_dict(state)
    return detector.eval()


def even(canvas: torch.Tensor) -> torch.Tensor:
    """Grey values (N, 1, S, S) less their local mean, over their local deviation."""
    grey, inside = canvas[:, :1], canvas[:, 1:]

    def box(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(F.avg_pool2d(x, (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))

    def local(x: torch.Tensor) -> torch.Tensor:
        return box(x * inside) / (box(inside) + 1e-3)

    mean = local(grey)
    deviation = (local(grey**2) - mean**2).clamp(min=0).sqrt()
    return (grey - mean) / (deviation + 0.05) * inside


def normalise(grey: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit deviation over the pixels ``inside`` (N, 1, S, S); zero elsewhere."""
    count = inside.sum((2, 3), keepdim=True)
    mean = (grey * inside).sum((2, 3), keepdim=True) / count
    centred = (grey - mean) * inside
    deviation = ((centred**2).sum((2, 3), keepdim=True) / count).sqrt()
    return centred / (deviation + 1.0)


def photographs(
    device: str, width: int, seeds: np.ndarray, empty: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Photograph phantoms of ``seeds`` in grey, or their wells alone (``empty``).

    Returns
    -------
    grey : (N, 1, H, W) uint8.
    circles : (N, 3) float; x, y, radius in pixels; an empty well's disc has no pixel.
    """
    greys, circles = [], []
    for part in np.array_split(seeds, max(1, len(seeds) // 50)):
        embryos = grow(part, min(width, 128), 0.5)
        if empty:
            blank = np.zeros_like(embryos.height)
            embryos = dataclasses.replace(embryos, height=blank, absorption=blank)
        taken = photograph(embryos, part, device, width)
        greys += [np.asarray(Image.fromarray(image).convert("L")) for image in taken.images]
        radius = np.full(len(part), NOWHERE[2]) if empty else taken.radius
        circles.append(np.stack([taken.x, taken.y, radius], 1))
    grey = torch.from_numpy(np.stack(greys)).unsqueeze(1)
    return grey, torch.from_numpy(np.concatenate(circles)).float()


def _draw(
    shot: tuple[torch.Tensor, torch.Tensor], count: int, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    grey, circles = shot
    chosen = torch.randint(len(grey), (count,), generator=rng)
    return place(grey[chosen].float(), circles[chosen], rng)


def train() -> Detector:
    """Train the detector on phantoms of all devices; the same weights at every call."""
    torch.manual_seed(SEED)  # layers draw their first weights from the global generator
    rng = torch.Generator().manual_seed(SEED)
    seeds = FIRST_SEED + np.arange(PHANTOMS)
    kinds = list(itertools.product(sorted(DEVICES), PHANTOM_WIDTHS))
    shots = [photographs(device, width, seeds, empty=False) for device, width in kinds]
    wells = [photographs(device, width, seeds[:WELLS], empty=True) for device, width in kinds]
    devices = np.repeat([device for device, _ in kinds], EMBRYOS_PER_BATCH)
    relief = torch.from_numpy(devices == RELIEF)
    detector = Detector().train()
    optimiser = torch.optim.AdamW(detector.parameters(), lr=RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    for _ in progress(range(STEPS), total=STEPS, label="detector"):
        # Every batch holds every kind: batch norm would otherwise learn them apart.
        parts = [_draw(shot, EMBRYOS_PER_BATCH, rng) for shot in shots]
        canvas, inside, circles = (torch.cat(part) for part in zip(*parts, strict=True))
        parts = [_draw(well, EMBRYOS_PER_BATCH, rng) for well in wells]
        elsewhere = torch.cat([part[0] for part in parts])
        elsewhere = elsewhere[torch.randperm(len(elsewhere), generator=rng)]
        canvas[relief], circles[relief] = surround(canvas[relief], circles[relief], rng)
        canvas = blend(canvas, circles, elsewhere, rng)
        canvas = torch.cat([canvas, elsewhere[:3], nothing(2, rng)])
        inside = torch.cat([inside, torch.ones(5, 1, SIDE, SIDE)])
        circles = torch.cat([circles, torch.tensor([NOWHERE] * 5)])
        truth = disc(circles, SIDE // STRIDE, STRIDE)
        canvas = normalise(disturb(canvas, rng), inside)
        odds = detector(torch.cat([canvas, inside], 1))
        weight = F.avg_pool2d(inside, STRIDE)
        loss = F.binary_cross_entropy_with_logits(odds, truth, weight)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return detector.eval()


def recipe() -> dict[str, object]:
    """What the weights depend on beside the phantom; it is written in their header."""
    return {
        "widths": list(WIDTHS),
        "side": SIDE,
        "seed": SEED,
        "phantoms": PHANTOMS,
        "first_seed": FIRST_SEED,
        "wells": WELLS,
        "phantom_widths": list(PHANTOM_WIDTHS),
        "steps": STEPS,
        "embryos_per_batch": EMBRYOS_PER_BATCH,
        "rate": RATE,
    }


def save(detector: Detector, path: Path) -> None:
    """Write the weights in half precision, with ``recipe()`` in the header."""
    state = {name: tensor.half().contiguous() for name, tensor in detector.state_dict().items()}
    save_file(state, path, metadata={"parameters": json.dumps(recipe())})


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(train(), WEIGHTS)
