"""How the C library hands out memory, set for trainings."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of glibc's malloc.h
_LARGEST = 2**30  # bytes
_PAD = 2**26  # bytes: the size of a thread's heap, which is then never taken down


def keep_freed_memory() -> None:
    """Ask glibc to keep what a step of a training frees, for the next one.

    By itself it gives large blocks back to the system, which hands out every page of them again at
    the next step, one fault and one cleaning each: 150 000 a step at 256 px, a twelfth of its time.
    The process then stays as large as its largest moment. Where there is no glibc, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for name, size in (
        (_MMAP_THRESHOLD, _LARGEST),
        (_TRIM_THRESHOLD, 2 * _LARGEST - 1),
        (_TOP_PAD, _PAD),
    ):
        mallopt(name, size)
