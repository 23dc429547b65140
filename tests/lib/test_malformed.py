"""Damaged input of every kind: a named error or a usable result, never a traceback from below."""

import io
import random
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from compendium.claims.book import ClaimBook, load_claims
from engine.checkpoints import Checkpoints
from engine.errors import InputError
from engine.parameters import load_params
from engine.paths import ROOT
from engine.store import write_tensors
from lib.data.reading import read_stored
from lib.data.stored import to_8_bit
from lib.data.tables import table_entries
from lib.models.bundle import load_bundle
from lib.studies.embryo import EmbryoParameters

SEEDS = st.integers(0, 2**32 - 1)


def damaged(content: bytes, seed: int) -> bytes:
    """Some bytes changed, a piece cut out, doubled or put in, or the end cut off."""
    rng = random.Random(seed)
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        start = rng.randrange(len(data))
        piece = slice(start, start + rng.randint(1, max(1, len(data) // 4)))
        kind = rng.randrange(5)
        if kind == 0:
            data[start] = rng.randrange(256)
        elif kind == 1:
            del data[piece]
        elif kind == 2:
            data[start:start] = data[piece]
        elif kind == 3:
            data[start:start] = rng.randbytes(rng.randint(1, 40))
        else:
            del data[start:]
    return bytes(data)


FUZZ = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refused(call, *args, name: str):
    """What ``call`` returns, or None where it refuses its input in an error that has ``name``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn of what they repair
        try:
            return call(*args)
        except InputError as error:
            if name not in str(error):
                raise
            return None


def image_files() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200)
    files = {}
    for name, image, options in (
        ("PNG", Image.fromarray(pixels), {}),
        ("PNG", deep, {}),
        ("PNG", Image.fromarray(pixels).quantize(16), {}),
        ("JPEG", Image.fromarray(pixels), {}),
        ("BMP", Image.fromarray(pixels), {}),
        ("TIFF", Image.fromarray(pixels), {}),
        ("TIFF", deep, {}),
        ("TIFF", Image.fromarray(pixels), dict(compression="jpeg")),
    ):
        stream = io.BytesIO()
        image.save(stream, name, **options)
        files[f"{len(files)} {name}"] = stream.getvalue()
    return files


FILES = image_files()


@pytest.mark.parametrize("name", FILES)
@FUZZ
@given(seed=SEEDS)
def test_damaged_images(name, seed):
    def decoded(content, path):
        return to_8_bit(read_stored(content, path), None, path)

    read = refused(decoded, damaged(FILES[name], seed), "x.png", name="x.png")
    assert read is None or read.dtype == np.uint8


@FUZZ
@given(seed=SEEDS)
def test_damaged_tables(tmp_path, seed):
    lines = ["file,domain,label,group"]
    lines += [f"{n}.png,{d},{y},g{n}" for n, d, y in zip("abcd", "mmkk", "0101", strict=True)]
    (tmp_path / "labels.csv").write_bytes(damaged("\n".join(lines).encode(), seed))
    params = EmbryoParameters(
        data_kind="table", data_dir=".", source_domain="m", target_domain="k",
        second_target_domain="x", second_target_optics="ED1", group_column="group",
    )  # fmt: skip
    read = refused(table_entries, tmp_path, params, name="labels.csv")
    assert read is None or len(read[0]) + len(read[1]) > 0


@FUZZ
@given(seed=SEEDS)
def test_damaged_parameters(tmp_path, seed):
    path = tmp_path / "p.yaml"
    path.write_bytes(damaged((ROOT / "params" / "smoke.yaml").read_bytes(), seed))
    read = refused(load_params, path, name="p.yaml")
    assert read is None or isinstance(read, EmbryoParameters)


@FUZZ
@given(seed=SEEDS)
def test_damaged_claims(tmp_path, seed):
    path = tmp_path / "claims.yaml"
    head = "systems: {S1: a}\nclaims:\n"
    one = "- {id: a, type: value, system: S1, where: T, what: w, metric: auc, published: '0.5'}\n"
    path.write_bytes(damaged((head + one + one.replace("id: a", "id: b")).encode(), seed))
    read = refused(load_claims, path, name="claims.yaml")
    assert read is None or isinstance(read, ClaimBook)


@pytest.mark.parametrize("value", [".inf", ".nan", "[]", "{}", "2e-4", "-1", "null", "'x'"])
@pytest.mark.parametrize("name", ["translator_rate", "image_size", "folds", "seed", "cycle_weight"])
def test_values_no_parameter_can_have(name, value, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(f"{name}: {value}\n")
    with pytest.raises(InputError, match=name):
        load_params(path)


@FUZZ
@given(seed=SEEDS)
def test_damaged_weights_and_checkpoints(tmp_path, seed):
    folder = tmp_path / "states"
    layer = torch.nn.Linear(2, 2)
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    path = folder / "000000001.safetensors"
    write_tensors(path, {"w": torch.ones(3)}, {"format": "translator 1", "params": {}})
    path.write_bytes(damaged(path.read_bytes(), seed))
    with pytest.raises(InputError, match=r"000000001\.safetensors: not the weights"):
        load_bundle(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert Checkpoints(folder).resume({"layer": layer}) == (0, [])
    for name, tensor in layer.state_dict().items():
        assert torch.equal(tensor, before[name])
