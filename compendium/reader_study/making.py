"""A study from a finished run: photographs and translations of its hold-out."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from compendium.reader_study.study import FORMAT, IMAGES, STUDY, StudyFile, key_path, study_text
from engine.errors import InputError
from engine.parameters import check_params
from engine.paths import data_root
from engine.results import Finished, replace_folder, write_atomically
from engine.store import Store
from lib.data.dataset import Dataset
from lib.models.bundle import Bundle, load_bundle
from lib.models.translation import translate

_KEY = ["image", "kind", "real", "id", "domain", "label", "group"]


def make_study(
    results: str | Path, out: str | Path, images: int, repeats: int, seed: int
) -> pd.DataFrame:
    """Make a blinded study from a finished run, and its key beside it.

    The kinds are the photographs of the source and of the target domain and, for every translator
    that the run has kept, translated target photographs. All are grey crops to one field of view
    and of one size, as the networks see them, from the hold-out. Every kind has as many images as
    the next, half of either label (to one image), and no two images of a study are of one group.

    Parameters
    ----------
    results
        A results folder, as results/quick.
    out
        Folder to make; the key becomes ``out.key.csv`` beside it.
    images, repeats
        Different images, and how many of them are shown twice.

    Returns
    -------
    The key: columns image, kind, real, id, domain, label, group.

    Raises
    ------
    InputError
        Something is in the way, the run is not finished or kept no translators, or its hold-out has
        too few groups.
    """
    results, out = Path(results).absolute(), Path(out).absolute()
    _check_free(out, images, repeats)
    dataset, bundles = _open_run(results)
    p = dataset.params
    kinds = {p.source_domain: p.source_domain, p.target_domain: p.target_domain}
    kinds |= dict.fromkeys(bundles, p.target_domain)
    if images < 2 * len(kinds):
        raise InputError(
            f"--images {images}: too few for {len(kinds)} kinds ({', '.join(kinds)}) of two labels "
            f"each. Give {2 * len(kinds)} or more."
        )
    rng = np.random.default_rng(seed)
    key = _choose(dataset, kinds, images, rng)
    key["real"] = ~key["kind"].isin(bundles)
    key["image"] = [f"{rng.bytes(8).hex()}.png" for _ in range(len(key))]
    # The first of every kind, then the second of every kind, and so on.
    by_rank = key.groupby("kind").cumcount().sort_values(kind="stable").index
    again = key.loc[by_rank[:repeats], "image"]
    pictures = {}
    for kind, domain in kinds.items():
        own = key[key["kind"] == kind]
        rows = dataset.rows(domain, "holdout")
        # The whole hold-out, as the notebooks read it: the store has it.
        stack = dataset.stack(rows)[pd.Index(rows["id"]).get_indexer(own["id"])]
        if kind in bundles:
            stack = translate(bundles[kind].generator, stack)
        pictures |= dict(zip(own["image"], map(_png, stack), strict=True))
    key = key.sort_values("image", ignore_index=True)[_KEY]
    table = key.to_csv(index=False).encode()
    file = StudyFile(
        format=FORMAT, note=dataset.note(p.target_domain),
        label_names=[p.label_names[label] for label in (0, 1)],
        images={name: hashlib.sha256(pictures[name]).hexdigest() for name in key["image"]},
        repeats=sorted(again), order_seed=int(rng.integers(2**53)),
        key_sha256=hashlib.sha256(table).hexdigest(),
    )  # fmt: skip
    _write(out, file, pictures, table)
    return key


def _check_free(out: Path, images: int, repeats: int) -> None:
    for place in (out, key_path(out)):
        if place.exists():
            raise InputError(
                f"{place}: in the way. Choose another --out; a study is never changed."
            )
    if not 0 <= repeats <= images:
        raise InputError(f"--repeats {repeats}: give 0 to {images}, the number of images.")


def _open_run(results: Path) -> tuple[Dataset, dict[str, Bundle]]:
    """The images of a run, and its translators of the target domain by arm."""
    splits = sorted(results.glob("[0-9]*/tables/split.csv"))
    weights = sorted(results.glob("[0-9]*/models/*.safetensors"))
    if not splits or not weights:
        what = "no split of its images" if not splits else "no translators in */models"
        raise InputError(
            f"{results}: {what}. Give a finished run, as results/quick after make reproduce."
        )
    audit = Finished(splits[0].parent.parent.name, splits[0].parent.parent)
    params = check_params(audit.record()["parameters"], str(audit.folder))
    dataset = Dataset.open(params, data_root(), Store(results.parent / "store"), audit)
    bundles = {bundle.arm: bundle for bundle in map(load_bundle, weights)
               if bundle.domain == params.target_domain}  # fmt: skip
    if not bundles:
        raise InputError(
            f"{results}: no translator of {params.target_domain} in */models. Run: make reproduce "
            f"PROFILE={results.name}"
        )
    return dataset, bundles


def _choose(
    dataset: Dataset, kinds: dict[str, str], images: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows of the hold-out with their kind, shuffled."""
    chosen: list[pd.DataFrame] = []
    used: set[str] = set()
    for place, (kind, domain) in enumerate(kinds.items()):
        wanted = images // len(kinds) + (place < images % len(kinds))
        rows = dataset.rows(domain, "holdout")
        rows = rows.iloc[rng.permutation(len(rows))]
        # The odd one out goes to one label and, in the next kind, to the other.
        for label, count in enumerate((wanted // 2, wanted - wanted // 2)[:: 1 - 2 * (place % 2)]):
            free = rows[(rows["label"] == label) & ~rows["group"].isin(used)]
            part = free.drop_duplicates("group").head(count).assign(kind=kind)
            if len(part) < count:
                name = dataset.params.label_names[label]
                raise InputError(
                    f"the hold-out of {domain} has too few groups: {len(part)} left of label "
                    f"'{name}' for {kind}, {count} wanted. Give fewer --images."
                )
            used |= set(part["group"])
            chosen.append(part)
    table = pd.concat(chosen, ignore_index=True)
    return table.iloc[rng.permutation(len(table))].reset_index(drop=True)


def _png(image: Tensor) -> bytes:
    """A PNG of pixels alone. Uncompressed: the size of a file would tell smooth from noisy."""
    stream = io.BytesIO()
    Image.fromarray(image[0].numpy()).save(stream, "PNG", compress_level=0)
    return stream.getvalue()


def _write(out: Path, file: StudyFile, pictures: dict[str, bytes], key: bytes) -> None:
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, content in pictures.items():
        write_atomically(partial / IMAGES / name, content)
    write_atomically(partial / STUDY, study_text(file).encode())
    write_atomically(key_path(out), key)
    replace_folder(partial, out)
