"""Several processes that train one network together, each on its own part of every batch.

They are started by ``torchrun``; Fabric connects them. Every process draws the same
random numbers for the whole batch and computes its own part, so that the result is that of one
process with the batches of all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn


def process_count() -> int:
    """How many processes train together; 1 where none were started for that."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Ranks:
    """This process among those that train together; alone, nothing is exchanged."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.count = fabric.world_size
        self.rank = fabric.global_rank

    def part(self, size: int) -> slice:
        """This process's part of a batch of ``size`` images for all."""
        own = size // self.count
        return slice(self.rank * own, (self.rank + 1) * own)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of ``value`` over all processes."""
        return value if self.count == 1 else self.fabric.all_reduce(value, reduce_op="mean")

    def whole(self, part: Tensor) -> Tensor:
        """The whole batch, from every process's part (N, …)."""
        return part if self.count == 1 else self.fabric.all_gather(part).flatten(0, 1)

    def mean_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every process the mean gradient, in one exchange."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        places = flat.split([gradient.numel() for gradient in gradients])
        for gradient, place in zip(gradients, places, strict=True):
            gradient.copy_(place.view_as(gradient))

    def wait(self) -> None:
        """Go on when all processes are here."""
        self.fabric.barrier()
