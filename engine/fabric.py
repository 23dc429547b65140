"""Where a training computes: device, precision and processes; and when it has gone astray."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from engine.errors import InputError
from engine.parameters import Parameters
from engine.processes import process_count

LARGEST_LOSS = 1e6  # what no training comes back from


class DivergedError(RuntimeError):
    """A loss is no finite number any more, or beyond ``LARGEST_LOSS``."""


def stop_if_diverged(
    losses: Mapping[str, float | Sequence[float]], place: str, remedy: str, checkpoints: object
) -> None:
    """Raise a ``DivergedError`` where a loss is not finite, or ``LARGEST_LOSS`` or more.

    ``place`` is where it happened, ``remedy`` a sentence without its full stop; ``checkpoints``
    say where the last good state lies.
    """
    if not all((np.abs(values) < LARGEST_LOSS).all() for values in losses.values()):
        last = {name: float(np.ravel(values)[-1]) for name, values in losses.items()}
        raise DivergedError(f"{place}: a loss explodes ({last}). {remedy}; {checkpoints}.")


def resolve_device(wanted: str) -> torch.device:
    """``auto``: the GPU where there is one, else the CPU.

    Raises
    ------
    InputError
        ``cuda`` is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("device: 'cuda' was asked for and none is here. Use 'auto' or 'cpu'.")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def make_fabric(params: Parameters) -> Fabric:
    """Fabric on the parameters' device and precision: one process, or those of ``torchrun``."""
    kind = dict(accelerator=params.device, precision=params.precision)
    _warn_of_slow_numbers(params)
    count = process_count()
    if count == 1:
        return Fabric(devices=1, **kind)
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(devices=here, num_nodes=count // here, strategy="ddp", **kind)
    fabric.launch()
    return fabric


def _warn_of_slow_numbers(params: Parameters) -> None:
    """Say that bfloat16 will not be the faster choice that it is made for."""
    half = params.precision == "bf16-mixed"
    if half and not has_library_convolutions(resolve_device(params.device), torch.bfloat16):
        warnings.warn(
            "precision bf16-mixed: this processor has no fast convolutions in bfloat16; they are "
            "computed slowly. Set precision to 32-true for speed.",
            stacklevel=3,
        )


def number_kind(fabric: Fabric, params: Parameters) -> dict[str, Any]:
    """Device and type of a training's numbers, for ``to``."""
    double = params.precision == "64-true"
    return dict(device=fabric.device, dtype=torch.double if double else torch.float)


@torch.compiler.assume_constant_result
def has_library_convolutions(device: torch.device, number: torch.dtype) -> bool:
    """Whether torch hands convolutions of such numbers to a library made for them.

    On a CPU that is oneDNN, which takes bfloat16 from some processors on and no float64; else torch
    falls back to a convolution of its own, which is slow and wants its weights contiguous.
    """
    if device.type != "cpu":
        return True
    # What torch would choose, for a batch and a kernel that are no special case of its rules.
    images = torch.empty(4, 16, 16, 16, dtype=number)
    weights = torch.empty(16, 16, 3, 3, dtype=number)
    ones = [1, 1]
    chosen = torch._C._select_conv_backend(
        images, weights, None, ones, ones, ones, False, [0, 0], 1, None
    )
    return "Mkldnn" in str(chosen)


def layout_of(device: torch.device, number: torch.dtype) -> torch.memory_format:
    """The order in memory that convolutions of such numbers are to have: channels last if they can.

    A quarter faster on a CPU, and what the matrix units of a GPU want.
    """
    if has_library_convolutions(device, number):
        return torch.channels_last
    return torch.contiguous_format


def autocast_number(fabric: Fabric, params: Parameters) -> torch.dtype:
    """Type of the numbers that the passes of a training compute in."""
    half = params.precision == "bf16-mixed"
    return torch.bfloat16 if half else number_kind(fabric, params)["dtype"]


def begin_training(
    params: Parameters, seed: int
) -> tuple[Fabric, dict[str, Any], torch.memory_format]:
    """What a training by convolutions begins with: Fabric, everything seeded; device and type of
    its numbers, for ``to``; and the order in memory that its convolutions are to have."""
    fabric = make_fabric(params)
    fabric.seed_everything(seed, verbose=False)
    layout = layout_of(fabric.device, autocast_number(fabric, params))
    return fabric, number_kind(fabric, params), layout


def device_name(device: torch.device) -> str:
    """``CPU``, or the model of the GPU."""
    return "CPU" if device.type == "cpu" else torch.cuda.get_device_name(device)
