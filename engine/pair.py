"""Two computations that share nothing they change, at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import torch


class Pair:
    """Calls a function for two sets of arguments, at once on a CPU, half of the threads for each.

    A kernel of a small network leaves most of a second thread idle, and every kernel waits for its
    slowest thread; two halves that each run through on threads of their own do neither. On a GPU,
    or on a single thread, or not ``at_once``, one call follows the other.

    The first call is always the first thread's. Autograd adds up gradients in the order in which a
    thread has made their operations, so a half that began on one thread and went on on another
    would not end with the same bits every time.
    """

    def __init__(self, device: torch.device, at_once: bool = True) -> None:
        self._threads = torch.get_num_threads()
        self._halves: list[ThreadPoolExecutor] = []
        if at_once and device.type == "cpu" and self._threads > 1:
            share = (self._threads // 2,)
            self._halves = [
                ThreadPoolExecutor(1, initializer=_use, initargs=share) for _ in range(2)
            ]
            self(int, (), ())  # both start
            # What lies between the calls is little: the threads that helped with it would go on
            # spinning for milliseconds, beside both halves.
            torch.set_num_threads(1)

    def __enter__(self) -> Pair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._halves:
            for half in self._halves:
                half.shutdown()
            torch.set_num_threads(self._threads)

    def __call__(
        self, function: Callable[..., Any], first: tuple, second: tuple
    ) -> tuple[Any, Any]:
        """``function(*first)`` and ``function(*second)``; the first one's error is raised."""
        if not self._halves:
            return function(*first), function(*second)
        running = [
            half.submit(function, *given)
            for half, given in zip(self._halves, (first, second), strict=True)
        ]
        return running[0].result(), running[1].result()


def _use(threads: int) -> None:
    torch.get_num_threads()  # a thread takes over the common number once; before it gets its own
    torch.set_num_threads(threads)
