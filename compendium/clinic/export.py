"""A trained translator as a file for other programs, checked before it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch

from compendium.clinic.onnx_graph import build_model, expected, run_model
from compendium.model_card import kind_of_images
from engine.errors import InputError
from engine.keys import file_digest
from engine.results import write_atomically
from lib.models.bundle import Bundle, load_bundle
from lib.models.cyclegan import Generator

NOTICE = "For research and teaching only. Not a medical device."
TOLERANCE = 1e-4 * 255  # grey levels: 1e-4 of the range
# Batch, and what is added to the trained height and width: square, oblong, and no multiples of 4.
SHAPES = ((1, 0, 0), (2, -8, 12), (3, 5, 18))


def export(weights: str | Path, to: str, out: str | Path, force: bool = False) -> float:
    """Write the generator of a bundle to ``out``, and nothing if it computes something else there.

    Parameters
    ----------
    weights
        A bundle as ``compendium translate`` takes it. A model card beside it, ``NAME.md``, goes
        along.
    to
        ``onnx``: one file, see ``compendium.clinic.onnx_graph``. ``bioimage``: a package of the
        BioImage Model Zoo (zip), see ``compendium.clinic.bioimage``.
    force
        Overwrite ``out``.

    Returns
    -------
    Greatest difference between ONNX Runtime and PyTorch at three sizes, in grey levels of 255.

    Raises
    ------
    InputError
        Unknown target, ``out`` in the way, no translator in ``weights``, or a check that fails.
    """
    weights, out = Path(weights), Path(out)
    if to not in WRITERS:
        raise InputError(f"--to {to}: no such target. Choose {' or '.join(WRITERS)}.")
    if out.exists() and not force:
        raise InputError(f"{out}: in the way. Choose another --out, or --force to overwrite.")
    bundle = load_bundle(weights)
    model = build_model(bundle.generator, facts_of(bundle, weights))
    difference = greatest_difference(model, bundle.generator, bundle.params.image_size)
    if not difference <= TOLERANCE:
        raise InputError(
            f"{weights}: ONNX Runtime and PyTorch differ by {difference:.3g} grey levels, more "
            f"than {TOLERANCE:.3g}, so nothing was written. Use compendium translate instead."
        )
    write_atomically(out, WRITERS[to](model, bundle, weights))
    return difference


def _package(model: onnx.ModelProto, bundle: Bundle, weights: Path) -> bytes:
    from compendium.clinic.bioimage import write_package  # takes seconds to import

    return write_package(model, bundle, weights)


WRITERS: dict[str, Callable[[onnx.ModelProto, Bundle, Path], bytes]] = {
    "onnx": lambda model, bundle, weights: model.SerializeToString(),
    "bioimage": _package,
}


def facts_of(bundle: Bundle, weights: Path) -> dict[str, str]:
    """Metadata of the exported file: what it is, what it was made from, what it is not for."""
    p = bundle.params
    return dict(
        notice=NOTICE, images=kind_of_images(p, bundle.domain), domain=bundle.domain,
        source_domain=p.source_domain, arm=bundle.arm, weights=weights.name,
        weights_sha256=file_digest(weights), image_size=str(p.image_size), framing=p.framing,
        field_of_view=str(p.field_of_view) if p.framing == "embryo" else "",
        grey_levels="0 to 255, of an 8-bit image",
    )  # fmt: skip


def greatest_difference(model: onnx.ModelProto, generator: Generator, size: int) -> float:
    """Greatest difference between ONNX Runtime and PyTorch, in grey levels; nan where one is.

    Compared on noise of ``SHAPES``, near the ``size`` that the generator was trained at.
    """
    random = torch.Generator().manual_seed(0)
    differences = []
    for batch, taller, wider in SHAPES:
        grey = torch.rand((batch, 1, size + taller, size + wider), generator=random) * 255
        found = run_model(model, grey.numpy())
        differences.append(np.abs(found - expected(generator, grey).numpy()).max())
    return float(np.max(differences))
