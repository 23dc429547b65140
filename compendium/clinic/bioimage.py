"""A translator as a package of the BioImage Model Zoo (bioimage.io, model description 0.5)."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import yaml
from bioimageio.core import test_model
from bioimageio.spec import ValidationContext, build_description, save_bioimageio_package
from bioimageio.spec.model import ModelDescr
from PIL import Image

from compendium.clinic.onnx_graph import INPUT, MULTIPLE, OPSET, OUTPUT, run_model
from compendium.model_card import WARNINGS, kind_of_images
from engine.errors import InputError
from engine.keys import file_digest
from engine.paths import ROOT
from lib.data.framing import crop
from lib.data.images import fit, to_grey
from lib.data.seed_ranges import BLOCK, RUNS
from lib.figures.style import arm_name
from lib.models.bundle import Bundle
from lib.models.parameters import TranslationParameters
from lib.models.recipes import CONTRASTIVE, SIMULATED
from lib.phantom.embryo import grow
from lib.phantom.optics import DEVICES, photograph

SEED = RUNS * 3 * BLOCK  # an embryo that no run draws
CYCLEGAN = dict(
    text="Zhu et al. 2017, Unpaired image-to-image translation using cycle-consistent adversarial "
    "networks", doi="10.1109/ICCV.2017.244",
)  # fmt: skip
CONTRAST = dict(
    text="Park et al. 2020, Contrastive learning for unpaired image-to-image translation",
    doi="10.1007/978-3-030-58545-7_19",
)
RANDOMISATION = dict(
    text="Tobin et al. 2017, Domain randomization for transferring deep neural networks from "
    "simulation to the real world", doi="10.1109/IROS.2017.8202133",
)  # fmt: skip
# Edges, and with instance normalisation every pixel, depend on the whole image.
NO_TILES = "Give it one whole image at a time, never tiles: it normalises by the whole image."


def write_package(model: onnx.ModelProto, bundle: Bundle, weights: Path) -> bytes:
    """The package (zip): description, network, README, cover, sample and test images.

    All processing lies in the network, so the description has none. The model card goes into the
    README if it lies beside ``weights`` and is theirs. Test images are phantoms, whatever the
    translator was trained on: no patient's image leaves. Nothing talks to the network.

    Raises
    ------
    InputError
        The package fails the test of ``bioimageio.core``.
    """
    p = bundle.params
    image = sample(p, bundle.domain)
    stack = image[None, None].astype(np.float32)
    made = run_model(model, stack)
    picture = np.rint(made[0, 0]).astype(np.uint8)
    with TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(model, folder / "weights.onnx")
        np.save(folder / "test_input.npy", stack)
        np.save(folder / "test_output.npy", made)
        for file, pixels in (("input", image), ("output", picture)):
            Image.fromarray(pixels).save(folder / f"sample_{file}.png")
        Image.fromarray(np.hstack([image, picture])).save(folder / "cover.png")
        (folder / "README.md").write_text(readme(bundle, weights))
        # What it would warn of are tags that the zoo wants of what is uploaded.
        with ValidationContext(root=folder, log_warnings=False):
            described = build_description(description(bundle))
            package = save_bioimageio_package(described, output_path=folder / "package.zip")
            summary = test_model(package)
        if summary.status != "passed":
            reasons = "; ".join(error.msg for detail in summary.details for error in detail.errors)
            raise InputError(
                f"{weights}: the package fails the test of bioimageio.core ({reasons}), so nothing "
                "was written. Use --to onnx, which needs no description."
            )
        return package.read_bytes()


def description(bundle: Bundle) -> dict[str, Any]:
    """What ``rdf.yaml`` says, as its format 0.5 wants it."""
    p, kind = bundle.params, kind_of_images(bundle.params, bundle.domain)
    cited, tags = CYCLEGAN, ["cyclegan"]
    if bundle.arm == SIMULATED:
        cited, tags = RANDOMISATION, []
    elif bundle.arm in CONTRASTIVE:
        cited, tags = CONTRAST, ["contrastive-learning"]
    project = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    title = title_of(bundle)
    described = dict(
        type="model", format_version=ModelDescr.implemented_format_version,
        name=re.sub(r"[^\w+\- ()]", "_", title, flags=re.ASCII)[:128],
        description=f"Gives a grey image of {bundle.domain} the look of {p.source_domain}; trained "
        f"on {kind} images. Research and teaching only, not a medical device. {NO_TILES}",
        authors=[dict(name=author["name"]) for author in project["authors"]],
        cite=[cited],
        tags=[*tags, "domain-adaptation", "image-to-image", "2d", kind],
        documentation=dict(source="README.md"), covers=[dict(source="cover.png")],
        inputs=[_tensor(INPUT, "input", dict(min=p.image_size, step=MULTIPLE))],
        outputs=[_tensor(OUTPUT, "output", None)],
        weights=dict(onnx=dict(source="weights.onnx", opset_version=OPSET)),
        config=dict(
            # deepImageJ reads a name and the ban on tiles here.
            bioimageio=dict(nickname=re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")),
            deepimagej=dict(allow_tiling=False),
        ),
    )  # fmt: skip
    # Weights that learnt from somebody's images are theirs to license.
    return described | (dict(license=project["license"]) if kind == "synthetic" else {})


def _tensor(name: str, file: str, size: dict[str, int] | None) -> dict[str, Any]:
    """One end of the network; ``size`` of height and width, None for that of the input."""
    sizes = {axis: size or dict(tensor_id=INPUT, axis_id=axis) for axis in ("y", "x")}
    return dict(
        id=name, description="grey levels 0 to 255, as of an 8-bit image",
        axes=[
            dict(type="batch"), dict(type="channel", channel_names=["grey"]),
            *(dict(type="space", id=axis, size=length) for axis, length in sizes.items()),
        ],
        data=dict(type="float32", range=[0, 255]),
        test_tensor=dict(source=f"test_{file}.npy"),
        sample_tensor=dict(source=f"sample_{file}.png"),
    )  # fmt: skip


def title_of(bundle: Bundle) -> str:
    """One line that tells it from other translators."""
    kind = kind_of_images(bundle.params, bundle.domain)
    return f"{arm_name(bundle.arm)} from {bundle.domain} to {bundle.params.source_domain} ({kind})"


def readme(bundle: Bundle, weights: Path) -> str:
    """Markdown: what it is and is not, what to give it, what was checked, and the model card."""
    p = bundle.params
    view = (
        f"one embryo in its middle, the sides {p.field_of_view} radii of it from the centre"
        if p.framing == "embryo"
        else "the whole image"
    )
    card = weights.with_suffix(".md")
    text = card.read_text() if card.is_file() else ""
    parts = [
        f"# {title_of(bundle)}",
        WARNINGS[kind_of_images(p, bundle.domain)],
        "For research on domain shift, and for teaching. A translated image is a guess at what the "
        "other device would have shown, never evidence of it. **Not a medical device.**",
        "## What to give it",
        f"A grey image with levels 0 to 255 that shows {view}, {p.image_size} x {p.image_size} "
        f"pixels: so it was trained. Other sizes run, and nothing is known of them. {NO_TILES} Out "
        "comes an image of the same size and levels, not rounded. Nothing is to be normalised. "
        "The gate that says which images are strange to the classifier is not part of this "
        "package: `compendium translate` has it.",
        "## Validation",
        "The test image is a synthetic phantom, whatever the network was trained on. The package "
        "was tested by bioimageio.core, the network against PyTorch at three sizes. To validate it "
        "for your device, translate labelled images that it has not seen, let the classifier of "
        f"{p.source_domain} read them, and compare with the untouched ones.",
    ]
    if file_digest(weights) in text:
        parts.append(text.strip())
    else:
        parts.append("No model card of these weights was found: how well it does is not known.")
    return "\n\n".join(parts) + "\n"


def sample(p: TranslationParameters, domain: str) -> np.ndarray:
    """A phantom embryo as the translator knows images: uint8 (S, S), S its trained size.

    By the simulated device of that name, or by the phone where ``domain`` is a real one.
    """
    device = domain if domain in DEVICES else "ED1"
    width, seeds = max(p.phantom_width, p.image_size), np.array([SEED])
    embryo = grow(seeds, width, p.positive_share, p.phantom_label)
    taken = photograph(embryo, seeds, device, width)
    grey = to_grey(taken.images[0])
    if p.framing == "whole":
        return fit(grey, p.image_size, p.fit)
    place = (float(values[0]) for values in (taken.x, taken.y, taken.radius))
    return crop(grey, *place, p.field_of_view, p.image_size)
