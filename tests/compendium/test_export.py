"""A translator for other programs: what it computes there, what goes along, what is refused."""

import io
import itertools
import json
import re
import socket
import zipfile
from dataclasses import replace
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from compendium.__main__ import main
from compendium.clinic import export as exporting
from compendium.clinic.export import TOLERANCE, export
from compendium.clinic.onnx_graph import build_model
from engine.errors import InputError
from engine.keys import file_digest
from engine.paths import ROOT
from lib.models.bundle import Bundle, save_bundle
from lib.models.calibration import Calibration
from lib.models.classifier import FoldEnsemble
from lib.models.cyclegan import CycleGAN
from lib.models.gate import Gate
from lib.models.networks import build_network
from lib.models.parameters import TranslatorParameters
from lib.models.translation import translate
from lib.studies.embryo import EmbryoParameters

REAL = dict(data_kind="table", data_dir="own", label_column="label", target_domain="phone")


def make_bundle(domain="ED1", **changes) -> Bundle:
    torch.manual_seed(0)
    params = EmbryoParameters(
        image_size=32, base_filters=4, folds=2, colour_folds=1, classifier="test_resnet",
        **dict(blocks=1) | changes,
    )  # fmt: skip
    networks = [build_network("test_resnet", 1, "").eval() for _ in range(2)]
    ensemble = FoldEnsemble(networks, [Calibration(1.2, 0.1, 0.05, 0.5, 1.0)] * 2, blur=1.0)
    stack = torch.randint(0, 256, (24, 1, 32, 32), dtype=torch.uint8)
    gate = Gate.fit(ensemble, stack, np.arange(24) % 2)
    return Bundle(params, domain, "cyclegan", make_generator(params), gate)


def make_generator(params: TranslatorParameters) -> nn.Module:
    """One that uses the whole range; as initialised, all levels lie near the middle."""
    generator = CycleGAN(params).to_source.eval()
    for weights in generator.parameters():
        nn.init.normal_(weights, 0.0, 0.2)
    return generator


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "cyclegan.safetensors"
    save_bundle(path, make_bundle())
    return path


@pytest.fixture(scope="module")
def session(weights):
    out = weights.with_suffix(".onnx")
    export(weights, "onnx", out)
    return onnxruntime.InferenceSession(out)


def cut_off(monkeypatch):
    """Let no address be reached; the list of those that will be asked for."""
    asked = []

    def refused(*given, **_):
        asked.append(given)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    return asked


def options(name):
    """All values of a parameter of the generator."""
    return get_args(TranslatorParameters.model_fields[name].annotation)


@pytest.mark.parametrize(
    ("padding", "upsampling", "blocks"),
    [*itertools.product(options("padding"), options("upsampling"), (1, 3))],
)
def test_every_generator_computes_the_same_at_sizes_nobody_named(padding, upsampling, blocks):
    """Against PyTorch's own forward pass, of multiples of 4 without and of others with an edge."""
    style = dict(padding=padding, upsampling=upsampling, blocks=blocks)
    generator = make_generator(TranslatorParameters(base_filters=4, **style))
    session = onnxruntime.InferenceSession(build_model(generator, {}).SerializeToString())
    rng = np.random.default_rng(0)
    for batch, height, width in ((1, 8, 8), (2, 24, 60), (3, 44, 20), (1, 37, 50), (2, 64, 35)):
        grey = rng.uniform(0, 255, (batch, 1, height, width)).astype(np.float32)
        edge = ((0, 0), (0, 0), (0, -height % 4), (0, -width % 4))
        with torch.inference_mode():
            scaled = torch.from_numpy(np.pad(grey, edge, "edge")) / 127.5 - 1
            wanted = (generator(scaled).numpy() + 1) * 127.5
        (found,) = session.run(None, {"grey": grey})
        assert wanted.std() > 20
        assert found.shape == grey.shape
        assert np.abs(found - wanted[..., :height, :width]).max() < TOLERANCE


def test_levels_are_those_of_compendium_translate(session):
    stack = torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8)
    wanted = translate(make_bundle().generator, stack).numpy().astype(int)
    (found,) = session.run(None, {"grey": stack.numpy().astype(np.float32)})
    assert found.dtype == np.float32
    different = np.rint(found).astype(int) - wanted
    assert np.abs(different).max() <= 1  # where both lie between two levels
    assert (different != 0).mean() < 0.001


def test_the_file_says_what_it_is(session, weights):
    said = session.get_modelmeta().custom_metadata_map
    assert said["weights_sha256"] == file_digest(weights)
    assert {name: said[name] for name in ("domain", "source_domain", "arm", "image_size")} == dict(
        domain="ED1", source_domain="ED4", arm="cyclegan", image_size="32"
    )
    assert said["images"] == "synthetic"
    assert "Not a medical device" in said["notice"]
    free = ["batch", 1, "height", "width"]
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("grey", "tensor(float)", free)
    assert (made.name, made.type, made.shape) == ("translated", "tensor(float)", free)


def test_old_runtimes_can_read_it(weights, session):
    """The newest engine that deepImageJ offers for ONNX reads opset 18 and file format 8."""
    model = onnx.load(weights.with_suffix(".onnx"))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert model.ir_version == 8


@pytest.mark.parametrize("spoil", [0.01, float("nan")])
def test_a_network_that_came_out_otherwise_is_not_written(spoil, weights, tmp_path, monkeypatch):
    def spoilt(generator, facts):
        model = build_model(generator, facts)
        scale = [each for each in model.graph.initializer if not each.dims][-1]  # to grey levels
        wrong = np.array(127.5 * (1 + spoil), np.float32)
        scale.CopyFrom(onnx.numpy_helper.from_array(wrong, scale.name))
        return model

    monkeypatch.setattr(exporting, "build_model", spoilt)
    with pytest.raises(InputError, match=r"differ by .* nothing was written"):
        export(weights, "onnx", tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(to="keras"), r"--to keras: no such target\. Choose onnx or bioimage"),
        (dict(weights="none.safetensors"), "no such file"),
        (dict(weights="there.onnx"), "not the weights of a translator"),
        (dict(out="there.onnx"), r"there\.onnx: in the way\. Choose another --out, or --force"),
        (dict(out="there.onnx/out.onnx"), "cannot be written"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_written(given, words, weights, tmp_path):
    (tmp_path / "there.onnx").write_text("somebody's work")
    places = {name: tmp_path / place for name, place in given.items() if name != "to"}
    asked = dict(weights=weights, to=given.get("to", "onnx"), out=tmp_path / "out.onnx")
    with pytest.raises(InputError, match=words):
        export(**asked | places)
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]
    assert (tmp_path / "there.onnx").read_text() == "somebody's work"


def test_the_command_says_how_near_it_came(weights, tmp_path, capsys):
    out = tmp_path / "out.onnx"
    out.write_text("old")
    command = ["export", str(weights), "--to", "onnx", "--out", str(out)]
    assert main(command) == 2
    assert "in the way" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    printed = capsys.readouterr().out
    assert float(re.search(r"differ by at most (\S+) of 255", printed).group(1)) < TOLERANCE
    onnx.checker.check_model(onnx.load(out))


def content(package):
    with zipfile.ZipFile(package) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def package(weights):
    """A package, and the addresses that were asked for while it was written."""
    out = weights.with_suffix(".zip")
    with pytest.MonkeyPatch.context() as patch:
        asked = cut_off(patch)
        assert export(weights, "bioimage", out) < TOLERANCE
    return out, asked


def test_a_package_passes_the_zoos_own_test_without_a_network(package, monkeypatch):
    from bioimageio.core import predict, test_model

    (out, asked_before), asked = package, cut_off(monkeypatch)
    summary = test_model(out)
    assert summary.status == "passed", summary.format()
    names = [detail.name for detail in summary.details]
    assert "Reproduce test outputs from test inputs (onnx)" in names
    assert sum("batch_size: 2" in name for name in names) == 3  # of three sizes
    files = content(out)
    made = np.load(io.BytesIO(files["test_output.npy"]))
    given = np.load(io.BytesIO(files["test_input.npy"]))
    wanted = translate(make_bundle().generator, torch.from_numpy(given.astype(np.uint8)))
    assert np.abs(made - wanted.numpy()).max() <= 0.5 + TOLERANCE
    picture = np.asarray(Image.open(io.BytesIO(files["sample_output.png"])))
    assert np.array_equal(picture, wanted[0, 0].numpy())
    oblong = np.random.default_rng(0).uniform(0, 255, (1, 1, 36, 48)).astype(np.float32)
    (tensor,) = predict(model=out, inputs=oblong).members.values()
    assert tensor.to_numpy().shape == (1, 1, 36, 48)
    assert asked_before == asked == []


def test_a_package_describes_itself_honestly(package):
    files = content(package[0])
    said = yaml.safe_load(files["rdf.yaml"])
    assert said["name"] == "CycleGAN from ED1 to ED4 (synthetic)"
    assert "not a medical device" in said["description"]
    assert said["license"] == yaml.safe_load((ROOT / "CITATION.cff").read_text())["license"]
    assert said["cite"]
    assert said["config"]["deepimagej"] == {"allow_tiling": False}
    (size,) = {json.dumps(axis["size"]) for axis in said["inputs"][0]["axes"]
               if axis["type"] == "space"}  # fmt: skip
    assert json.loads(size) == dict(min=32, step=4)
    with Image.open(io.BytesIO(files["cover.png"])) as cover:
        assert cover.width == 2 * cover.height
    text = files["README.md"].decode()
    assert "Trained and judged on synthetic images" in text
    assert "Not a medical device" in text
    assert "32 x 32 pixels" in text
    assert "No model card of these weights was found" in text


def test_the_card_goes_along_if_it_is_that_of_these_weights(weights, tmp_path):
    from compendium.clinic.bioimage import readme

    bundle, card = make_bundle(), weights.with_suffix(".md")
    try:
        card.write_text("# Model card\n\nof other weights\n")
        assert "of other weights" not in readme(bundle, weights)
        card.write_text(f"# Model card\n\nof `{file_digest(weights)}`\n")
        assert "# Model card" in readme(bundle, weights)
    finally:
        card.unlink()


def test_weights_of_somebodys_images_get_no_licence_and_show_no_patient():
    from compendium.clinic.bioimage import description, sample

    real = make_bundle("phone", source_domain="good", framing="whole", **REAL)
    said = description(real)
    assert "license" not in said
    assert said["name"] == "CycleGAN from phone to good (real)"
    shown = sample(real.params, real.domain)
    assert np.array_equal(shown, sample(make_bundle(framing="whole").params, "ED1"))
    odd = replace(real, domain="<b>é")
    assert re.fullmatch(r"[\w+\- ()]+", description(odd)["name"], re.ASCII)


@pytest.mark.parametrize(
    ("arm", "cited", "tag"),
    [
        ("cyclegan_texture", "Zhu et al. 2017", "cyclegan"),
        ("fastcut", "Park et al. 2020", "contrastive-learning"),
        ("simulated", "Tobin et al. 2017", "domain-adaptation"),
    ],
)
def test_a_package_cites_the_method_it_was_trained_by(arm, cited, tag):
    from compendium.clinic.bioimage import description

    said = description(replace(make_bundle(), arm=arm))
    assert [source["text"][: len(cited)] for source in said["cite"]] == [cited]
    assert said["tags"][0] == tag


def test_a_package_that_fails_the_zoos_test_is_not_written(weights, tmp_path, monkeypatch):
    from compendium.clinic import bioimage

    real = bioimage.run_model
    monkeypatch.setattr(bioimage, "run_model", lambda model, grey: real(model, grey) + 5)
    with pytest.raises(InputError, match=r"fails the test of bioimageio\.core .*disagree"):
        export(weights, "bioimage", tmp_path / "out.zip")
    assert list(tmp_path.iterdir()) == []
