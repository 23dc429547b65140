"""The depth of a device: one scale of brightness for all images of a domain."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.data.stored import APART, UNIT, beyond, depth_for, depth_name, fits

ODD = 0.05  # most of a domain's images that may be of another device, one of `FEW` at the least
FEW = 5
_JUMP = 4  # bits from which on a rare deeper image is another device, not a bright one
_DARKER = 8  # times: so much less at its darkest than another image is at a scale of its own


def device_bits(facts: pd.DataFrame) -> tuple[pd.Series, dict[object, str]]:
    """The depth of every image, by what its file declares and what its domain shows.

    Cameras of 10 to 14 bits store 16 and mostly do not say so, and the peak of one image says
    little: a short exposure of 12 bits looks like a long one of 10. So all undeclared images of a
    domain share one depth: the one that as many others declare, if they agree, else the smallest
    that holds all peaks. Where at most `ODD` of them need `_JUMP` bits or more beyond the rest,
    those are of another device and do not fit. Nor does one that counts from white so much lower
    than others: its white is that of a scale of its own, and at theirs all of it would be white.

    Parameters
    ----------
    facts : columns domain, declared (bits, NaN where the file says nothing), peak, dtype, inverted

    Returns
    -------
    bits : int Series by the index of ``facts``
    odd : index to what is to be said of an image that does not fit
    """
    bits, odd = facts["declared"].copy(), {}
    if facts.empty:
        return bits.astype(int), odd
    floating = facts["dtype"].map(lambda name: np.dtype(name).kind == "f")
    # Who counts from white has written the numbers anew, at a scale of their own.
    kinds = ["domain", floating, "inverted"]
    for (domain, *_), rows in facts[bits.isna()].groupby(kinds, sort=False):
        same = (facts["domain"] == domain) & (facts["inverted"] == rows["inverted"].iloc[0])
        own = facts[same & (facts["declared"] > 8)]
        said = own["declared"].unique()
        guess = estimate(rows)
        # One file that says another depth than all others show is a foreign one.
        trusted = len(own) >= len(rows) or set(said) == {guess}
        agreed = len(said) == 1 and trusted and rows["dtype"].isin(own["dtype"]).all()
        bits[rows.index] = int(said[0]) if agreed else guess
        if rows["inverted"].iloc[0]:
            top = facts.loc[rows.index.union(own.index), "peak"].max()
            low = (_needed(rows) <= bits[rows.index] - _JUMP) & (rows["peak"] * _DARKER <= top)
            low &= rows["peak"] > 0  # nothing but white is blank at any scale
            odd |= {place: _two_scales(peak, top, domain)
                    for place, peak in rows.loc[low, "peak"].items()}  # fmt: skip
    bits = bits.astype(int)
    for row in facts.itertuples():
        if not fits(row.peak, bits[row.Index]):
            odd[row.Index] = f"{beyond(row.peak, bits[row.Index], row.domain)}. {APART}"
    return bits, odd


def _two_scales(peak: float, top: float, domain: str) -> str:
    return (
        f"counts from white, up to {peak:g} where others of {domain} go to {top:g}: nothing says "
        f"which number is black. {APART}"
    )


def estimate(rows: pd.DataFrame) -> int:
    """Depth that all images of ``rows`` (peak, dtype, inverted) share, but for odd ones."""
    need = _needed(rows)
    highest = int(need.max())
    odd = max(int(len(need) * ODD), int(len(need) >= FEW))
    most = int(need.sort_values().iloc[len(need) - 1 - odd])
    if most != highest and highest - most >= _JUMP and UNIT not in (most, highest):
        return most
    return highest


def _needed(rows: pd.DataFrame) -> pd.Series:
    """The smallest depth that each image alone needs."""
    return rows.apply(
        lambda row: depth_for(row["peak"], np.dtype(row["dtype"]), row["inverted"]), axis=1
    )


def scattered(facts: pd.DataFrame, bits: pd.Series) -> list[str]:
    """A sentence for every domain that a few bright images have made deeper than the others need.

    ``facts`` are the undeclared images that are used, ``bits`` what `device_bits` gave them.
    """
    found = []
    for domain, rows in facts.groupby("domain", sort=False):
        need = _needed(rows)
        deep = need >= bits[rows.index]
        usual = int(need[~deep].max()) if (~deep).any() else UNIT
        if UNIT < usual <= bits[rows.index].max() - _JUMP:
            found.append(
                f"{domain}: {int(deep.sum())} of {len(rows)} images need "
                f"{depth_name(int(bits[rows.index].max()))}, the others at most "
                f"{depth_name(usual)}; all are read at the first. {APART}"
            )
    return found


def mixed(table: pd.DataFrame) -> list[str]:
    """A sentence for every domain of an image table whose images are not all of one depth."""
    found = []
    for domain, bits in table.groupby("domain", sort=False)["bits"]:
        counts = bits.value_counts().sort_index()
        if len(counts) > 1:
            parts = [f"{count} of {depth_name(bits)}" for bits, count in counts.items()]
            found.append(f"{domain} holds images of several depths: {', '.join(parts)}.")
    return found
