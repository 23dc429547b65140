"""What a training frees stays with it."""

import platform
import subprocess
import sys

import pytest

ROUNDS = """
import resource, numpy
from engine.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        numpy.ones(2**23)  # 64 MiB, beyond what glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
keep_freed_memory()
numpy.ones(2**23)
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_memory_that_was_freed_is_not_fetched_from_the_system_again():
    made = subprocess.run(
        [sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True
    )
    by_itself, kept = map(int, made.stdout.split())
    assert kept < by_itself / 5
