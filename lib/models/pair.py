"""Two computations that share nothing they change, at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import torch


class Pair:
    """Calls a function for two sets of arguments, at once on a CPU, half of the threads for each.

    A kernel of a small network leaves most of a second thread idle, and every kernel waits for its
    slowest thread; two halves that each run through on threads of their own do neither. On a GPU,
    or on a single thread, one call follows the other.
    """

    def __init__(self, device: torch.device) -> None:
        self._threads = torch.get_num_threads()
        self._pool = None
        if device.type == "cpu" and self._threads > 1:
            self._pool = ThreadPoolExecutor(2, initializer=_use, initargs=(self._threads // 2,))
            self(threading.Barrier(2).wait, (), ())  # both start
            # What lies between the calls is little: the threads that helped with it would go on
            # spinning for milliseconds, beside both halves.
            torch.set_num_threads(1)

    def __enter__(self) -> Pair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._pool is not None:
            self._pool.shutdown()
            torch.set_num_threads(self._threads)

    def __call__(
        self, function: Callable[..., Any], first: tuple, second: tuple
    ) -> tuple[Any, Any]:
        """``function(*first)`` and ``function(*second)``; the first one's error is raised."""
        if self._pool is None:
            return function(*first), function(*second)
        running = [self._pool.submit(function, *given) for given in (first, second)]
        return running[0].result(), running[1].result()


def _use(threads: int) -> None:
    torch.get_num_threads()  # a thread takes over the common number once; before it gets its own
    torch.set_num_threads(threads)
