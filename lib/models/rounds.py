"""Which images come next: each once in a shuffled round, for ever."""

from __future__ import annotations

import torch
from torch import Tensor


class Rounds:
    """Batches of indices below ``count``, each index once in a shuffled round, for ever."""

    def __init__(self, count: int, batch: int, generator: torch.Generator) -> None:
        self.count, self.batch, self.generator = count, batch, generator
        self.queue = torch.empty(0, dtype=torch.long)

    def take(self) -> Tensor:
        """The next batch, (batch,)."""
        while len(self.queue) < self.batch:
            order = torch.randperm(self.count, generator=self.generator)
            self.queue = torch.cat([self.queue, order])
        rows, self.queue = self.queue[: self.batch], self.queue[self.batch :]
        return rows

    def state_dict(self) -> dict[str, Tensor]:
        """What is left of the round; the generator is whoever's it is."""
        return {"queue": self.queue}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave."""
        self.queue = state["queue"]
