"""A folder of someone's own images through a trained translator."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from compendium.clinic.files import (
    check_same_folder,
    earlier,
    image_files,
    output_names,
    placeless,
    still_there,
)
from compendium.clinic.pasting import Square, encode, paste
from compendium.clinic.reader import Reader, Reading
from compendium.clinic.report import write_page
from engine.errors import InputError
from engine.keys import file_digest
from engine.progress import progress
from engine.results import append, write_atomically
from lib.data.framing import Frame, crop, frames_of
from lib.data.images import fit
from lib.evaluation.decision import check_prevalence
from lib.models.bundle import Bundle, load_bundle
from lib.models.translation import translate

TABLE, EXCLUDED, PAGE = "translated.csv", "excluded.csv", "report.html"
_BATCH = 32
_THREADS = 2  # that read and write beside the networks
_COLUMNS = (
    "file", "output", "width", "height", "found", "left", "top", "side", "score", "called", "gate",
    "passes", "bits", "channel", "unused", "sha256", "output_sha256", "weights", "exif",
)  # fmt: skip


def translate_folder(
    weights: str | Path, images: str | Path, out: str | Path, force: bool = False,
    keep_exif: bool = False, channel: int = 0, prevalence: float | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Translate every image below ``images`` into ``out``, each at its own size, as grey PNG.

    Only the field of view that the translator was trained on is replaced; the rest of the frame
    stays as it was, in luma. A run that was broken off goes on where it was. Beside the images:
    ``translated.csv``, ``excluded.csv`` (files that are not used, and why) and ``report.html``.

    Parameters
    ----------
    force
        Overwrite what lies in the way: files in ``out`` that this command has not written from the
        same image and weights.
    keep_exif
        Take EXIF over. It may name patient, place and time, so it is dropped otherwise.
    channel
        Which of several channels, from 1; 0: that of the training.
    prevalence : float
        Share of positives among the clinic's images, for what the page says of the calls; None
        takes that of the run, or of its hold-out.

    Returns
    -------
    Columns file, output, width, height, found (of the embryo; True where whole images are used),
    left, top, side (the translated square, pixels), score (probability of label 1 after
    translation), called (at the frozen threshold), gate (distance from what the classifier knows),
    passes (the gate, and the embryo was found), bits (depth that the file was read at), channel
    (that was asked for), unused (what else is in it), sha256 and output_sha256 (of both files),
    weights (their SHA-256), exif (whether it was kept). ``attrs["depths"]``: sentences on the
    depths that files were read at.

    Raises
    ------
    InputError
        No translator in ``weights``, no images, two that would have one name, a file in the way, or
        a prevalence that is not between 0 and 1.
    """
    check_prevalence(prevalence)
    bundle = load_bundle(weights)
    images, out = Path(images), Path(out)
    files, others = image_files(images, out)
    reader = Reader(bundle, images, files, channel)
    names = output_names(files)
    made_by = dict(weights=file_digest(Path(weights)), exif=keep_exif, channel=reader.channel)
    kept = earlier(out / TABLE, _COLUMNS)
    check_same_folder(kept, set(files), out / TABLE, force)
    none = pd.DataFrame(columns=_COLUMNS)
    done = none if kept is None else reader.at_same_depth(still_there(kept, images, out, made_by))
    waiting = [file for file in files if file not in set(done["file"])]
    sides = [TABLE, EXCLUDED, PAGE] if kept is None else []
    in_the_way = [
        name for name in [*sides, *(names[file] for file in waiting)] if (out / name).exists()
    ]
    if in_the_way and not force:
        raise InputError(
            f"{out / in_the_way[0]}: in the way ({len(in_the_way)} such files), and not from the "
            "same image, weights and options. Choose another --out, or --force to overwrite."
        )
    if (out / TABLE).exists():
        _write(out / TABLE, done)  # without what does not hold any more, or was cut off
    rows, excluded = [done] if len(done) else [], [dict(file=f, reason=why) for f, why in others]
    batches = [waiting[start : start + _BATCH] for start in range(0, len(waiting), _BATCH)]
    with ThreadPoolExecutor(_THREADS) as pool:
        unsaved = None
        for batch, read in zip(
            progress(batches, total=len(batches), label="batches of images"),
            _ahead(pool, reader, batches),
            strict=True,
        ):
            fine = [image for image in read if isinstance(image, Reading)]
            # The table may be handed on: where the folder lies is nobody's business.
            excluded += [dict(file=file, reason=placeless(str(error), images))
                         for file, error in zip(batch, read, strict=True)
                         if not isinstance(error, Reading)]  # fmt: skip
            if fine:
                table, finish = _translate(bundle, fine)
                table["output"] = [names[image.file] for image in fine]
                finished = [
                    pool.submit(finish, number, images / image.file, keep_exif)
                    for number, image in enumerate(fine)
                ]
                if unsaved:  # while those of this batch are pasted and encoded
                    rows.append(_save(pool, out, *unsaved))
                unsaved = table.assign(**made_by), finished
        if unsaved:
            rows.append(_save(pool, out, *unsaved))
    if not rows:
        raise InputError(
            f"{images}: none of {len(files)} images can be read. {excluded[0]['reason']}"
        )
    result = pd.concat(rows, ignore_index=True).sort_values("file", ignore_index=True)[[*_COLUMNS]]
    left_out = pd.DataFrame(excluded, columns=["file", "reason"]).sort_values("file")
    _write(out / TABLE, result)
    _write(out / EXCLUDED, left_out)
    result.attrs["depths"] = reader.words(result)
    if excluded:
        warnings.warn(f"{len(excluded)} files left out, see {out / EXCLUDED}.", stacklevel=2)
    write_page(out / PAGE, result, left_out, out, bundle, reader, prevalence)
    return result


def _ahead(
    pool: ThreadPoolExecutor, reader: Reader, batches: Sequence[Sequence[str]]
) -> Iterator[list[Reading | InputError]]:
    """What is read batch by batch, the next one while this one is translated."""

    def read(file: str) -> Reading | InputError:
        try:
            return reader.read(file)
        except InputError as error:
            return error

    if not batches:
        return
    coming = [pool.submit(read, file) for file in batches[0]]
    for following in [*batches[1:], []]:
        now, coming = coming, [pool.submit(read, file) for file in following]
        yield [future.result() for future in now]


def _translate(
    bundle: Bundle, images: Sequence[Reading]
) -> tuple[pd.DataFrame, Callable[[int, Path, bool], tuple[bytes, str]]]:
    """Rows of the table, and what makes the PNG of image number k and the hash of its original."""
    p = bundle.params
    greys = [image.grey for image in images]
    squares, crops, found = [], [], []
    for grey, frame in zip(greys, _frames(bundle, greys), strict=True):
        if frame is None:
            height, width = grey.shape
            side = max(height, width) if p.fit == "pad" else min(height, width)
            squares.append(Square((width - side) / 2, (height - side) / 2, side))
            crops.append(fit(grey, p.image_size, p.fit))
        else:
            half = p.field_of_view * frame.radius
            squares.append(Square(frame.x + 0.5 - half, frame.y + 0.5 - half, 2 * half))
            crops.append(crop(grey, frame.x, frame.y, frame.radius, p.field_of_view, p.image_size))
        found.append(frame is not None or p.framing == "whole")
    stack = translate(bundle.generator, torch.from_numpy(np.stack(crops))[:, None])
    gate, score = bundle.gate.read(stack)
    table = pd.DataFrame(
        dict(
            file=[image.file for image in images], output="",
            width=[grey.shape[1] for grey in greys], height=[grey.shape[0] for grey in greys],
            found=found, left=[s.left for s in squares], top=[s.top for s in squares],
            side=[s.side for s in squares], score=score,
            called=(score >= bundle.gate.classifier.threshold).astype(int), gate=gate,
            passes=bundle.gate.passes(gate) & np.array(found),
            bits=[image.bits for image in images],
            unused=[image.unused for image in images],
        )
    )  # fmt: skip

    def finish(number: int, original: Path, keep_exif: bool) -> tuple[bytes, str]:
        made = paste(greys[number], stack[number, 0].numpy(), squares[number])
        return encode(made, original if keep_exif else None), file_digest(original)

    return table, finish


def _save(
    pool: ThreadPoolExecutor, out: Path, table: pd.DataFrame, finished: Sequence[Future]
) -> pd.DataFrame:
    """Write a batch, its rows first: an image they name that is not there is made again."""
    pngs, originals = zip(*(future.result() for future in finished), strict=True)
    table["sha256"] = originals
    table["output_sha256"] = [hashlib.sha256(png).hexdigest() for png in pngs]
    table = table[[*_COLUMNS]]
    append(out / TABLE, table.to_csv(index=False, header=not (out / TABLE).exists()).encode())
    list(pool.map(write_atomically, [out / name for name in table["output"]], pngs))
    return table


def _frames(bundle: Bundle, greys: Sequence[np.ndarray]) -> list[Frame | None]:
    """Where each embryo is; None where the whole image is used."""
    if bundle.params.framing == "whole":
        return [None] * len(greys)
    return [frame if frame.found else None for frame in frames_of(greys)]


def _write(path: Path, table: pd.DataFrame) -> None:
    write_atomically(path, table.to_csv(index=False).encode())
