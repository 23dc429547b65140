"""Sentences on GAN augmentation: what the document concludes, held against a run."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lib.evaluation.augmentation import UNBALANCED
from lib.figures.augmentation import gan_name, way_name

# What section 7 of the document says of its GANs, in our words: a GAN, those it is held against,
# and whether it is said to be better than they are.
_OF_GANS = (
    ("SNGAN is the best of the four", "sngan", ("dcgan", "acgan", "wgan_gp"), True),
    ("larger batches make better images", "dcgan", ("small_batch",), True),
    ("longer training makes better images", "dcgan", ("short",), True),
    ("a larger latent does not improve them", "large_latent", ("dcgan",), False),
    ("smoothed labels improve them", "smoothed", ("dcgan",), True),
    ("spectral normalisation improves them", "spectral", ("dcgan",), True),
    ("a faster discriminator improves them", "two_rates", ("dcgan",), True),
)
# And of classifiers: a way, the one it is held against, and whether it is said to be better.
_OF_WAYS = (
    ("synthetic images do not improve the classifier", "synthetic", "plain", False),
    ("filling an unbalanced set up with them helps", "balanced_synthetic", UNBALANCED, True),
)


def gan_words(distances: pd.DataFrame) -> str:
    """Markdown: what the document says of GANs, by the kernel distance of one training each.

    ``distances`` is output of ``lib.evaluation.image_quality.unpaired_quality``. Two GANs are told
    apart where their intervals have nothing in common.
    """
    own = distances[distances["measure"] == "kernel_lite0"].set_index("arm")
    lines = []
    for said, gan, others, better in _OF_GANS:
        verdicts = [_apart(own.loc[gan], own.loc[other]) for other in others]
        values = ", ".join(
            f"{gan_name(arm)} {own.loc[arm, 'value']:.2f} "
            f"[{own.loc[arm, 'low']:.2f}, {own.loc[arm, 'high']:.2f}]"
            for arm in (gan, *others)
        )
        lines.append(f"- *{said}*: **{_verdict(verdicts, better)}** ({values}).")
    return "\n".join(lines)


def _apart(one: pd.Series, other: pd.Series) -> str:
    """Whether the first distance is surely the smaller one (better), the larger one, or neither."""
    if one["high"] < other["low"]:
        return "better"
    return "worse" if one["low"] > other["high"] else "undecided"


def _verdict(verdicts: Sequence[str], better: bool) -> str:
    """What of a sentence holds, by what was seen in each comparison it makes."""
    if better:
        if all(one == "better" for one in verdicts):
            return "so it is in this training"
        return "not so in this training" if "worse" in verdicts else "undecided"
    if "better" in verdicts:
        return "not so in this training"
    return "so it is in this training" if "worse" in verdicts else "no improvement was seen"


def way_words(compared: pd.DataFrame) -> str:
    """Markdown: what the document says of classifiers, by AUC, corrected for all differences.

    ``compared`` is output of ``lib.evaluation.augmentation.compare_ways``.
    """
    auc, lines = compared[compared["metric"] == "auc"], []
    for said, way, other, better in _OF_WAYS:
        rows = auc[(auc["way"] == way) & (auc["against"] == other)]
        sure = rows["p_holm"] < 0.05
        verdicts = [
            "undecided" if not told else "better" if value > 0 else "worse"
            for told, value in zip(sure, rows["difference"], strict=True)
        ]
        word = _verdict(verdicts, better)
        told = "; ".join(
            f"{_where(row.images)} {row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
            for row in rows.itertuples()
        )
        lines.append(
            f"- *{said}*: **{word}**. AUC, {way_name(way)} minus {way_name(other)}: {told}."
        )
    best = auc[auc["p_holm"] < 0.05]
    rest = "; ".join(
        f"{_where(row.images)}, {way_name(row.way)} minus {way_name(row.against)} "
        f"{row.difference:+.3f}"
        for row in best.itertuples()
    )
    lines.append(f"- Of {len(auc)} differences in AUC, surely not 0 (Holm): {rest or 'none'}.")
    return "\n".join(lines)


def _where(images: str) -> str:
    return "one to nine" if images == UNBALANCED else f"{images} a class"
