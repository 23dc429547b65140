"""What of a run is kept in git: all that its numbers can be recomputed from, as small as may be."""

from __future__ import annotations

import base64
import gzip
import io
import json
import shutil
from pathlib import Path, PurePosixPath

import nbformat
from PIL import Image

from compendium.notebook_pictures import ORIGINAL, digest_of, png_of
from engine.errors import InputError
from engine.keys import file_digest
from engine.manifest import MANIFEST
from engine.progress import progress
from engine.results import PACKED, file_digests, replace_folder, write_atomically

CLAIMS = ("claims.json", "claims.md")  # judged after the manifest was written
LONG = 64 * 1024  # bytes; a longer table is packed
COLOURS = 256  # of a picture in a kept notebook
# What the README shows.
PICTURES = ("eight_*.png", "severity.png", "elsewhere.png", "real_embryos.png")


def keep_results(folder: str | Path, out: str | Path) -> None:
    """Copy the results of a run to ``out``, in place of what lies there.

    Kept are the executed notebooks, tables, predictions, records, cards and claims, and of the
    figures `PICTURES`; no weights. Of a run on real images no notebook and no figure, for the
    images in them are not ours to hand on. Long tables are packed (gzip, the same CSV), the
    pictures in the notebooks are reduced to a palette, and the manifest lists the files as they
    then are. ``folder`` may be ``out``, and keeping what was kept changes nothing.

    Raises
    ------
    InputError
        No finished run in ``folder``, or a file that was changed since.
    """
    folder, out = Path(folder).resolve(), Path(out).resolve()
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{path}: no such file. Finish the run: make reproduce PROFILE=NAME.")
    manifest = json.loads(path.read_text())
    real = manifest["parameters"]["data_kind"] != "phantom"
    listed = {name: sha for name, sha in manifest["files"].items() if _is_kept(name, real)}
    for name, sha in listed.items():
        if not (folder / name).is_file() or file_digest(folder / name) != sha:
            raise InputError(
                f"{folder / name}: missing, or not the file that {MANIFEST} lists. Run again: make "
                f"reproduce PROFILE={manifest['profile']}"
            )
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    names = [*listed, *(name for name in CLAIMS if (folder / name).is_file())]
    for name in progress(names, label="kept files"):
        write_atomically(*_kept(partial / name, (folder / name).read_bytes()))
    manifest["files"] = file_digests(partial)
    write_atomically(partial / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    replace_folder(partial, out)


def _is_kept(name: str, real: bool) -> bool:
    path = PurePosixPath(name)
    if path.parent.name == "figures":
        return not real and any(map(path.match, PICTURES))
    return path.suffix != ".safetensors" and not (real and path.suffix == ".ipynb")


def _kept(path: Path, content: bytes) -> tuple[Path, bytes]:
    """Name and content of a file as it is kept."""
    if path.suffix == ".ipynb":
        return path, _with_small_pictures(content)
    if path.suffix == ".csv" and len(content) > LONG:
        return path.with_name(path.name + PACKED), gzip.compress(content, mtime=0)
    return path, content


def _with_small_pictures(notebook: bytes) -> bytes:
    read = nbformat.reads(notebook.decode(), as_version=4)
    outputs = [output for cell in read.cells for output in cell.get("outputs", [])]
    for output in outputs:
        digest = digest_of(output)
        if digest:
            output["metadata"].setdefault("image/png", {})[ORIGINAL] = digest
            png = small_picture(png_of(output))
            output["data"]["image/png"] = base64.b64encode(png).decode()
    return nbformat.writes(read).encode()


def small_picture(png: bytes) -> bytes:
    """A PNG in its 256 best colours: a third to a half of the size; one that is, as it came.

    Lines and letters keep their colours; in sheets of photographs the mean error is below one of
    255 levels, less than that of a JPEG of quality 90. No dither, which would be new texture.
    """
    picture = Image.open(io.BytesIO(png))
    if picture.mode == "P":
        return png
    stream = io.BytesIO()
    reduced = picture.convert("RGB").quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE)
    reduced.save(stream, "PNG", optimize=True)
    return stream.getvalue()
