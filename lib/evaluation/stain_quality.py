"""Is a translated stain true where it looks good? Quality beside use, and the Ki67 index kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
from torch import Tensor

from lib.data.tissue_set import TissueSet
from lib.evaluation.image_quality import PAIRED, paired_quality, unpaired_quality
from lib.evaluation.ki67 import best_threshold, drawn_positive, nuclear_density
from lib.evaluation.seeds import combine_seeds, mean_over_seeds, ratio_over_seeds
from lib.evaluation.stain_arms import ORACLE, StainFits
from lib.models.translation import translate

IHC = "ihc"  # the target's images themselves
BACK, VIRTUAL = "back_", "virtual_"  # of a CycleGAN: there and back; the target's stain of H&E


def paired(images: Mapping[int, Mapping[str, Tensor]], rows: pd.DataFrame) -> pd.DataFrame:
    """Every arm's images of target fields ``rows`` against the same tissue in the source's stain.

    ``images`` is training seed to output of ``stain_arms.in_source_stain``. Columns arm, seed, id,
    group and those of ``image_quality.paired_quality``; the oracle, which is the truth, is left
    out.
    """
    keys = rows[["id", "group"]].reset_index(drop=True)
    parts = [
        pd.concat([keys, paired_quality(stack, arms[ORACLE])], axis=1).assign(arm=arm, seed=seed)
        for seed, arms in images.items()
        for arm, stack in arms.items()
        if arm != ORACLE
    ]
    return pd.concat(parts, ignore_index=True)


def unpaired(
    tissue: TissueSet, images: Mapping[int, Mapping[str, Tensor]], rows: pd.DataFrame
) -> pd.DataFrame:
    """Distances of every arm's images to the source's hold-out: ``image_quality.unpaired_quality``,
    with column seed."""
    home = tissue.rows(tissue.params.source_domain, "holdout", drawn=False)
    real = tissue.stack(home)
    parts = [
        unpaired_quality(real, home["group"], arms, rows["group"]).assign(seed=seed)
        for seed, arms in images.items()
    ]
    return pd.concat(parts, ignore_index=True)


def summary(quality: pd.DataFrame, distances: pd.DataFrame) -> pd.DataFrame:
    """Columns arm, measure, value, low, high: means over fields, and distances.

    ``quality`` is output of ``paired``, ``distances`` of ``unpaired``; both of all seeds.
    """
    rows = []
    for measure in PAIRED:
        for arm, own in quality.rename(columns={measure: "value"}).groupby("arm", sort=False):
            found = mean_over_seeds(own[["id", "group", "seed", "value"]])
            rows.append(dict(arm=arm, measure=measure, **found))
    means = distances.groupby(["arm", "measure"], sort=False)[["value", "low", "high"]].mean()
    told = pd.concat([pd.DataFrame(rows), means.reset_index()], ignore_index=True)
    return told[["arm", "measure", "value", "low", "high"]]


def stained_nuclei(tissue: TissueSet, fits: StainFits) -> pd.DataFrame:
    """DAB of every drawn nucleus, in images of the target's stain that are there or were made.

    The target's hold-out itself; there and back by each CycleGAN; and, of phantoms, what it makes
    of the source's hold-out, in whose stain the antigen cannot be seen. Columns image (kind of
    images), seed, id (a nucleus), field, group, density, positive (true), measured: density above
    the threshold that tells positive from negative nuclei of training images best.
    """
    p = tissue.params
    learnt = tissue.rows(p.target_domain, "train")
    told = _nuclei(tissue, learnt, tissue.stack(learnt))
    threshold = best_threshold(told["density"], told["positive"])
    rows = tissue.rows(p.target_domain, "holdout")
    kinds = [(IHC, rows, tissue.stack(rows))]
    for name, there in _both_ways(fits):
        stack = translate(there.to_source, tissue.stack(rows))
        kinds.append((BACK + name, rows, translate(there.to_target, stack)))
    if p.is_phantom:
        home = tissue.rows(p.source_domain, "holdout")
        for name, there in _both_ways(fits):
            kinds.append((VIRTUAL + name, home, translate(there.to_target, tissue.stack(home))))
    parts = [_nuclei(tissue, own, stack).assign(image=kind) for kind, own, stack in kinds]
    every = pd.concat(parts, ignore_index=True).assign(seed=p.seed)
    return every.assign(measured=every["density"] > threshold)


def _both_ways(fits: StainFits) -> Iterator[tuple]:
    return ((name, own) for name, (own, _) in fits.translators.items() if own.has_way_back)


def _nuclei(tissue: TissueSet, rows: pd.DataFrame, stack: Tensor) -> pd.DataFrame:
    """Columns id, field, group, density, positive of the nuclei drawn in ``rows``."""
    instances, brown = tissue.instances(rows), tissue.positives(rows)
    found = nuclear_density(stack, instances)
    places, numbers = found["image"].to_numpy(), found["number"].to_numpy()
    positive = drawn_positive(instances, brown)
    fields = rows["id"].to_numpy()[places]
    return pd.DataFrame(dict(
        id=[f"{field}/{number}" for field, number in zip(fields, numbers, strict=True)],
        field=fields, group=rows["group"].to_numpy()[places], density=found["density"],
        positive=positive,
    ))  # fmt: skip


def index_errors(nuclei: pd.DataFrame) -> pd.DataFrame:
    """How far the Ki67 index is off in each kind of images, and how well it tells single nuclei.

    ``nuclei`` is output of ``stained_nuclei``, of all seeds. Columns image, value (measured minus
    true index), low, high, n (fields), seeds, auc, auc_low, auc_high (of the density for single
    nuclei; 0.5: it knows nothing of them; missing where all are of one kind).
    """
    rows = []
    for kind, own in nuclei.groupby("image", sort=False):
        sums = (
            own.assign(nuclei=1)
            .groupby(["field", "group", "seed"], as_index=False)[["nuclei", "positive", "measured"]]
            .sum()
        )
        columns = dict(field="id", measured="top", nuclei="bottom", positive="less_top")
        shares = sums.rename(columns=columns).assign(less_bottom=sums["nuclei"])
        found = ratio_over_seeds(shares)
        row = {name: found[name] for name in ("value", "low", "high", "n", "seeds")}
        if own["positive"].nunique() == 2:
            scores = own.rename(columns=dict(density="score")).assign(
                label=own["positive"].astype(int)
            )
            auc = combine_seeds(scores, dict.fromkeys(own["seed"], 0.0), "auc")
            row |= {f"auc{end}": auc[name] for end, name in
                    (("", "value"), ("_low", "low"), ("_high", "high"))}  # fmt: skip
        rows.append(dict(image=kind, **row))
    return pd.DataFrame(rows)
