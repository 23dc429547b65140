"""Headless execution of one notebook."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from engine.errors import InputError
from engine.notebooks import sources_digest
from engine.parameters import Parameters, load_params
from engine.paths import ROOT, results_root, stamp_path
from engine.progress import duration
from engine.results import RECORD, write_atomically

FAILED = "failed"


class NotebookError(RuntimeError):
    """A notebook stopped; the message names notebook, cell, error and where it is kept."""


def run_notebook(profile: str, name: str, key: str, sources: str) -> None:
    """Execute a notebook with the parameters of ``profile`` and mark its results with ``key``.

    The executed notebook is written to a hidden file and renamed at the end. If it fails it is kept
    in ``failed`` with its traceback, and the results of the run before stay as they are.

    Parameters
    ----------
    profile, name : str
        Parameter file and notebook, without suffix.
    key, sources : str
        As in the plan (`engine.plan.Step`).

    Raises
    ------
    InputError
        The parameters are refused, or the notebook refused its input.
    NotebookError
        A cell raised, the notebook kept no results, its code changed while it ran, or another
        run of it is under way.
    """
    params = load_params(ROOT / "params" / f"{profile}.yaml", profile=profile)
    place = results_root() / profile / f"{name}.ipynb"
    place.parent.mkdir(parents=True, exist_ok=True)
    with _alone(place):
        started = time.time()
        print(f"{name}: started (profile {profile})", file=sys.stderr, flush=True)
        _execute(place, params, sources)
        write_atomically(stamp_path(name, profile), key.encode())
        print(f"{name}: finished in {duration(time.time() - started)}", file=sys.stderr, flush=True)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the lock of a notebook's results; the system frees it however the process ends."""
    with place.with_name(f".{place.stem}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotebookError(f"{place.stem} is already running: wait until it ends.") from None
        yield


def _execute(place: Path, params: Parameters, sources: str) -> None:
    """Execute the notebook of the results ``place`` and put it there."""
    path = ROOT / "notebooks" / place.name
    partial = place.with_name(f".{place.stem}.partial.ipynb")
    started = time.time()
    _prepare_environment()
    try:
        papermill.execute_notebook(
            str(path),
            str(partial),
            parameters=params.model_dump(),
            kernel_name="python3",
            cwd=str(ROOT),
            progress_bar=False,
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
    except (PapermillExecutionError, DeadKernelError) as error:
        raise _kept(error, partial, place) from None
    record = place.with_suffix("") / RECORD
    if not record.is_file() or record.stat().st_mtime < started:
        raise NotebookError(f"{place.stem} kept no results: end it with run.finish().")
    write_atomically(place, nbformat.writes(_published(partial)).encode())
    partial.unlink()
    for old in (place.parent / FAILED).glob(f"{place.stem}.*"):
        old.unlink()
    if sources_digest(path) != sources:
        raise NotebookError(f"{place.stem} or the code it uses changed while it ran: run it again.")


def _prepare_environment() -> None:
    """What the kernel inherits: plain progress, sets in a fixed order, this package and Python."""
    os.environ["COMPENDIUM_HEADLESS"] = "1"
    os.environ["PYTHONHASHSEED"] = "0"
    os.environ["PYTHONPATH"] = str(ROOT)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    logging.getLogger("papermill").setLevel(logging.ERROR)  # it lists every injected parameter


def _published(path: Path) -> nbformat.NotebookNode:
    """The executed notebook without times and paths of this machine."""
    notebook = nbformat.read(path, as_version=4)
    run = notebook.metadata.pop("papermill")
    notebook.metadata.papermill = {"parameters": run["parameters"], "version": run["version"]}
    for cell in notebook.cells:
        for private in ("papermill", "execution"):
            cell.metadata.pop(private, None)
        for output in cell.get("outputs", []):
            if "text" in output:
                output["text"] = _without_paths(output["text"])
    return notebook


def _without_paths(text: str) -> str:
    text = re.sub(r"\S*/ipykernel_\d+/\d+\.py", "cell", text)  # in warnings
    for folder in (sys.prefix, str(ROOT), str(results_root()), str(Path.home())):
        text = text.replace(f"{folder}/", "")
    return text


def _kept(error: Exception, partial: Path, place: Path) -> Exception:
    """Move a failed notebook to ``failed`` with its traceback; the error that tells of it."""
    name, failed = place.stem, place.parent / FAILED
    failed.mkdir(parents=True, exist_ok=True)
    partial.replace(failed / f"{name}.ipynb")
    kept = f"The notebook and its traceback are kept in {failed}."
    if isinstance(error, DeadKernelError):
        (failed / f"{name}.txt").write_text(f"{error}\n")
        return NotebookError(f"{name}: its process was ended, as for want of memory. {kept}")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    (failed / f"{name}.txt").write_text(f"{plain}\n")
    if error.ename == InputError.__name__:
        return InputError(f"{name}: {error.evalue}")
    cell = f"code cell {error.exec_count}"
    return NotebookError(f"{name} failed in {cell}: {error.ename}: {error.evalue}\n{kept}")
