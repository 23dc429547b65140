"""What makes a computation repeat itself: seeds, threads, deterministic kernels."""

from __future__ import annotations

import os
import random
import re
import warnings

import numpy as np
import torch

_CONFESSION = re.compile(r"^(\S+) does not have a deterministic implementation")


def seed_everything(seed: int, threads: int, refuse: bool = False) -> None:
    """Seed Python, NumPy and torch, fix the number of threads, ask for deterministic kernels.

    ``refuse``: an operation that has none is an error (RuntimeError of torch, which names it); else
    torch warns and goes on. Of what this compendium trains, only some layers on CUDA have none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries still draw from it
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=not refuse)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False


def watch_operations() -> set[str]:
    """Names of operations that were not deterministic; grows from here on as torch warns of them.

    The warnings are shown as before.
    """
    names: set[str] = set()
    show = warnings.showwarning

    def note(message, *rest, **more) -> None:
        found = _CONFESSION.match(str(message))
        if found:
            names.add(found[1])
        show(message, *rest, **more)

    warnings.showwarning = note
    return names
