"""A folder of someone's own images through a trained translator."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from lib.data.framing import Frame, crop, find_embryos
from lib.data.images import SUFFIXES, decode, fit, to_grey
from lib.keys import file_digest
from lib.models.bundle import Bundle, load_bundle
from lib.models.translation import translate
from lib.params import InputError
from lib.progress import progress
from lib.report.clinic_page import write_page
from lib.results import read_table, write_atomically

TABLE, EXCLUDED, PAGE = "translated.csv", "excluded.csv", "report.html"
_BATCH = 32
# EXIF that may be kept: description, maker, model, software, date, artist, copyright, and the parts
# on exposure and place. The orientation was applied; of a TIFF the rest is the layout of its file.
_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_PARTS = (0x8769, 0x8825)
_COLUMNS = (
    "file", "output", "width", "height", "found", "left", "top", "side", "score", "called", "gate",
    "passes", "sha256", "output_sha256", "weights", "exif",
)  # fmt: skip


@dataclass(frozen=True)
class _Square:
    """The part of an image that was translated: left and top edge and side, in pixels."""

    left: float
    top: float
    side: float


def translate_folder(
    weights: str | Path, images: str | Path, out: str | Path, force: bool = False,
    keep_exif: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Translate every image below ``images`` into ``out``, each at its own size, as grey PNG.

    Only the field of view that the translator was trained on is replaced; the rest of the frame
    stays as it was, in luma. A run that was broken off goes on where it was. Beside the images:
    ``translated.csv``, ``excluded.csv`` (files that cannot be read) and ``report.html``.

    Parameters
    ----------
    force
        Overwrite what lies in the way: files in ``out`` that this command has not written from the
        same image and weights.
    keep_exif
        Take EXIF over. It may name patient, place and time, so it is dropped otherwise.

    Returns
    -------
    Columns file, output, width, height, found (of the embryo; True where whole images are used),
    left, top, side (the translated square, pixels), score (probability of label 1 after
    translation), called (at the frozen threshold), gate (distance from what the classifier knows),
    passes (the gate), sha256 and output_sha256 (of both files), weights (their SHA-256), exif
    (whether it was kept).

    Raises
    ------
    InputError
        No translator in ``weights``, no images, two that would have one name, or a file in the way.
    """
    bundle = load_bundle(weights)
    images, out = Path(images), Path(out)
    files = _image_files(images, out)
    names = _output_names(files)
    made_by = dict(weights=file_digest(Path(weights)), exif=keep_exif)
    kept = _earlier(out / TABLE)
    done = _still_there(kept, images, out, made_by)
    waiting = [file for file in files if file not in set(done["file"])]
    sides = [] if len(kept) else [TABLE, EXCLUDED, PAGE]
    in_the_way = [
        name for name in [*sides, *(names[file] for file in waiting)] if (out / name).exists()
    ]
    if in_the_way and not force:
        raise InputError(
            f"{out / in_the_way[0]}: in the way ({len(in_the_way)} such files), and not from the "
            "same image and weights. Choose another --out, or --force to overwrite."
        )
    rows, excluded = [done] if len(done) else [], []
    batches = [waiting[start : start + _BATCH] for start in range(0, len(waiting), _BATCH)]
    with ThreadPoolExecutor() as pool:
        for batch, read in zip(
            progress(batches, total=len(batches), label="batches of images"),
            _ahead(pool, images, batches),
            strict=True,
        ):
            fine = [(file, image) for file, image in zip(batch, read, strict=True)
                    if isinstance(image, np.ndarray)]  # fmt: skip
            excluded += [dict(file=file, reason=str(error))
                         for file, error in zip(batch, read, strict=True)
                         if not isinstance(error, np.ndarray)]  # fmt: skip
            if fine:
                table, made = _translate(bundle, fine)
                exif = [images / file if keep_exif else None for file, _ in fine]
                pngs = list(pool.map(_encoded, made, exif))
                table["output"] = [names[file] for file, _ in fine]
                table["sha256"] = list(pool.map(file_digest, [images / f for f, _ in fine]))
                table["output_sha256"] = [hashlib.sha256(png).hexdigest() for png in pngs]
                rows.append(table.assign(**made_by))
                # The table first: an image that it names and that is not there is made again.
                _write(out / TABLE, pd.concat(rows, ignore_index=True)[[*_COLUMNS]])
                list(pool.map(write_atomically, [out / name for name in table["output"]], pngs))
    if not rows:
        raise InputError(
            f"{images}: none of {len(files)} images can be read. {excluded[0]['reason']}"
        )
    result = pd.concat(rows, ignore_index=True).sort_values("file", ignore_index=True)[[*_COLUMNS]]
    _write(out / TABLE, result)
    _write(out / EXCLUDED, pd.DataFrame(excluded, columns=["file", "reason"]))
    if excluded:
        warnings.warn(f"{len(excluded)} files left out, see {out / EXCLUDED}.", stacklevel=2)
    write_page(out / PAGE, result, len(excluded), images, out, bundle)
    return result


def _image_files(folder: Path, out: Path) -> list[str]:
    """Paths of all images below ``folder``, relative to it."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Give the folder of the images to translate.")
    if out.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{out}: lies in the folder of the images, and would be read as one. Choose another."
        )
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not files:
        raise InputError(f"{folder}: no image in it. Wanted: {', '.join(SUFFIXES)}.")
    return files


def _output_names(files: Sequence[str]) -> dict[str, str]:
    # The suffix stays in the name, so that a.jpg and a.png do not meet.
    names = {file: file if file.lower().endswith(".png") else f"{file}.png" for file in files}
    first: dict[str, str] = {}
    for file, name in names.items():
        if first.setdefault(name, file) != file:
            raise InputError(
                f"{first[name]} and {file}: both would be written to {name}. Rename one of them."
            )
    return names


def _earlier(table: Path) -> pd.DataFrame:
    """What an earlier run has written down; empty if it was none of this command."""
    if table.is_file():
        try:
            rows = read_table(table)
        except (ValueError, UnicodeDecodeError):
            rows = pd.DataFrame()
        if tuple(rows.columns) == _COLUMNS:
            return rows
    return pd.DataFrame(columns=_COLUMNS)


def _still_there(
    rows: pd.DataFrame, images: Path, out: Path, made_by: dict[str, object]
) -> pd.DataFrame:
    """Rows made in the same way, from files that are still the same, of images still there."""
    for name, value in made_by.items():
        rows = rows[rows[name] == value]
    same = [
        _is(images / row.file, row.sha256) and _is(out / row.output, row.output_sha256)
        for row in rows.itertuples()
    ]
    return rows[np.array(same, dtype=bool)]


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and file_digest(path) == sha256


def _ahead(
    pool: ThreadPoolExecutor, folder: Path, batches: Sequence[Sequence[str]]
) -> Iterator[list[np.ndarray | InputError]]:
    """Decoded images batch by batch, the next one while this one is translated."""

    def read(file: str) -> np.ndarray | InputError:
        try:
            return to_grey(decode(folder / file))
        except InputError as error:
            return error

    if not batches:
        return
    coming = [pool.submit(read, file) for file in batches[0]]
    for following in [*batches[1:], []]:
        now, coming = coming, [pool.submit(read, file) for file in following]
        yield [future.result() for future in now]


def _translate(
    bundle: Bundle, images: Sequence[tuple[str, np.ndarray]]
) -> tuple[pd.DataFrame, list[np.ndarray]]:
    p = bundle.params
    greys = [image for _, image in images]
    squares, crops, found = [], [], []
    for grey, frame in zip(greys, _frames(bundle, greys), strict=True):
        if frame is None:
            height, width = grey.shape
            side = max(height, width) if p.fit == "pad" else min(height, width)
            squares.append(_Square((width - side) / 2, (height - side) / 2, side))
            crops.append(fit(grey, p.image_size, p.fit))
        else:
            half = p.field_of_view * frame.radius
            squares.append(_Square(frame.x + 0.5 - half, frame.y + 0.5 - half, 2 * half))
            crops.append(crop(grey, frame.x, frame.y, frame.radius, p.field_of_view, p.image_size))
        found.append(frame is not None or p.framing == "whole")
    stack = translate(bundle.generator, torch.from_numpy(np.stack(crops))[:, None])
    classifier = bundle.gate.classifier
    logits = [np.log(s / (1 - s)) for s in np.clip(classifier.fold_scores(stack), 1e-12, 1 - 1e-12)]
    score = 1 / (1 + np.exp(-np.mean(logits, axis=0)))
    gate = bundle.gate.score(stack)
    table = pd.DataFrame(
        dict(
            file=[file for file, _ in images], output="",
            width=[grey.shape[1] for grey in greys], height=[grey.shape[0] for grey in greys],
            found=found, left=[s.left for s in squares], top=[s.top for s in squares],
            side=[s.side for s in squares], score=score,
            called=(score >= classifier.threshold).astype(int), gate=gate,
            passes=bundle.gate.passes(gate),
        )
    )  # fmt: skip
    made = [
        _pasted(grey, picture, square)
        for grey, picture, square in zip(greys, stack[:, 0].numpy(), squares, strict=True)
    ]
    return table, made


def _frames(bundle: Bundle, greys: Sequence[np.ndarray]) -> list[Frame | None]:
    """Where each embryo is; None where the whole image is used."""
    if bundle.params.framing == "whole":
        return [None] * len(greys)
    return [frame if frame.found else None for frame in find_embryos(greys)]


def _pasted(grey: np.ndarray, picture: np.ndarray, square: _Square) -> np.ndarray:
    """``grey`` with ``square`` replaced by ``picture``, resampled to its pixels."""
    height, width = grey.shape
    size = max(1, round(square.side))
    if size < picture.shape[0]:  # the affine transform below does not average
        picture = np.asarray(
            Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS)
        )
    scale = picture.shape[0] / square.side
    placed = Image.fromarray(picture).transform(
        (width, height), Image.Transform.AFFINE,
        (scale, 0, -square.left * scale, 0, scale, -square.top * scale),
        Image.Resampling.BICUBIC,
    )  # fmt: skip
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    inside_x = (x >= square.left) & (x < square.left + square.side)
    inside_y = (y >= square.top) & (y < square.top + square.side)
    return np.where(inside_y[:, None] & inside_x, np.asarray(placed), grey)


def _encoded(image: np.ndarray, exif_of: Path | None) -> bytes:
    extra = {}
    if exif_of is not None:
        with Image.open(exif_of) as original:
            given, exif = original.getexif(), Image.Exif()
            exif.update({tag: given[tag] for tag in _TAGS if tag in given})
            for part in _PARTS:
                exif.get_ifd(part).update(given.get_ifd(part))
        extra = dict(exif=exif)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", **extra)
    return stream.getvalue()


def _write(path: Path, table: pd.DataFrame) -> None:
    write_atomically(path, table.to_csv(index=False).encode())
