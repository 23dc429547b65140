"""The RO-Crate of a run: what the specification demands, and that it tells the truth."""

import json
import re
from datetime import datetime
from urllib.parse import unquote

import nbformat
import pandas as pd
import pytest
import torch
from nbformat.v4 import new_notebook
from rocrate.rocrate import ROCrate

from compendium.crate import CRATE, write_crate
from engine.errors import InputError
from engine.keys import file_digest
from engine.results import file_digests
from lib.notebook import start


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Finished results of two notebooks, the second after the first."""
    monkeypatch.setenv("COMPENDIUM_RESULTS", str(tmp_path))
    records = {}
    for name in ("01_first", "02_second"):
        one = start(name, {"profile": "tiny", "threads": 1})
        one.table(pd.DataFrame({"x": [1]}), "numbers with blanks")
        if name == "02_second":
            one.parent("01_first")
        records[name] = one.finish().record()
        nbformat.write(new_notebook(), tmp_path / "tiny" / f"{name}.ipynb")
    folder = tmp_path / "tiny"
    manifest = dict(
        profile="tiny", commit=None, parameters=records["01_first"]["parameters"],
        notebooks={name: {} for name in records}, files=file_digests(folder),
    )  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    yield folder
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def graph(run):
    """Entities by id, as the file has them."""
    entities = json.loads(write_crate(run).read_text())["@graph"]
    assert len({entity["@id"] for entity in entities}) == len(entities)
    return {entity["@id"]: entity for entity in entities}


def many(value):
    return value if isinstance(value, list) else [value]


def references(entity):
    for value in entity.values():
        for one in many(value):
            if isinstance(one, dict):
                yield one["@id"]


def test_descriptor_names_root_and_version(run, graph):
    content = json.loads((run / CRATE).read_text())
    assert content["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    descriptor = graph[CRATE]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}


def test_root_has_what_it_must(graph):
    root = graph["./"]
    assert root["@type"] == "Dataset"
    assert root["name"]
    assert "synthetic images" in root["description"]
    assert datetime.fromisoformat(root["datePublished"]).tzinfo is not None
    assert graph[root["license"]["@id"]]["name"] == "MIT"
    assert [graph[author["@id"]]["name"] for author in many(root["author"])]


def test_graph_is_flat_and_every_reference_leads_somewhere(graph):
    for entity in graph.values():
        assert entity["@type"], entity
        for value in entity.values():
            for one in many(value):
                assert not isinstance(one, dict) or set(one) == {"@id"}, "nested entity"
        for reference in references(entity):
            assert reference in graph or reference == "https://w3id.org/ro/crate/1.1"


def test_every_file_is_listed_exists_and_is_the_one_described(run, graph):
    files = {name: entity for name, entity in graph.items() if "File" in many(entity["@type"])}
    listed = {part["@id"] for part in graph["./"]["hasPart"]}
    assert listed == set(files)
    on_disk = set(file_digests(run)) - {CRATE}
    assert {unquote(name) for name in files} == on_disk
    for name, entity in files.items():
        assert re.fullmatch(r"[\w./%-]+", name), "not an encoded relative path"
        path = run / unquote(name)
        assert int(entity["contentSize"]) == path.stat().st_size
        assert entity["sha256"] == file_digest(path)
        assert "/" in entity["encodingFormat"]


def test_one_action_a_notebook_says_what_it_used_and_made(run, graph):
    actions = {name: e for name, e in graph.items() if e["@type"] == "CreateAction"}
    assert set(actions) == {"#run-01_first", "#run-02_second"}
    assert {m["@id"] for m in graph["./"]["mentions"]} == set(actions)
    second = actions["#run-02_second"]
    notebook = graph[second["instrument"]["@id"]]
    assert (notebook["@type"], notebook["name"]) == ("SoftwareSourceCode", "02_second.ipynb")
    assert graph[notebook["isPartOf"]["@id"]]["version"] == "unknown"  # no commit in this record
    used = {one["@id"] for one in second["object"]}
    assert {"01_first/run.json", "#parameter-seed"} <= used
    made = {one["@id"] for one in second["result"]}
    assert made == {
        "02_second.ipynb",
        "02_second/run.json",
        "02_second/metrics.json",
        "02_second/tables/numbers%20with%20blanks.csv",
    }
    times = [datetime.fromisoformat(second[name]) for name in ("startTime", "endTime")]
    assert times == sorted(times)
    assert graph[second["additionalProperty"]["@id"]]["value"] == "CPU"
    parameters = {e["name"]: e["value"] for e in graph.values()
                  if e["@id"].startswith("#parameter-")}  # fmt: skip
    record = json.loads((run / "02_second" / "run.json").read_text())
    assert parameters == record["parameters"]


def test_rocrate_reads_it_back(run, graph):
    crate = ROCrate(run)
    assert {e.id for e in crate.get_entities()} == set(graph)
    assert len(crate.get_by_type("CreateAction")) == 2


def test_written_twice_it_is_the_same_and_does_not_list_itself(run):
    first = write_crate(run).read_bytes()
    assert write_crate(run).read_bytes() == first


def test_results_without_notebooks_are_described_too(run):
    """Kept results of real images."""
    manifest = json.loads((run / "manifest.json").read_text())
    for name in ("01_first.ipynb", "02_second.ipynb"):
        (run / name).unlink()
        del manifest["files"][name]
    (run / "manifest.json").write_text(json.dumps(manifest))
    entities = json.loads(write_crate(run).read_text())["@graph"]
    assert sum(entity["@type"] == "CreateAction" for entity in entities) == 2


def test_a_changed_or_unfinished_run_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="make reproduce"):
        write_crate(tmp_path / "none")
    record = run / "01_first" / "run.json"
    record.write_text("{}")
    with pytest.raises(InputError, match=r"run\.json: missing, or not the file"):
        write_crate(run)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["files"]["01_first/run.json"] = file_digest(record)
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="says not when"):
        write_crate(run)
    assert not (run / CRATE).exists()
