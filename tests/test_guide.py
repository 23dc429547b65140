"""The guide to own devices: its commands, list, parameters and paths are those that work."""

import argparse
import re
import shlex

import numpy as np
import onnx
import pytest
import torch
import yaml
from PIL import Image

from compendium.__main__ import main
from compendium.clinic.onnx_graph import build_model
from compendium.readme import REFERENCE
from engine.parameters import load_params
from engine.paths import ROOT
from engine.results import Finished
from lib.data.sources import open_source
from lib.models.cyclegan import CycleGAN
from lib.models.parameters import TranslatorParameters
from lib.models.translation import translate

GUIDE = (ROOT / "docs" / "own_devices.md").read_text()
SPERM = ROOT / "params" / "sperm.yaml"


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


COMMANDS = [line for block in blocks("") for line in block.replace("\\\n", "").splitlines()
            if line.startswith(("make ", ".venv/"))]  # fmt: skip
LAID_OUT = re.compile(r"/path/to/data/mine/(\S+?)/…")


@pytest.fixture
def params(tmp_path):
    (snippet,) = blocks("yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(snippet)
    return load_params(path)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(".venv")])
def test_command_is_understood(command, monkeypatch):
    understood = argparse.ArgumentParser.parse_args
    seen = []

    def parse(parser, arguments):
        seen.append(understood(parser, arguments))
        raise KeyboardInterrupt  # before it is carried out

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/compendium"
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert callable(seen[0].command)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_make_knows_target_and_variables(command):
    makefile = (ROOT / "Makefile").read_text()
    _, target, *variables = command.split()
    assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)
    for name in (variable.partition("=")[0] for variable in variables):
        assert re.search(rf"^{name} \?=", makefile, re.MULTILINE)


def test_every_step_of_the_guide_is_there():
    verbs = {command.split()[1] for command in COMMANDS if command.startswith("make")}
    verbs |= {command.split()[1] for command in COMMANDS if command.startswith(".venv")}
    assert {"setup", "audit", "reproduce", "translate", "export", "crate", "reference"} <= verbs


def test_parameters_are_those_of_the_kept_run(params):
    kept, own = load_params(SPERM).model_dump(), params.model_dump()
    differ = {name for name in own if own[name] != kept[name]}
    assert differ == {"profile", "data_dir"}
    told = Finished("01_data_audit", REFERENCE / "sperm" / "01_data_audit").record()["parameters"]
    named = yaml.safe_load(SPERM.read_text())  # all others may have changed since
    assert {name for name in named if told[name] != own[name]} <= {"profile", "data_dir"}


def test_list_is_written_and_read_with_the_parameters(params, tmp_path):
    root = tmp_path / "mine"
    rng = np.random.default_rng(0)
    places = LAID_OUT.findall(GUIDE)
    assert len(places) == 4
    for place in places:
        (root / place).mkdir(parents=True)
        for number in range(3):
            picture = Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8))
            picture.save(root / place / f"{number}.png")
    script, _ = blocks("python")
    exec(script.replace("/path/to/data/mine", str(root)), {})
    table = open_source(params, tmp_path).table()
    listed = table[table["domain"] != params.second_target_domain]
    assert listed.groupby(["domain", "label"]).size().tolist() == [3] * 4
    assert (table["domain"] == params.second_target_domain).sum() == 6


def test_an_exported_translator_is_used_as_told(tmp_path, monkeypatch):
    generator = CycleGAN(TranslatorParameters(base_filters=4, blocks=1)).to_source.eval()
    onnx.save(build_model(generator, {}), tmp_path / "translator.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "crop.png")
    _, recipe = blocks("python")
    monkeypatch.chdir(tmp_path)
    exec(recipe, {})
    wanted = translate(generator, torch.from_numpy(pixels[None, None]))[0, 0].numpy()
    made = np.asarray(Image.open(tmp_path / "translated.png"))
    assert np.abs(made.astype(int) - wanted).max() <= 1


def test_places_are_those_that_a_run_makes():
    for notebook, rest in re.findall(r"results/mine/(\d\d_\w+)(\S*?)[`\s]", GUIDE):
        assert (ROOT / "notebooks" / f"{notebook}.ipynb").is_file()
        kept = REFERENCE / "smoke" / f"{notebook}{rest}"
        weights = kept.suffix == ".safetensors"  # which are not kept; their cards are
        assert (kept.with_suffix(".md") if weights else kept).is_file()
    assert "data_card.md" in GUIDE
    assert (REFERENCE / "smoke" / "data_card.md").is_file()


def test_real_images_of_the_example_are_those_of_the_kept_table(params, shared_data):
    kept = Finished("01_data_audit", REFERENCE / "sperm" / "01_data_audit").table("split")
    own = params.model_copy(update={"data_dir": yaml.safe_load(SPERM.read_text())["data_dir"]})
    table = open_source(own, shared_data).table()
    keys = ["domain", "label"]
    assert table.groupby(keys).size().to_dict() == kept.groupby(keys).size().to_dict()
    assert set(table["sha256"]) == set(kept["sha256"])
