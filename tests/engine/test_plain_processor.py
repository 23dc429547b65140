"""Every precision trains on a processor without fast convolutions in bfloat16.

oneDNN, the library of torch's convolutions, is told to use no instruction beyond AVX2, and torch
then takes its own plain convolution, as on most laptops. The tests of the trainings are run again
so, in processes of their own, since the library reads it once: a fast machine hides nothing.
"""

import os
import subprocess
import sys

import pytest

from engine.paths import ROOT

PLAIN = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
ASK = """
import torch
from engine.fabric import has_library_convolutions
print(has_library_convolutions(torch.device("cpu"), torch.bfloat16))
"""
AFFECTED = [
    "tests/compendium/test_bench.py::test_every_measure_gives_numbers",
    "tests/engine/test_checkpoints.py::test_a_training_that_was_stopped_ends_with_the_same_bits"
    "[half_translator-steps1]",
    "tests/engine/test_fabric.py",
    "tests/lib/test_cyclegan.py",
    "tests/lib/test_training.py::test_compiled_networks_train_as_the_plain_ones[bf16-mixed-0.05]",
]


def call(*command):
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, env={**os.environ, **PLAIN}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _plain():
    answer = call("-c", ASK)
    assert answer.returncode == 0, answer.stderr
    if answer.stdout.strip() == "True":
        pytest.skip("this kind of processor cannot be told to be a plain one")


def test_trainings_pass_on_a_plain_processor():
    answer = call("-m", "pytest", "-q", "-p", "no:cacheprovider", *AFFECTED)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert " passed" in answer.stdout
