"""Progress of long loops: a bar where somebody watches, plain lines where nobody does."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

LINE_SECONDS = 10.0  # at most one plain line in this time
BAR_DELAY = 1.0  # seconds; what is done by then needs no bar
_silent = False


def silence() -> None:
    """Show no progress in this process from here on."""
    global _silent
    _silent = True


def progress(iterable: Iterable[Item], total: int | None = None, label: str = "") -> Iterator[Item]:
    """Yield the items of ``iterable`` and show how far it is and how long it still takes.

    ``total`` is the number of items where ``iterable`` has no length. In Jupyter and on a terminal
    this is a bar. With ``COMPENDIUM_HEADLESS=1``, or without a terminal, it is at most one plain
    line in ten seconds, written to the console and never into the executed notebook.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    if _silent:
        yield from iterable
        return
    if _headless():
        yield from _lines(iterable, total, label)
        return
    from tqdm.auto import tqdm

    yield from tqdm(iterable, total=total, desc=label or None, leave=False, delay=BAR_DELAY)


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def _in_kernel() -> bool:
    """Whether this process runs the cells of a notebook."""
    return hasattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp") and (
        sys.modules["ipykernel.kernelapp"].IPKernelApp.initialized()
    )


def _headless() -> bool:
    if os.environ.get("COMPENDIUM_HEADLESS", "") not in ("", "0"):
        return True
    return not _in_kernel() and not sys.stderr.isatty()


def _say(line: str) -> None:
    """Write one line to the console.

    A kernel sends whatever reaches ``sys.stderr`` or file descriptor 2 into the notebook; only the
    descriptor that its stream hands out still leads to the console. Started by a test runner, it
    leaves descriptor 2 alone and hands out none.
    """
    if _in_kernel():
        with contextlib.suppress(io.UnsupportedOperation):
            os.write(sys.stderr.fileno(), f"{line}\n".encode())
            return
    print(line, file=sys.__stderr__, flush=True)


def _lines(iterable: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
    start = last = time.monotonic()
    for done, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if now - last < LINE_SECONDS or done == total:
            continue
        last = now
        count = f"{done}/{total}" if total else f"{done}"
        left = f", {duration((now - start) / done * (total - done))} left" if total else ""
        _say(f"{label or 'progress'}: {count}{left}")
