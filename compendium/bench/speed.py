"""How fast everything is: training steps, translation, reading and phantoms."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from compendium.bench import steps
from compendium.clinic.translation import translate_folder
from engine.progress import progress
from lib.data import audit
from lib.data.images import decode, fit, to_grey
from lib.data.phantoms import PhantomSource
from lib.data.sources import open_source
from lib.models.bundle import Bundle, save_bundle
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import CycleGAN
from lib.models.gate import Gate
from lib.models.networks import build_network
from lib.models.parameters import TranslationParameters
from lib.models.translation import translate

PICTURES = 400


def measure_speed(folder: Path, threads: int) -> pd.DataFrame:
    """Measure all of ``MEASURES``, and half precision where the device has it.

    Returns
    -------
    Columns what, unit, ours, reference (the same by the plain way; NaN where there is none), ratio
    (how many times as fast ours is), repeats.
    """
    rows = []
    measures = MEASURES + BFLOAT16 * has_bfloat16()
    for measure in progress(measures, total=len(measures), label="measures"):
        rows += measure()
    return pd.DataFrame(rows, columns=["what", "unit", "ours", "reference", "ratio", "repeats"])


def _pictures(folder: Path, count: int, size: int) -> list[Path]:
    rng = np.random.default_rng(0)
    smooth = F.interpolate(torch.from_numpy(rng.random((count, 3, 16, 16), np.float32)), size,
                           mode="bilinear")  # fmt: skip
    pixels = (255 * smooth).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    folder.mkdir()
    paths = [folder / f"{number:04d}.png" for number in range(count)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    return paths


def translation() -> list[tuple]:
    """Images a second from file to file, against one image after the other."""
    params = TranslationParameters(**steps.QUICK, framing="whole", classifier="test_resnet")
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths = _pictures(folder / "in", PICTURES // 2, 256)
        bundle = save_random_bundle(folder / "w.safetensors", params)

        def one_by_one(out: Path) -> None:
            out.mkdir()
            for path in paths:
                image = to_grey(decode(path))
                small = torch.from_numpy(fit(image, params.image_size, params.fit))[None, None]
                made = translate(bundle.generator, small)
                bundle.gate.read(made)
                large = fit(made[0, 0].numpy(), image.shape[0], "pad")
                Image.fromarray(large).save(out / path.name)

        def as_command(out: Path) -> None:
            translate_folder(folder / "w.safetensors", folder / "in", out)

        for number in range(steps.REPEATS):
            ours.append(steps.seconds_of(partial(as_command, folder / f"ours{number}")))
            plain.append(steps.seconds_of(partial(one_by_one, folder / f"plain{number}")))
    a, b = (len(paths) / statistics.median(seconds) for seconds in (ours, plain))
    return [("translate, 256 px files", "images/s", a, b, a / b, steps.REPEATS)]


def save_random_bundle(path: Path, params: TranslationParameters) -> Bundle:
    """Save a translator with random weights: as fast as any other."""
    networks = [build_network(params.classifier, 1, "").eval()]
    ensemble = FoldEnsemble(networks, [Calibration(1.0, 0.0, 0.0, 0.5, 1.0)])
    size = params.image_size
    stack = torch.randint(0, 256, (32, 1, size, size), dtype=torch.uint8)
    gate = Gate.fit(ensemble, stack, np.arange(32) % 2)
    bundle = Bundle(params, "ED1", "cyclegan", CycleGAN(params).to_source.eval(), gate)
    save_bundle(path, bundle)
    return bundle


def reading() -> list[tuple]:
    """Images a second of 256-px PNG: decoded, and audited."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "set"
        paths = _pictures(folder, PICTURES, 256)
        lines = ["file,domain,label"] + [
            f"{path.name},{'ab'[n % 2]},{n // 2 % 2}" for n, path in enumerate(paths)
        ]
        (folder / "labels.csv").write_text("\n".join(lines))
        params = TranslationParameters(
            data_kind="table", data_dir="set", source_domain="a", target_domain="b",
            second_target_domain="c", second_target_optics="ED1",
        )  # fmt: skip

        def decoded() -> None:
            source = open_source(params, Path(place))
            source.read_many(source.table().query("domain != 'c'")["id"].tolist())

        def audited() -> None:
            source = open_source(params, Path(place))
            source.table()
            audit.integrity(source)

        found = []
        for name, call in (("decode", decoded), ("audit", audited)):
            rate = len(paths) / steps.median_seconds(call)
            found.append((f"{name}, 256 px PNG", "images/s", rate, np.nan, np.nan, steps.REPEATS))
    return found


def phantoms() -> list[tuple]:
    """Phantom embryos a second, grown and photographed, on one thread."""
    found = []
    for size, count in ((64, 256), (256, 32)):
        params = TranslationParameters(source_count=count, target_count=10, second_target_count=10,
                        phantom_width=size, threads=1, memory_mb=16)  # fmt: skip
        ids = PhantomSource(params).table().query("domain == 'ED4'")["id"].tolist()

        def draw(params: TranslationParameters = params, ids: list[str] = ids) -> list[Tensor]:
            return PhantomSource(params).read_many(ids)

        rate = count / steps.median_seconds(draw)
        found.append((f"phantom, {size} px", "embryos/s", rate, np.nan, np.nan, steps.REPEATS))
    return found


# Translation comes before the trainings, after which this process keeps its memory.
MEASURES: list[Callable[[], list[tuple]]] = [
    translation,
    partial(steps.train_step, "quick", steps.QUICK, "32-true"),
    partial(steps.side_by_side, steps.QUICK),
    partial(steps.cut_step, steps.QUICK, fast=False),
    partial(steps.cut_step, steps.QUICK, fast=True),
    partial(steps.train_step, "256 px", steps.PUBLISHED, "32-true"),
    reading,
    phantoms,
]
BFLOAT16 = [
    partial(steps.train_step, "quick", steps.QUICK, "bf16-mixed"),
    partial(steps.train_step, "256 px", steps.PUBLISHED, "bf16-mixed"),
]


def has_bfloat16() -> bool:
    """Whether the device computes in bfloat16; elsewhere it is imitated, many times slower."""
    known = torch.cpu.get_capabilities().items()
    return torch.cuda.is_available() or any(on and name.endswith("bf16") for name, on in known)
