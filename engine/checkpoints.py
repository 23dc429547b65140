"""States of a training in progress, so that one that is killed goes on and ends with the same bits.

A checkpoint is a safetensors file with a checksum, written to a hidden file, synced and renamed:
it is whole or not there. Nothing is unpickled.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from engine.store import read_tensors, write_tensors

KEPT = 2


class Checkpoints:
    """The last two states of one training.

    Parameters
    ----------
    folder
        Where they lie; None keeps nothing.
    seconds
        At least this long between two of them; 0: after every step.
    """

    def __init__(self, folder: Path | None = None, seconds: float = 60.0) -> None:
        self.folder = folder
        self.seconds = seconds
        self._last = time.monotonic()

    def resume(self, parts: Mapping[str, Any]) -> tuple[int, list[dict[str, Any]]]:
        """Restore ``parts`` and the random states from the last checkpoint that can be read.

        Parameters
        ----------
        parts
            Everything that changes during the training: modules, optimisers, schedulers, other
            objects with ``state_dict`` and ``load_state_dict``, and torch's generators.

        Returns
        -------
        Number of steps that are done, and the history up to there; 0 and an empty one if there is
        no checkpoint.
        """
        for path in reversed(self.paths()):
            try:
                tensors, skeleton = read_tensors(path)
                state = _unpack(skeleton, tensors)
                if set(state["parts"]) != set(parts):
                    raise ValueError(f"it holds {', '.join(state['parts'])}")
            except (SafetensorError, ValueError, KeyError, AttributeError, OSError) as error:
                warnings.warn(
                    f"{path}: damaged ({error}); the checkpoint before it is used.", stacklevel=2
                )
                continue
            for name, part in parts.items():
                if isinstance(part, torch.Generator):
                    part.set_state(state["parts"][name])
                else:
                    part.load_state_dict(state["parts"][name])
                if isinstance(part, torch.optim.Optimizer):
                    _lay_out(part)
            _set_random_states(state["random"])
            return state["step"], state["history"]
        return 0, []

    def keep(self, step: int, parts: Mapping[str, Any], history: list[dict[str, Any]]) -> None:
        """Write a checkpoint if it is time for one; ``step`` steps are done."""
        if self.folder is None or time.monotonic() - self._last < self.seconds:
            return
        states = {
            name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
            for name, part in parts.items()
        }
        tensors: dict[str, Tensor] = {}
        state = dict(step=step, history=history, parts=states, random=_random_states())
        skeleton = _pack(state, "state", tensors)
        for stale in self.folder.glob(".*.partial"):  # of a process that was killed while writing
            stale.unlink(missing_ok=True)
        write_tensors(self.folder / f"{step:09d}.safetensors", tensors, skeleton)
        for old in self.paths()[:-KEPT]:
            old.unlink(missing_ok=True)
        self._last = time.monotonic()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold this training, so that a second process that wants it waits until it is done."""
        if self.folder is None:
            yield
            return
        with self._locked():  # freed by the system however the process ends
            yield

    def _locked(self) -> IO[str]:
        """The lock, held. Who had it before may have removed it with the folder: then a new one."""
        path = self.folder / ".lock"
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock = path.open("w")
            except FileNotFoundError:
                continue
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock.fileno()).st_nlink:  # it still has a name
                return lock
            lock.close()

    def paths(self) -> list[Path]:
        """The checkpoints that are there, oldest first."""
        return sorted(self.folder.glob("*.safetensors")) if self.folder else []

    def remove(self) -> None:
        """Remove them all: the training is done."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __str__(self) -> str:
        paths = self.paths()
        return f"last good checkpoint: {paths[-1]}" if paths else "no checkpoint was written yet"


def _lay_out(optimiser: torch.optim.Optimizer) -> None:
    """Order an optimiser's state in memory as its weights: a fused step reads both as they lie."""
    for weights, state in optimiser.state.items():
        for name, value in state.items():
            if value.shape == weights.shape:
                state[name] = torch.empty_like(weights, dtype=value.dtype).copy_(value)


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON, its tensors by name in ``tensors``; keys of mappings keep their type."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"map": [[key, _pack(v, f"{name}.{key}", tensors)] for key, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_pack(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]}
    return {"value": value}


def _unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    ((kind, value),) = packed.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "map":
        return {key: _unpack(v, tensors) for key, v in value}
    if kind == "list":
        return [_unpack(v, tensors) for v in value]
    return value


def _random_states() -> dict[str, Any]:
    name, keys, place, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - libraries' own
    return dict(
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        numpy=[name, keys.tolist(), int(place), int(has_gauss), float(cached)],
        python=list(random.getstate()),
    )


def _set_random_states(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
