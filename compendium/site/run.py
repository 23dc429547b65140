"""A finished run as the site reads it: its notebooks, records and parameters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError
from engine.notebooks import all_notebook_paths
from engine.paths import results_root
from engine.results import METRICS, RECORD

MANIFEST, CLAIMS = "manifest.json", "claims.json"


@dataclass(frozen=True)
class SiteRun:
    """Results of a profile in ``folder``.

    ``notebooks`` are the executed ones, by name; without outputs where none were kept.
    """

    folder: Path
    notebooks: dict[str, Path]
    manifest: dict

    @classmethod
    def open(cls, results: str | Path) -> SiteRun:
        """Results by the name of a profile, or by a folder (written with a slash).

        Raises
        ------
        InputError
            No finished run, or one whose claims were not judged.
        """
        named = "/" not in str(results)
        folder = results_root() / results if named else Path(results).resolve()
        missing = [name for name in (MANIFEST, METRICS) if not (folder / name).is_file()]
        if missing:
            raise InputError(
                f"{folder}: no finished results ({missing[0]} is not there). Run "
                f"`make reproduce PROFILE={folder.name}` first."
            )
        if not (folder / CLAIMS).is_file():
            raise InputError(
                f"{folder}: the claims were not judged ({CLAIMS} is not there). Run "
                f"`make claims PROFILE={folder.name}` first."
            )
        sources = {path.stem: path for path in all_notebook_paths()}
        notebooks = {}
        for name in sorted(path.parent.name for path in folder.glob(f"*/{RECORD}")):
            executed = folder / f"{name}.ipynb"
            notebooks[name] = executed if executed.is_file() else sources[name]
        manifest = json.loads((folder / MANIFEST).read_text())
        return cls(folder, notebooks, manifest)

    @property
    def profile(self) -> str:
        """Name of the profile."""
        return self.manifest["profile"]

    @property
    def study(self) -> str:
        """Name of the study; records from before there were several are of the first."""
        return self.parameters.get("study", "embryo")

    @property
    def parameters(self) -> dict:
        """Parameters of the run, by name."""
        return self.manifest["parameters"]

    @property
    def synthetic(self) -> bool:
        """Whether all images are phantoms."""
        return self.parameters["data_kind"] == "phantom"

    @property
    def images(self) -> str:
        """What the images are, as every page says it."""
        if self.synthetic:
            return "synthetic phantom images"
        also = self.parameters.get("second_target_optics")
        return "real images" + (", those of the second target semi-synthetic" if also else "")

    def record(self, notebook: str) -> dict:
        """The record of a notebook's run."""
        return json.loads((self.folder / notebook / RECORD).read_text())

    def metrics(self) -> dict[str, dict]:
        """All metrics of the run, by full name."""
        return json.loads((self.folder / METRICS).read_text())

    def verdicts(self) -> list[dict]:
        """The verdicts on the published claims."""
        return json.loads((self.folder / CLAIMS).read_text())
