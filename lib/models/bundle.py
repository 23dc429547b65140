"""A trained translator with all that it takes to use it elsewhere, in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from engine.errors import InputError
from engine.parameters import check_record
from engine.store import read_tensors, write_tensors
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import CycleGAN, Generator
from lib.models.gate import Gate
from lib.models.networks import build_network
from lib.models.parameters import TranslationParameters

FORMAT = "translator 1"


@dataclass(frozen=True)
class Bundle:
    """What ``compendium translate`` needs.

    Attributes
    ----------
    params : parameters of the run that trained it: framing, size, networks
    domain : whose images it translates to ``params.source_domain``
    arm : its name in the tables of that run
    generator : the translator
    gate : the source classifier, and the limit beyond which an image is strange to it
    facts : what else a reader should know, JSON values
    """

    params: TranslationParameters
    domain: str
    arm: str
    generator: Generator
    gate: Gate
    facts: Mapping[str, Any] = field(default_factory=dict)


def save_bundle(path: Path, bundle: Bundle) -> None:
    """Write a bundle; the parts' names begin with ``generator``, ``classifierK`` and ``knownK``."""
    classifier = bundle.gate.classifier
    parts: dict[str, nn.Module] = {"generator": bundle.generator}
    parts |= {f"classifier{k}": network for k, network in enumerate(classifier.networks)}
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous()
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    tensors |= {f"known{k}": known.contiguous() for k, known in enumerate(bundle.gate.known)}
    head = dict(
        format=FORMAT, params=bundle.params.model_dump(), domain=bundle.domain, arm=bundle.arm,
        blur=classifier.blur, calibrations=[asdict(c) for c in classifier.calibrations],
        gate_threshold=bundle.gate.threshold, facts=dict(bundle.facts),
    )  # fmt: skip
    write_tensors(path, tensors, head)


def load_bundle(path: str | Path, device: torch.device | str = "cpu") -> Bundle:
    """Read what ``save_bundle`` wrote; nothing is unpickled.

    Raises
    ------
    InputError
        Missing, damaged, or not a bundle.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file. Weights lie in results/PROFILE/NOTEBOOK/models after a run."
        )
    try:
        tensors, head = read_tensors(path)
        if head["format"] != FORMAT:
            raise ValueError(f"its format is {head['format']!r}")
        params = check_record(head["params"], str(path))
        generator = CycleGAN(params, channels=1).to_source
        generator.load_state_dict(_part(tensors, "generator"))
        networks = []
        for k in range(len(head["calibrations"])):
            network = build_network(params.classifier, 1, "")
            network.load_state_dict(_part(tensors, f"classifier{k}"))
            networks.append(network.to(device).eval())
        classifier = FoldEnsemble(
            networks, [Calibration(**values) for values in head["calibrations"]], head["blur"]
        )
        known = [tensors[f"known{k}"] for k in range(len(networks))]
        gate = Gate(classifier, known, head["gate_threshold"])
        return Bundle(
            params, head["domain"], head["arm"], generator.to(device).eval(), gate, head["facts"]
        )
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path}: not the weights of a translator ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}). Use a file from results/PROFILE/NOTEBOOK/models."
        ) from error


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    start = f"{part}."
    return {name[len(start) :]: tensor for name, tensor in tensors.items()
            if name.startswith(start)}  # fmt: skip
