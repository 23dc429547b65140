"""A run as an RO-Crate: its files, what made each of them, with which parameters and software."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from rocrate.model import ComputerLanguage, ContextEntity, File
from rocrate.rocrate import ROCrate

from compendium.keep import CLAIMS
from engine.errors import InputError
from engine.keys import file_digest
from engine.manifest import MANIFEST
from engine.paths import ROOT
from engine.results import RECORD, write_atomically

CRATE = "ro-crate-metadata.json"
VERSION = "1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"  # Process Run Crate
FORMATS = {
    ".csv": "text/csv", ".gz": "application/gzip", ".ipynb": "application/x-ipynb+json",
    ".json": "application/json", ".md": "text/markdown", ".png": "image/png",
    ".svg": "image/svg+xml",
}  # fmt: skip


def write_crate(folder: str | Path) -> Path:
    """Write ``ro-crate-metadata.json`` of a run into its results folder.

    RO-Crate 1.1 (Soiland-Reyes et al. 2022, doi:10.3233/DS-210053), one action a notebook by the
    profile Process Run Crate (Leo et al. 2024, doi:10.1371/journal.pone.0309210). The same results
    give the same bytes.

    Raises
    ------
    InputError
        No finished run in ``folder``, one of a version that wrote down no times, or a file that
        was changed since.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{path}: no such file. Finish the run: make reproduce PROFILE=NAME.")
    manifest = json.loads(path.read_text())
    again = f"Run again: make reproduce PROFILE={manifest['profile']}"
    for name, sha in manifest["files"].items():
        if not (folder / name).is_file() or file_digest(folder / name) != sha:
            raise InputError(f"{folder / name}: missing, or not the file that was made. {again}")
    records = {name: json.loads((folder / name / RECORD).read_text())
               for name in manifest["notebooks"]}  # fmt: skip
    for name, record in records.items():
        if "started" not in record:
            raise InputError(f"{folder / name / RECORD}: says not when it was started. {again}")
    crate = _described(manifest, records)
    names = [*manifest["files"], MANIFEST, *(name for name in CLAIMS if (folder / name).is_file())]
    files = {name: _file(crate, folder, name) for name in names}
    for name, record in records.items():
        _add_action(crate, name, record, files)
    content = crate.metadata.generate()
    write_atomically(folder / CRATE, (json.dumps(content, indent=1) + "\n").encode())
    return folder / CRATE


def _described(manifest: dict[str, Any], records: dict[str, dict[str, Any]]) -> ROCrate:
    """The crate without files: root, authors, licence, software, parameters."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    crate = ROCrate(version=VERSION)
    crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"
    crate.add(ContextEntity(crate, PROFILE, {"@type": "CreativeWork", "name": "Process Run Crate"}))
    authors = [crate.add(_author(crate, number, author))
               for number, author in enumerate(citation["authors"], start=1)]  # fmt: skip
    authors = authors[0] if len(authors) == 1 else authors  # the format wants no list of one
    licence = crate.add(
        ContextEntity(
            crate,
            f"https://spdx.org/licenses/{citation['license']}",
            {"@type": "CreativeWork", "name": citation["license"]},
        )
    )
    crate.add(ComputerLanguage(crate, "#python", {"name": "Python", **_python(records)}))
    code = {
        "@type": "SoftwareSourceCode",
        "name": citation["title"],
        "version": manifest["commit"] or "unknown",
        "softwareRequirements": _versions(records),
    }
    code = crate.add(ContextEntity(crate, "#code", code))
    code["author"], code["license"] = authors, licence
    code["programmingLanguage"] = crate.get("#python")
    for name, value in manifest["parameters"].items():
        crate.add(_value(crate, f"#parameter-{name}", name, value))
    real = manifest["parameters"]["data_kind"] != "phantom"
    images = "images of the user" if real else "synthetic images (phantoms)"
    crate.root_dataset["conformsTo"] = crate.get(PROFILE)
    crate.name = f"{citation['title']}: results of profile {manifest['profile']}"
    crate.description = f"Executed notebooks, tables, predictions and figures, made from {images}."
    crate.datePublished = max(_ended(record) for record in records.values())
    crate.license = licence
    crate.root_dataset["author"] = authors
    crate.keywords = citation["keywords"]
    return crate


def _author(crate: ROCrate, number: int, author: dict[str, str]) -> ContextEntity:
    person = "family-names" in author
    name = f"{author['given-names']} {author['family-names']}" if person else author["name"]
    kind = {"@type": "Person" if person else "Organization", "name": name}
    return ContextEntity(crate, author.get("orcid", f"#author-{number}"), kind)


def _python(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    versions = sorted({record["versions"]["python"] for record in records.values()})
    return {"@type": "ComputerLanguage", "version": ", ".join(versions)}


def _versions(records: dict[str, dict[str, Any]]) -> list[str]:
    return sorted(
        {f"{package}=={version}" for record in records.values()
         for package, version in record["versions"].items() if package != "python"}
    )  # fmt: skip


def _value(crate: ROCrate, identifier: str, name: str, value: Any) -> ContextEntity:
    return ContextEntity(
        crate, identifier, {"@type": "PropertyValue", "name": name, "value": value}
    )


def _file(crate: ROCrate, folder: Path, name: str) -> File:
    path = folder / name
    about = {
        "name": path.name,
        "encodingFormat": FORMATS.get(path.suffix, "application/octet-stream"),
        "contentSize": str(path.stat().st_size),
        "sha256": file_digest(path),
    }
    return crate.add_file(path, name, properties=about)


def _add_action(crate: ROCrate, name: str, record: dict[str, Any], files: dict[str, File]) -> None:
    """The execution of one notebook; executed, the notebook is one of the results."""
    about = {
        "@type": "SoftwareSourceCode",
        "name": f"{name}.ipynb",
        "version": record["commit"] or "unknown",
    }
    notebook = crate.add(ContextEntity(crate, f"#notebook-{name}", about))
    notebook["programmingLanguage"] = crate.get("#python")
    notebook["isPartOf"] = crate.get("#code")
    action = crate.add_action(
        notebook,
        f"#run-{name}",
        object=[files[f"{parent}/{RECORD}"] for parent in record["parents"]]
        + [crate.get(f"#parameter-{parameter}") for parameter in record["parameters"]],
        result=[
            file
            for path, file in files.items()
            if path.startswith(f"{name}/") or path == f"{name}.ipynb"
        ],
        properties={
            "name": f"Execution of {name}",
            "description": f"papermill ran {name}.ipynb with these parameters.",
            "startTime": record["started"],
            "endTime": _ended(record),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    action["agent"] = crate.root_dataset["author"]
    device = _value(crate, f"#device-{name}", "device", record["device"])
    action["additionalProperty"] = crate.add(device)
    crate.root_dataset.append_to("mentions", action)


def _ended(record: dict[str, Any]) -> str:
    end = datetime.fromisoformat(record["started"]) + timedelta(seconds=record["seconds"])
    return end.astimezone(UTC).isoformat(timespec="seconds")
