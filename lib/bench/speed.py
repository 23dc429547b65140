"""Speed beside a plain training in the same run.

Ours and the plain way alternate, so that whatever else the machine does meets both; what is printed
are medians. Speeds of two runs, or of two machines, are not compared.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lib.bench.reference_step import ReferenceStep, plain_networks
from lib.clinic import translate_folder
from lib.data import audit
from lib.data.images import decode, fit, to_grey
from lib.data.phantoms import PhantomSource
from lib.data.sources import open_source
from lib.models.bundle import Bundle, save_bundle
from lib.models.calibration import Calibration
from lib.models.checkpoint import Checkpoints
from lib.models.classifier import FoldEnsemble, build_network
from lib.models.cyclegan import CycleGAN
from lib.models.gate import Gate
from lib.models.trainings import Training, train_all
from lib.models.translation import Batches, train_translator, translate
from lib.params import Params
from lib.progress import progress
from lib.store import Store

REPEATS = 5
PICTURES = 400
WARM_STEPS, TIMED_STEPS = 5, 60
QUICK = dict(
    image_size=64, base_filters=16, blocks=4, translator_batch=2, cycle_weight=5.0,
    identity_weight=0.0, average_weights=True, translator_rate=5e-4,
)  # fmt: skip


def measure_speed(folder: Path, threads: int) -> pd.DataFrame:
    """Measure all of ``MEASURES``.

    Returns
    -------
    Columns what, unit, ours, reference (the same by the plain way; NaN where there is none), ratio
    (how many times as fast ours is), repeats.
    """
    rows = []
    for measure in progress(MEASURES, total=len(MEASURES), label="measures"):
        rows += measure()
    return pd.DataFrame(rows, columns=["what", "unit", "ours", "reference", "ratio", "repeats"])


class Alternating(Checkpoints):
    """Takes the time of every step of a training, and of a plain step after each."""

    def __init__(self, plain: Callable[[], Any]) -> None:
        super().__init__()
        self.plain, self.ours, self.others = plain, [], []
        self.threads = torch.get_num_threads()
        self._start = time.perf_counter()

    def keep(self, step, parts, history) -> None:
        self.ours.append(time.perf_counter() - self._start)
        between = torch.get_num_threads()
        torch.set_num_threads(self.threads)  # all of them, which our training holds for its halves
        self.others.append(_once(self.plain))
        torch.set_num_threads(between)
        self._start = time.perf_counter()


def train_step(name: str, given: dict[str, Any], precision: str) -> list[tuple]:
    """Milliseconds of an update of all networks, and the share of the peak that it reaches."""
    params = Params(**given, precision=precision, texture_loss="none")
    size, batch = params.image_size, params.translator_batch
    draw = torch.Generator().manual_seed(0)
    stacks = [
        torch.randint(0, 256, (max(8, batch), 1, size, size), generator=draw, dtype=torch.uint8)
        for _ in range(2)
    ]
    plain_params = params.model_copy(update=dict(precision="32-true"))
    step = ReferenceStep(plain_networks(plain_params, 0), None, plain_params)
    order = torch.Generator().manual_seed(0)
    batches = [Batches(stack, batch, False, order, slice(0, batch)) for stack in stacks]
    timer = Alternating(lambda: step(*(images.draw() for images in batches), 0.0))
    train_translator(*stacks, None, params, REPEATS + 1, 0, timer)
    ours, plain = statistics.median(timer.ours[1:]), statistics.median(timer.others[1:])
    with FlopCounterMode(display=False) as counter:
        step(*(images.draw() for images in batches), 0.0)
    work = counter.get_total_flops()
    peak = _peak(precision, size, params.base_filters)
    label = f"train_step {name} {precision}"
    return [
        (label, "ms", 1e3 * ours, 1e3 * plain, plain / ours, REPEATS),
        (f"{label}, share of the convolution peak", "", work / ours / peak,
         work / plain / _peak("32-true", size, params.base_filters), float("nan"), REPEATS),
    ]  # fmt: skip


def side_by_side(given: dict[str, Any]) -> list[tuple]:
    """Milliseconds of an update where two networks train at once, as the notebooks' do."""
    params = Params(**given, texture_loss="none", checkpoint_seconds=3600.0)
    draw = torch.Generator().manual_seed(0)
    size = params.image_size
    stacks = [
        torch.randint(0, 256, (32, 1, size, size), generator=draw, dtype=torch.uint8)
        for _ in range(2)
    ]

    def train(steps: int) -> None:
        trainings = [
            Training(
                "translators", ("lib.models.cyclegan",), dict(seed=seed, steps=steps),
                partial(train_translator, *stacks, None, params, steps, seed),
            )
            for seed in range(2)
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as place:
            train_all(Store(Path(place)), trainings, params)

    step = ReferenceStep(plain_networks(params, 0), None, params)
    order = torch.Generator().manual_seed(0)
    batch = params.translator_batch
    batches = [Batches(stack, batch, False, order, slice(0, batch)) for stack in stacks]
    few, many = WARM_STEPS, WARM_STEPS + TIMED_STEPS
    train(few)  # starts the server of the workers
    ours, plain = [], []
    for _ in range(REPEATS):
        short, long = (_once(partial(train, steps)) for steps in (few, many))
        ours.append((long - short) / (2 * TIMED_STEPS))
        plain.append(_once(lambda: step(*(images.draw() for images in batches), 0.0)))
    a, b = statistics.median(ours), statistics.median(plain)
    return [("train_step quick 32-true, two trainings at once", "ms", 1e3 * a, 1e3 * b, b / a,
             REPEATS)]  # fmt: skip


def _once(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _peak(precision: str, size: int, filters: int) -> float:
    """FLOP/s of the generator's inner 3x3 convolution, forward, nothing around it."""
    kind = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
    layer = torch.nn.Conv2d(4 * filters, 4 * filters, 3, padding=1).to(kind)
    image = torch.randn(2, 4 * filters, size // 4, size // 4, dtype=kind)
    count = 2 * 9 * (4 * filters) ** 2 * 2 * (size // 4) ** 2
    with torch.inference_mode():
        return count / min(_seconds(lambda: layer(image), 20))


def _seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    call()
    return [_once(call) for _ in range(repeats)]


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
    params = Params(**QUICK, framing="whole", classifier="test_resnet")
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

        for number in range(REPEATS):
            start = time.perf_counter()
            translate_folder(folder / "w.safetensors", folder / "in", folder / f"ours{number}")
            middle = time.perf_counter()
            one_by_one(folder / f"plain{number}")
            ours.append(len(paths) / (middle - start))
            plain.append(len(paths) / (time.perf_counter() - middle))
    a, b = statistics.median(ours), statistics.median(plain)
    return [("translate, 256 px files", "images/s", a, b, a / b, REPEATS)]


def save_random_bundle(path: Path, params: Params) -> Bundle:
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
        params = Params(
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
            rate = len(paths) / statistics.median(_seconds(call, REPEATS))
            found.append((f"{name}, 256 px PNG", "images/s", rate, np.nan, np.nan, REPEATS))
    return found


def phantoms() -> list[tuple]:
    """Phantom embryos a second, grown and photographed, on one thread."""
    found = []
    for size, count in ((64, 256), (256, 32)):
        params = Params(source_count=count, target_count=10, second_target_count=10,
                        phantom_width=size, threads=1, memory_mb=16)  # fmt: skip
        ids = PhantomSource(params).table().query("domain == 'ED4'")["id"].tolist()

        def draw(params: Params = params, ids: list[str] = ids) -> list[Tensor]:
            return PhantomSource(params).read_many(ids)

        rate = count / statistics.median(_seconds(draw, REPEATS))
        found.append((f"phantom, {size} px", "embryos/s", rate, np.nan, np.nan, REPEATS))
    return found


SEED = dict(image_size=256, preset="seed")
MEASURES: list[Callable[[], list[tuple]]] = [
    partial(train_step, "quick", QUICK, "32-true"),
    partial(side_by_side, QUICK),
    partial(train_step, "256 px", SEED, "32-true"),
    partial(train_step, "256 px", SEED, "bf16-mixed"),
    translation,
    reading,
    phantoms,
]
