"""Every file of a source looked at once: what can be used, at which depth, and what cannot."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.keys import file_digest
from engine.progress import progress
from lib.data.depth import device_bits, mixed, scattered
from lib.data.reading import check_inside, read_bytes, read_stored
from lib.data.stored import Stored, check_numbers, to_8_bit, white_of

_GRID = 16  # blocks to each side, whose means show structure and hide noise
# Grey levels of 255 that the means, and most single pixels, of a blank frame stay within.
_FLAT, _NOISE = 3.0, 12.0


@dataclass(frozen=True)
class Inspected:
    """What was found.

    Attributes
    ----------
    table : the entries that can be used, with sha256, width, height, mode and bits; a row an image,
        so a stack of focal planes has several, ``stack.tif#4``
    excluded : id, domain, reason of what cannot be used
    unused : id, domain, reason: what else is in the files that are used
    warnings : sentences on the whole
    """

    table: pd.DataFrame
    excluded: pd.DataFrame
    unused: pd.DataFrame
    warnings: list[str]


def tell(found: Inspected, left_out: Sequence[str], count: int, root: Path) -> None:
    """Warn, in the name of whoever asked for a table, of what is amiss with the files of a source.

    ``left_out`` are the reasons of those of its ``count`` images that cannot be used.
    """
    level = 4  # who called `table`, which called the source's own look, which called this
    if left_out:
        warnings.warn(
            f"{len(left_out)} of {count} images in {root} cannot be used and are left out; first: "
            f"{left_out[0]}",
            stacklevel=level,
        )
    for sentence in found.warnings:
        warnings.warn(sentence, stacklevel=level)


def file_hashes(paths: Sequence[Path], of: Callable[[Path], str] = file_digest) -> list[str]:
    """``of`` each file, its SHA-256, several at once."""
    with ThreadPoolExecutor() as pool:
        return list(progress(pool.map(of, paths), len(paths), "files hashed"))


def inspect_files(
    root: Path,
    entries: pd.DataFrame,
    channel: int = 0,
    focal_planes: int = 1,
    keep: Callable[[str, np.ndarray], None] | None = None,
) -> Inspected:
    """Look at all files of ``entries`` (id, domain and more) below ``root``.

    Parameters
    ----------
    channel : as in `lib.data.images.decode`
    focal_planes : how many planes of a stack are used, the central ones
    keep : takes id and image of those that are 8-bit levels already, which need no scale
    """

    def look(row: tuple) -> list[dict[str, object]]:
        id = row.id
        try:
            check_inside(root, id)
            return _look(root / id, id, channel, focal_planes, keep)
        except InputError as error:
            return [dict(id=id, reason=str(error))]

    with ThreadPoolExecutor() as pool:
        rows = progress(
            pool.map(look, entries.itertuples()), total=len(entries), label="images checked"
        )
        found = [dict(row, place=place) for place, looked in enumerate(rows) for row in looked]
    facts = pd.DataFrame(found, columns=_FACTS).astype({"reason": object})
    whole = entries.reset_index(drop=True).loc[facts["place"]].reset_index(drop=True)
    whole = whole.assign(id=facts["id"])
    if "bits" in whole:  # that the user knows of his device goes before what files say
        said = whole["bits"].notna() & (facts["declared"] != 8)  # levels of 8 bits are known
        facts["declared"] = whole["bits"].where(said, facts["declared"])
    # Not the other way round: of an empty table assign would make rows of missing values.
    readable = facts.assign(domain=whole["domain"])[facts["reason"].isna()]
    bits, odd = device_bits(readable)
    facts["bits"] = bits.reindex(facts.index)
    for place, row in readable.iterrows():
        words = odd.get(place) or blank(row, 255 / white_of(bits[place]))
        if words:
            facts.loc[place, "reason"] = f"{root / row['id']}: {words}"
    bad = facts["reason"].notna()
    added = ["sha256", "width", "height", "mode", "bits"]
    table = whole.drop(columns="bits", errors="ignore")[~bad].assign(**facts.loc[~bad, added])
    table = table.astype(dict(width=int, height=int, bits=int)).reset_index(drop=True)
    excluded = whole[["id", "domain"]].assign(reason=facts["reason"])[bad]
    unused = whole[["id", "domain"]].assign(reason=facts["unused"])[~bad].explode("reason")
    guessed = readable[readable["declared"].isna() & ~bad[readable.index]]
    return Inspected(
        table, excluded.reset_index(drop=True),
        unused[unused["reason"].notna()].reset_index(drop=True),
        [*mixed(table), *scattered(guessed, bits)],
    )  # fmt: skip


_FACTS = ["place", "id", "sha256", "width", "height", "mode", "declared", "peak", "dtype",
          "inverted", "low", "contrast", "spread", "spot", "unused", "reason"]  # fmt: skip


def _look(
    path: Path, id: str, channel: int, focal_planes: int, keep: Callable | None
) -> list[dict[str, object]]:
    content = read_bytes(path)
    first = read_stored(content, path, channel)
    digest = hashlib.sha256(content).hexdigest()
    planes = central(first.planes, focal_planes)
    if len(planes) == 1:
        return [_facts(first, path, id, digest, keep)]
    rows = []
    for plane in planes:
        stored = first if plane == first.plane else read_stored(content, path, channel, plane)
        own = hashlib.sha256(stored.pixels.tobytes()).hexdigest()  # the file's is that of them all
        rest = [f"{first.planes - len(planes)} of {first.planes} focal planes"]
        unused = [words for words in stored.unused if "focal planes" not in words]
        row = _facts(stored, path, f"{id}#{plane}", own, keep)
        rows.append(row | dict(unused=unused + rest * (first.planes > len(planes))))
    return rows


def central(count: int, wanted: int) -> list[int]:
    """Numbers (from 1) of the ``wanted`` planes around the middle of ``count``, in their order."""
    middle = (count + 1) // 2
    return sorted(sorted(range(1, count + 1), key=lambda n: (abs(n - middle), n))[:wanted])


def _facts(
    stored: Stored, path: Path, id: str, digest: str, keep: Callable | None
) -> dict[str, object]:
    check_numbers(stored, path)
    pixels = stored.pixels
    if keep is not None and stored.plain:
        keep(id, to_8_bit(stored, None, path))
    return dict(
        id=id, sha256=digest, mode=stored.mode,
        declared=np.nan if stored.bits is None else stored.bits, dtype=pixels.dtype.name,
        inverted=stored.inverted, unused=list(stored.unused), **structure(pixels),
    )  # fmt: skip


def structure(pixels: np.ndarray) -> dict[str, float]:
    """How much there is to be seen in a picture (H, W) or (H, W, 3), in its own numbers.

    height, width; low and peak; contrast: range of the means of blocks; spread: range of 98 % of
    its pixels; spot: how far the brightest 2 x 2 pixels stand out, as a few objects on a dark
    ground do and a hot pixel does not.
    """
    # Of colours the one that shows most: one fluorescence may fill a single one.
    grey = pixels if pixels.ndim == 2 else pixels[..., np.ptp(pixels, axis=(0, 1)).argmax()]
    height, width = (max(1, length // _GRID) for length in grey.shape)
    high, wide = grey.shape[0] // height * height, grey.shape[1] // width * width
    blocks = grey[:high, :wide].reshape(high // height, height, wide // width, width)
    means = blocks.mean((1, 3), dtype=np.float64)
    few = grey[:: max(1, height // 4), :: max(1, width // 4)]
    low, middle, high = np.percentile(few, [1, 50, 99])
    pairs = np.minimum(grey[1:], grey[:-1])
    spot = np.minimum(pairs[:, 1:], pairs[:, :-1]).max(initial=grey.min()) - middle
    return dict(
        height=pixels.shape[0], width=pixels.shape[1], low=float(pixels.min()),
        peak=float(pixels.max()), contrast=float(np.ptp(means)), spread=float(high - low),
        spot=float(spot),
    )  # fmt: skip


def blank(seen: Mapping[str, float], level: float) -> str | None:
    """What to say of a picture without structure, None of one with it, or too small to tell.

    Parameters
    ----------
    seen : what `structure` found
    level : grey levels of 255 that one of its numbers is
    """
    seen_enough = min(seen["height"], seen["width"]) >= _GRID
    most = max(seen["spread"], seen["spot"]) * level
    if not seen_enough or seen["contrast"] * level >= _FLAT or most >= _NOISE:
        return None
    return (
        f"a blank frame, without structure: grey levels {seen['low'] * level:.0f} to "
        f"{seen['peak'] * level:.0f} of 255. Take it again, or leave it out."
    )
