"""What an embryo is, whatever photographed it: an encoder of structure, and losses made of it.

Trained on phantoms under random optics: the same place in photographs by two machines shall be
described alike, other places otherwise. ``python -m lib.models.structure`` trains it again (minutes
on one core) and writes ``structure.safetensors`` beside this file.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.errors import InputError
from engine.progress import progress
from lib.data.parameters import ImageParameters
from lib.data.random_looks import Looks, random_looks
from lib.models.feature_loss import FeatureLoss

WEIGHTS = Path(__file__).with_name("structure.safetensors")

SEED = 0
PHANTOMS, LOOKS = 1200, 4
SIZE = 64  # px, of the crops
WIDTH, OUTPUTS = 32, 16
STEPS, BATCH, RATE = 1200, 16, 2e-3
PLACES, TEMPERATURE = 96, 0.1  # places of an image that are told apart


class StructureEncoder(nn.Module):
    """Six 3x3 convolutions; (N, 1, H, W) in [-1, 1] to unit vectors (N, 16, H / 2, W / 2)."""

    def __init__(self) -> None:
        super().__init__()
        shapes = [(1, 1, 1), (WIDTH, 2, 1), (WIDTH, 1, 1), (WIDTH, 1, 2), (WIDTH, 1, 2)]
        layers: list[nn.Module] = []
        for inputs, stride, dilation in shapes:
            layers += [
                nn.Conv2d(inputs, WIDTH, 3, stride, dilation, dilation),
                nn.GroupNorm(8, WIDTH),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers, nn.Conv2d(WIDTH, OUTPUTS, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.body(F.instance_norm(images)), dim=1)


def place_contrast(a: Tensor, b: Tensor, places: Tensor, temperature: float) -> Tensor:
    """InfoNCE over places: which place of ``b`` is this of ``a``?

    Parameters
    ----------
    a, b : (N, C, H, W), unit vectors over C
    places : (N, P), flat places, the same in both; each is told from the P - 1 others of its image
    """
    one, other = (
        maps.flatten(2).gather(2, places[:, None].expand(-1, maps.shape[1], -1)) for maps in (a, b)
    )
    return info_nce(one.transpose(1, 2), other.transpose(1, 2), temperature).mean()


def info_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """InfoNCE (van den Oord et al. 2018, eq. 4): which key is each query's?

    ``queries`` and ``keys`` are unit vectors (N, P, C), each query's own key at the same place and
    the P - 1 others of the same N its negatives. Returns the loss of each query, (N, P).
    """
    likeness = queries @ keys.transpose(1, 2) / temperature
    own = torch.arange(keys.shape[1], device=keys.device).expand(len(keys), -1)
    loss = F.cross_entropy(likeness.flatten(0, 1), own.flatten(), reduction="none")
    return loss.view_as(own)


class StructureLoss(FeatureLoss):
    """How far the structure of a translation is from that of its original: 0 the same, at most 2.

    One minus the mean cosine of the encoder's vectors at equal places.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = load_structure_encoder().requires_grad_(False)

    def features(self, images: Tensor) -> list[Tensor]:
        return [self.encoder(images)]

    def compare(self, translated: Sequence[Tensor], original: Sequence[Tensor]) -> Tensor:
        return 1.0 - (translated[0] * original[0]).sum(1).mean()


def train(looks: Looks, seed: int = SEED, steps: int = STEPS) -> StructureEncoder:
    """Train the encoder; the same weights at every call on one kind of processor."""
    torch.manual_seed(seed)  # layers draw their first weights from the global generator
    rng = torch.Generator().manual_seed(seed)
    encoder = StructureEncoder().train()
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    everything = torch.cat([looks.home, looks.others], dim=1)
    inside = _places_inside(everything.shape[-1] // 2)
    for _ in progress(range(steps), label="structure encoder"):
        one, other = encoder(torch.cat(_pairs(everything, rng))).chunk(2)
        chosen = [torch.randperm(len(inside), generator=rng)[:PLACES] for _ in range(BATCH)]
        places = torch.stack([inside[order] for order in chosen])
        loss = sum(place_contrast(*both, places, TEMPERATURE) for both in
                   ((one, other), (other, one)))  # fmt: skip
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return encoder.eval()


def _pairs(everything: Tensor, rng: torch.Generator) -> list[Tensor]:
    """Two different looks of a batch of embryos in [-1, 1], both turned and mirrored alike."""
    count, looks = everything.shape[:2]
    rows = torch.randint(count, (BATCH,), generator=rng)
    chosen = torch.stack([torch.randperm(looks, generator=rng)[:2] for _ in range(BATCH)])
    turns = int(torch.randint(4, (), generator=rng))
    mirrored = bool(torch.rand((), generator=rng) < 0.5)
    pairs = []
    for look in chosen.T:
        images = everything[rows, look][:, None] / 127.5 - 1.0
        pairs.append(torch.rot90(images.flip(3) if mirrored else images, turns, (2, 3)))
    return pairs


def _places_inside(side: int) -> Tensor:
    """Flat places of a square map that lie in the disc it holds: there the embryo is."""
    line = torch.arange(side) - (side - 1) / 2
    distance = (line**2 + line[:, None] ** 2).sqrt()
    return torch.nonzero(distance.flatten() < side / 2)[:, 0]


def recipe() -> dict[str, object]:
    """What the weights depend on beside phantoms and optics; it is written in their header."""
    return {
        "seed": SEED, "phantoms": PHANTOMS, "looks": LOOKS, "size": SIZE, "width": WIDTH,
        "outputs": OUTPUTS, "steps": STEPS, "batch": BATCH, "rate": RATE, "places": PLACES,
        "temperature": TEMPERATURE,
    }  # fmt: skip


@functools.cache
def load_structure_encoder() -> StructureEncoder:
    """Read the trained encoder, in evaluation mode on the CPU.

    Raises
    ------
    InputError
        The weights file is missing.
    """
    if not WEIGHTS.is_file():
        raise InputError(f"{WEIGHTS}: missing. Restore it, or run python -m lib.models.structure.")
    with safe_open(WEIGHTS, framework="pt") as file:
        state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    encoder = StructureEncoder()
    encoder.load_state_dict(state)
    return encoder.eval()


def save(encoder: StructureEncoder, path: Path) -> None:
    """Write the weights in half precision, with ``recipe()`` in the header."""
    state = {name: tensor.half().contiguous() for name, tensor in encoder.state_dict().items()}
    save_file(state, path, metadata={"parameters": json.dumps(recipe())})


if __name__ == "__main__":
    torch.set_num_threads(1)
    images = ImageParameters(image_size=SIZE)
    save(train(random_looks(images, PHANTOMS, LOOKS, SEED)), WEIGHTS)
