"""Where a training computes: device, precision and processes; and when it has gone astray."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning_fabric import Fabric

from engine.errors import InputError
from engine.parameters import Parameters
from engine.processes import process_count

LARGEST_LOSS = 1e6  # what no training comes back from


class DivergedError(RuntimeError):
    """A loss is no finite number any more, or beyond ``LARGEST_LOSS``."""


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
    count = process_count()
    if count == 1:
        return Fabric(devices=1, **kind)
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(devices=here, num_nodes=count // here, strategy="ddp", **kind)
    fabric.launch()
    return fabric


def number_kind(fabric: Fabric, params: Parameters) -> dict[str, Any]:
    """Device and type of a training's numbers, for ``to``."""
    double = params.precision == "64-true"
    return dict(device=fabric.device, dtype=torch.double if double else torch.float)


def device_name(device: torch.device) -> str:
    """``CPU``, or the model of the GPU."""
    return "CPU" if device.type == "cpu" else torch.cuda.get_device_name(device)
