"""Finished results: how they are read, how new ones take their place, the commit they belong to."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd

from engine.errors import InputError
from engine.keys import file_digest
from engine.paths import ROOT

RECORD = "run.json"
METRICS = "metrics.json"
PACKED = ".gz"  # of long tables in kept results


class Finished:
    """The finished outputs of a notebook, to be read by another one."""

    def __init__(self, notebook: str, folder: Path) -> None:
        if not (folder / RECORD).is_file():
            raise InputError(
                f"{notebook} has no finished results in profile '{folder.parent.name}'. "
                f"Run notebook {notebook} first, with the same parameters."
            )
        self.notebook = notebook
        self.folder = folder

    def table(self, name: str) -> pd.DataFrame:
        """The table that ``Run.table`` kept under ``name``."""
        return self._read("tables", name)

    def predictions(self, name: str) -> pd.DataFrame:
        """The prediction table that ``Run.predictions`` kept under ``name``."""
        return self._read("predictions", name)

    def metrics(self) -> dict[str, dict[str, float | int | None]]:
        """All metrics of the notebook, by full name (``"02_….ed4.auc"``)."""
        return json.loads((self.folder / METRICS).read_text())

    def record(self) -> dict[str, Any]:
        """The record of the run: parameters, seed, device, versions, files."""
        return json.loads((self.folder / RECORD).read_text())

    def _read(self, kind: str, name: str) -> pd.DataFrame:
        there = tables_in(self.folder / kind)
        if name not in there:
            known = ", ".join(there) or "none"
            raise InputError(f"{self.notebook} keeps no {kind} '{name}'. It keeps: {known}.")
        return read_table(there[name])


def tables_in(folder: Path) -> dict[str, Path]:
    """Name to file of every table in ``folder``: CSV, packed by gzip or not."""
    files = sorted([*folder.glob("*.csv"), *folder.glob(f"*.csv{PACKED}")])
    return {path.name.removesuffix(PACKED).removesuffix(".csv"): path for path in files}


def table_digest(path: Path) -> str:
    """SHA-256 (hexadecimal) of the CSV in a file, packed or not."""
    content = path.read_bytes()
    return hashlib.sha256(
        gzip.decompress(content) if path.suffix == PACKED else content
    ).hexdigest()


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV of the results; ``id`` and ``group`` stay text, numbers keep all digits."""
    texts = {"id": str, "group": str}
    return pd.read_csv(path, dtype=texts)


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in ``folder`` by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def replace_folder(new: Path, place: Path) -> None:
    """Rename ``new`` to ``place``; what stood there goes only once it is out of the way."""
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``: a reader sees the old file or the new one, never a part.

    Raises
    ------
    InputError
        The disk is full, or the place cannot be written to; what was there stays.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_through(partial, "wb", content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def append(path: Path, lines: bytes) -> None:
    """Add whole lines to a file; of a run that was cut off, the last line may be a part.

    Raises
    ------
    InputError
        As ``write_atomically``; whole lines that were there stay.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_through(path, "ab", lines)
    except OSError as error:
        raise _unwritable(path, error) from error


def _write_through(path: Path, mode: str, content: bytes) -> None:
    with path.open(mode) as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _unwritable(path: Path, error: OSError) -> InputError:
    if path.is_dir():
        return InputError(f"{path}: a folder is in the place of this file. Name another to write.")
    return InputError(
        f"{path}: cannot be written ({error.strerror}); what was there is untouched. Free some "
        "space or write elsewhere: COMPENDIUM_RESULTS names another results folder."
    )


def git_commit() -> str | None:
    """The checked-out commit, ``+changes`` where files differ from it; None outside of git."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return None
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, check=True
    )
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")
