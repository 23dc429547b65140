"""What every command, every long loop and every error owes its user."""

import argparse
import ast
import io
import re
import shlex
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

from compendium.__main__ import main
from compendium.claims.book import load_claims
from compendium.claims.evidence import read_evidence
from compendium.claims.judgement import judge
from compendium.clinic.audit import audit_folder
from compendium.workshop.copies import write_workshop
from engine import progress
from engine.errors import InputError
from engine.keys import FLOORS
from engine.parameters import load_params
from engine.paths import ROOT
from lib.data.images import load_stack
from lib.data.sources import open_source
from lib.evaluation import arms, repeats
from lib.evaluation.metrics import combine_folds
from lib.figures.verdicts import differences
from lib.studies.embryo import EmbryoParameters

MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


@pytest.fixture
def parsed(monkeypatch):
    """What a command line is understood as, without carrying it out; and the parser of all."""
    understand = argparse.ArgumentParser.parse_args
    seen = {}

    def parse(parser, arguments):
        seen.update(parser=parser, options=understand(parser, arguments))
        raise KeyboardInterrupt

    def parsed(arguments):
        with pytest.raises(KeyboardInterrupt):
            main(arguments)
        return seen["options"], seen["parser"]

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    return parsed


def examples(parser, words=()):
    """Words of every command, of one that has commands and of these, and its epilog."""
    nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for commands in nested:
        for choice in commands._choices_actions:
            yield from examples(commands.choices[choice.dest], (*words, choice.dest))
    yield words, parser.epilog or ""


def test_every_command_shows_an_example_that_it_understands(parsed):
    _, parser = parsed(["readme"])
    shown = dict(examples(parser))
    assert {("audit",), ("translate",), ("train",), ("claims",), ("crate",)} <= set(shown)
    for words, epilog in shown.items():
        assert epilog.startswith("example: "), f"{' '.join(words)} --help shows no example"
        command = shlex.split(epilog.removeprefix("example: ").split(";")[0])
        start = command.index("compendium") + 1
        assert command[start : start + len(words)] == [*words]
        options, _ = parsed(command[start:])
        assert callable(options.command)


def test_every_option_says_what_it_is(parsed):
    _, parser = parsed(["readme"])
    waiting, silent = [parser], []
    while waiting:
        one = waiting.pop()
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()
            elif not action.help:
                silent.append(f"{one.prog} {action.dest}")
    assert silent == []


@pytest.fixture
def console(monkeypatch):
    """Every step of a loop is told there."""
    text = io.StringIO()
    monkeypatch.setattr(progress, "LINE_SECONDS", -1.0)
    monkeypatch.setattr(sys, "__stderr__", text)
    monkeypatch.setenv("COMPENDIUM_HEADLESS", "1")
    return text


def judged(seeds=(0,)) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    parts = [
        pd.DataFrame(
            dict(id=[f"i{n}" for n in range(40)], domain="ED1", label=label, group=np.arange(40),
                 arm=arm, seed=seed, fold=0, score=(label + rng.normal(0, 1, 40)) / 8 + 0.45)
        )
        for arm in ("raw", "grey", "oracle") for seed in seeds
    ]  # fmt: skip
    return combine_folds(pd.concat(parts, ignore_index=True))


def limits(seeds=(0,)) -> pd.DataFrame:
    return pd.concat(
        arms.threshold_table("ED1", dict.fromkeys(("raw", "grey", "oracle"), 0.5), seed)
        for seed in seeds
    )


FROZEN = dict.fromkeys(("raw", "grey", "oracle"), 0.5)
LOOPS = {
    "intervals of arms: 1/3": lambda: arms.compare_arms(judged(), FROZEN, resamples=20),
    "differences: 1/3": lambda: differences(judged(), FROZEN, "oracle", resamples=20),
    "differences: 1/2": lambda: repeats.differences_over_seeds(
        judged((0, 1)), limits((0, 1)), {"raw": "oracle", "grey": "oracle"}
    ),
    "intervals of arms: 2/3": lambda: repeats.metrics_over_seeds(judged((0, 1)), limits((0, 1))),
    "claims: 1/": lambda: judge(load_claims(), None),
}


@pytest.mark.parametrize("line", LOOPS)
def test_statistics_say_how_far_they_are(line, console):
    LOOPS[line]()
    assert f"{line}" in console.getvalue()
    assert " left" in console.getvalue()


def test_reading_images_says_how_far_it_is(console, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(8):
        name = f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8)).save(tmp_path / name)
        rows.append(dict(file=name, domain=("a", "b")[number % 2], label=number // 2 % 2))
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    params = EmbryoParameters(data_kind="table", data_dir=".", source_domain="a", target_domain="b")
    source = open_source(params, tmp_path)
    ids = source.table()["id"].tolist()
    source.fingerprint()
    monkeypatch.setattr("lib.data.images._BATCH", 3)
    load_stack(source, ids, 32, "grey", "pad")
    for line in ("images checked: 1/8", "files hashed: 1/8", "batches of images: 1/3"):
        assert line in console.getvalue()
    console.truncate(0)
    audit_folder(tmp_path, tmp_path / "page.html", False)
    assert "images checked: 1/8" in console.getvalue()


def input_errors():
    """Every message of an InputError, as (place, text), ``{}`` for what is filled in."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            if getattr(node.exc.func, "id", "") == "InputError":
                yield f"{path.name}:{node.lineno}", _text(node.exc.args[0])


def _text(node: ast.expr) -> str | None:
    """A message that is written out; None for one that is handed on."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}"
                       for part in node.values)  # fmt: skip
    if isinstance(node, ast.BinOp):
        return f"{_text(node.left) or '{}'}{_text(node.right) or '{}'}"
    return None


# What a next step begins with; what is there instead; or a sentence that is filled in.
VERBS = """add ask bring check choose clear convert copy correct divide export finish free give
install judge leave let list load make move name pack predict put raise read rename remove
rephotograph restore run save see select set skip split state take unpack use wait write"""
REMEDY = re.compile(
    rf"(?:[.;:,] |\bor )(?:{'|'.join(VERBS.split())})\b|it has:|it keeps:|it holds:|there are\b|"
    r"lie in|beside it:|wanted:|it needs|[.:] \{\}$",
    re.IGNORECASE,
)


def test_every_refusal_says_what_to_do():
    messages = [(place, text) for place, text in input_errors() if text]
    assert len(messages) > 50
    assert [(place, text) for place, text in messages if not REMEDY.search(text)] == []


def test_a_wrong_profile_is_answered_with_the_right_ones():
    with pytest.raises(InputError, match=r"as params/quick\.yaml"):
        load_params("quick")
    with pytest.raises(InputError, match=r"beside it: cells, .*paper, .*quick") as refused:
        load_params(ROOT / "params" / "quck.yaml")
    assert "claims" not in str(refused.value)


def test_results_that_are_not_there_are_answered_with_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(tmp_path))
    with pytest.raises(InputError, match="make reproduce PROFILE=quick"):
        write_workshop("quick")
    with pytest.raises(InputError, match="as results/quick; make reproduce PROFILE=mine"):
        read_evidence(tmp_path / "mine")


def test_a_refusal_is_shown_in_a_notebook_without_lines_of_code():
    shell = InteractiveShell.instance()
    shown = []
    shell._showtraceback = lambda kind, value, lines: shown.extend(lines)
    shell.run_cell(
        "from engine.parameters import InputError\nraise InputError('a.png: gone. Restore it.')"
    )
    assert shown == ["error: a.png: gone. Restore it."]


def test_citation_has_what_the_format_demands():
    """Citation File Format 1.2.0: required keys, types, an SPDX licence that is the one given."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["type"] in ("software", "dataset")
    for author in citation["authors"]:
        assert author.get("name") or author.get("family-names")
        assert set(author) <= {"name", "family-names", "given-names", "orcid", "affiliation",
                               "email", "website"}  # fmt: skip
    assert citation["license"] in (ROOT / "LICENSE").read_text()
    assert all(isinstance(word, str) for word in citation["keywords"])
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{citation["version"]}"' in project
