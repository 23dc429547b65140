"""Trained weights and computed arrays, kept by a hash of everything that made them."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from engine.keys import code_digest, digest, plain
from engine.results import write_atomically


class Store:
    """A folder of results, each under a key made of its ingredients and of the code that made it.

    Every method takes a ``stage`` (the name of the subfolder), the ``ingredients`` (a mapping of
    JSON values, parameters, tables, arrays), a function ``make`` that computes the result, and
    ``code``: the modules whose source, with all that they import from this package, is part of the
    key. A result that is there is read, any other is made and kept. A damaged file is announced
    with a warning and made again. Nothing is unpickled.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._code: dict[tuple[str, ...], str] = {}  # as imported: it stays until the next start
        self.used: set[str] = set()  # files read or written, relative to the folder

    def key(self, stage: str, code: Iterable[str], /, **ingredients: Any) -> str:
        """SHA-256 of stage, ingredients, source code and lock file."""
        modules = tuple(sorted(code))
        if modules not in self._code:
            self._code[modules] = code_digest(modules)
        return digest({"stage": stage, "code": self._code[modules], "ingredients": ingredients})

    def path(
        self,
        stage: str,
        ingredients: Mapping[str, Any],
        code: Iterable[str],
        suffix: str = ".safetensors",
    ) -> Path:
        """Where the result of these ingredients is kept, whether it exists yet or not."""
        return self.folder / stage / f"{self.key(stage, code, **ingredients)}{suffix}"

    def _use(self, path: Path) -> Path:
        self.used.add(path.relative_to(self.folder).as_posix())
        return path

    def weights(
        self,
        stage: str,
        ingredients: Mapping[str, Any],
        make: Callable[[], Mapping[str, torch.Tensor]],
        code: Iterable[str],
    ) -> dict[str, torch.Tensor]:
        """Tensors by name, on the CPU; the file carries the ingredients in its header."""
        path = self._use(self.path(stage, ingredients, code))
        if path.is_file():
            try:
                return read_tensors(path)[0]
            except (SafetensorError, ValueError, KeyError) as error:
                _announce(path, error)
        tensors = {name: t.detach().cpu().contiguous() for name, t in make().items()}
        write_tensors(path, tensors, {"stage": stage, **plain(ingredients)})
        return tensors

    def arrays(
        self,
        stage: str,
        ingredients: Mapping[str, Any],
        make: Callable[[], torch.Tensor],
        code: Iterable[str],
    ) -> torch.Tensor:
        """One tensor, as an image stack (N, C, H, W) of ``uint8``."""
        return self.weights(stage, ingredients, lambda: {"array": make()}, code)["array"]

    def table(
        self,
        stage: str,
        ingredients: Mapping[str, Any],
        make: Callable[[], pd.DataFrame],
        code: Iterable[str],
    ) -> pd.DataFrame:
        """A table (CSV, numbers in full precision, without its index), as a training history.

        Its ``attrs``, which are to be plain, are kept with it.
        """
        path = self._use(self.path(stage, ingredients, code, ".csv"))
        if path.is_file():
            try:
                return _read_table(path)
            except (ValueError, KeyError) as error:
                _announce(path, error)
        made = make()
        text = made.to_csv(index=False)
        head = {"ingredients": plain(ingredients), "sha256": _text_digest(text)}
        head["attrs"] = made.attrs
        write_atomically(path, f"# {json.dumps(head, sort_keys=True)}\n{text}".encode())
        return _read_table(path)


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], ingredients: Mapping[str, Any]
) -> None:
    """Write a safetensors file whose header carries ``ingredients`` (JSON) and a checksum."""
    head = {
        "ingredients": json.dumps(ingredients, sort_keys=True),
        "sha256": tensor_digest(tensors),
    }
    write_atomically(path, save(dict(tensors), metadata=head))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what ``write_tensors`` wrote: tensors by name, and the ingredients.

    Raises
    ------
    SafetensorError, KeyError, ValueError
        No safetensors file, one from elsewhere, or one whose content changed since.
    """
    with safe_open(path, framework="pt") as stream:
        head = stream.metadata() or {}
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    if head["sha256"] != tensor_digest(tensors):
        raise ValueError("the checksum differs")
    return tensors, json.loads(head["ingredients"])


def tensor_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 (hexadecimal) of names, types, shapes and values of ``tensors``."""
    result = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        result.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        result.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return result.hexdigest()


def _read_table(path: Path) -> pd.DataFrame:
    head, _, text = path.read_bytes().decode().partition("\n")
    facts = json.loads(head.removeprefix("# "))
    if facts["sha256"] != _text_digest(text):
        raise ValueError("the checksum differs")
    table = pd.read_csv(io.StringIO(text))
    table.attrs = facts.get("attrs", {})
    return table


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _announce(path: Path, error: Exception) -> None:
    warnings.warn(f"{path.name}: damaged ({error}); it is made again.", stacklevel=3)
