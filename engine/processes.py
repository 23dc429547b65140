"""Several processes that train one network together, each on its own part of every batch.

They are started by ``torchrun``; Fabric connects them. Every process draws the same
random numbers for the whole batch and computes its own part, so that the result is that of one
process with the batches of all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


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


class SharedBatchNorm(TorchFunctionMode):
    """Batch norm by the statistics of all processes' parts, whatever layers a network has it in.

    Used as a context around the passes of a training. ``torch.nn.SyncBatchNorm`` does so on GPUs
    alone and wants every layer replaced. Parts are equally large; without others nothing changes.
    """

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.ranks = ranks

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        shared = function is F.batch_norm and self.ranks.count > 1
        return (self._normalise if shared else function)(*args, **(kwargs or {}))

    def _normalise(
        self, x: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor, bias: Tensor,
        training: bool, momentum: float, eps: float,
    ) -> Tensor:  # fmt: skip
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
        rest = [0, *range(2, x.ndim)]
        mean = _SharedMean.apply(x.mean(rest, keepdim=True), self.ranks)
        variance = _SharedMean.apply((x - mean).square().mean(rest, keepdim=True), self.ranks)
        count = self.ranks.count * x.numel() / x.shape[1]
        with torch.no_grad():
            running_mean.lerp_(mean.flatten().to(running_mean), momentum)
            unbiased = variance.flatten().to(running_var) * (count / (count - 1.0))
            running_var.lerp_(unbiased, momentum)
        shape = [1, -1] + [1] * (x.ndim - 2)
        scale = torch.rsqrt(variance + eps) * weight.view(shape)
        return ((x - mean) * scale + bias.view(shape)).to(x)


class _SharedMean(torch.autograd.Function):
    """The mean over all processes; so is its gradient, since each has the loss of its own part."""

    @staticmethod
    def forward(context: Any, value: Tensor, ranks: Ranks) -> Tensor:
        context.ranks = ranks
        return ranks.mean(value.clone())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return context.ranks.mean(gradient.clone()), None
