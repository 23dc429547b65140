"""Figures of the data: how many images, and how the domains differ before any network sees them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from lib.figures.style import LABEL_NAMES, Drawn, domain_colour, styled, titled_sheet

# Width of an ellipse, in SDs, that holds 68 % of a two-dimensional normal distribution.
_ONE_SIGMA = 2 * np.sqrt(2.2957)


@styled
def count_bars(
    table: pd.DataFrame, note: str, label_names: Mapping[int, str] = LABEL_NAMES
) -> Drawn:
    """Images of every domain by class (Fig. 1b, 5).

    Parameters
    ----------
    table
        Image table: id, domain, label, group.

    Returns
    -------
    The figure, and domain, label, images, groups, share (of the domain).
    """
    counts = (
        table.groupby(["domain", "label"], sort=False)
        .agg(images=("id", "size"), groups=("group", "nunique"))
        .reset_index()
    )
    counts["share"] = counts["images"] / counts.groupby("domain")["images"].transform("sum")
    domains = list(dict.fromkeys(table["domain"]))
    detail = f"n = {len(table):,} images of {table['group'].nunique():,} groups"
    sheet = titled_sheet(5.2, 0.62 * len(domains) + 0.5, "Images by domain and class", note, detail)
    axes = sheet.subplots()
    longest = counts["images"].max()
    for y, domain in enumerate(domains):
        for row in counts[counts["domain"] == domain].itertuples():
            place = y - 0.2 + 0.4 * row.label
            face = domain_colour(domain) if row.label else "white"
            axes.barh(place, row.images, 0.36, color=face, edgecolor=domain_colour(domain), lw=1.2)
            told = f"{row.images:,} {label_names[row.label]} ({100 * row.share:.0f} %)"
            axes.text(row.images + 0.015 * longest, place, told, va="center", size=7.5)
    axes.set_yticks(range(len(domains)), domains, weight="bold")
    for tick, domain in zip(axes.get_yticklabels(), domains, strict=True):
        tick.set_color(domain_colour(domain))
    axes.invert_yaxis()
    axes.set(xlabel="images", xlim=(0, 1.42 * longest))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    return sheet, counts


@styled
def statistics_by_domain(statistics: pd.DataFrame, units: Mapping[str, str], note: str) -> Drawn:
    """Distribution of each image statistic in every domain: violin, quartiles, median.

    Parameters
    ----------
    statistics
        One row per image: domain and the columns named in ``units``.
    units
        Column to its unit ("grey levels"; "" where it has none).

    Returns
    -------
    The figure, and domain, statistic, n, and the quartiles q25, median, q75.
    """
    domains = list(dict.fromkeys(statistics["domain"]))
    columns = min(3, len(units))
    rows = -(-len(units) // columns)
    counts = ", ".join(f"{d} {n}" for d, n in statistics["domain"].value_counts(sort=False).items())
    detail = f"n = {counts} images; violin: 1st to 99th percentile, bar: quartiles, dot: median"
    sheet = titled_sheet(6.9, 1.75 * rows, "Image statistics by domain", note, detail)
    grid = sheet.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(units) :]:
        axes.set_visible(False)
    drawn = []
    for axes, (name, unit) in zip(grid, units.items(), strict=False):
        for x, domain in enumerate(domains):
            values = statistics.loc[statistics["domain"] == domain, name].to_numpy()
            inner = values[
                (values >= np.quantile(values, 0.01)) & (values <= np.quantile(values, 0.99))
            ]
            seaborn.violinplot(
                x=np.full(len(inner), x), y=inner, ax=axes, color=domain_colour(domain),
                inner=None, linewidth=0, cut=0, density_norm="width", native_scale=True, width=0.8,
                alpha=0.45,
            )  # fmt: skip
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            axes.vlines(x, low, high, color=domain_colour(domain), lw=3)
            axes.plot(x, middle, "o", color="white", mec=domain_colour(domain), ms=5, zorder=3)
            drawn.append((domain, name, len(values), low, middle, high))
        axes.set_xticks(range(len(domains)), domains)
        axes.set(xlim=(-0.6, len(domains) - 0.4), xlabel="", ylabel=textwrap.fill(unit, 22))
        axes.set_title(name.replace("_", " "))
        axes.grid(axis="x", visible=False)
    return sheet, pd.DataFrame(drawn, columns=["domain", "statistic", "n", "q25", "median", "q75"])


@styled
def domain_gap_plot(features: pd.DataFrame, columns: Sequence[str], note: str) -> Drawn:
    """How far apart the domains lie: principal components of standardised image features.

    Parameters
    ----------
    features
        One row per image: domain and ``columns`` (image statistics, or an embedding).

    Returns
    -------
    The figure, and domain, first, second (components, in SDs of the features) of every image.
    """
    plane = PCA(2, svd_solver="full")
    points = plane.fit_transform(StandardScaler().fit_transform(features[list(columns)]))
    drawn = pd.DataFrame(
        dict(domain=features["domain"].to_numpy(), first=points[:, 0], second=points[:, 1])
    )
    domains = list(dict.fromkeys(drawn["domain"]))
    detail = f"n = {len(drawn)} images, {len(columns)} features; ellipse: 68 % of a domain"
    sheet = titled_sheet(4.6, 3.6, "The gap between the domains", note, detail)
    axes = sheet.subplots()
    for domain in domains:
        colour = domain_colour(domain)
        cloud = drawn.loc[drawn["domain"] == domain, ["first", "second"]].to_numpy()
        axes.scatter(*cloud.T, s=9, color=colour, alpha=0.4, lw=0)
        spread, directions = np.linalg.eigh(np.cov(cloud.T))
        width, height = _ONE_SIGMA * np.sqrt(spread)
        angle = np.degrees(np.arctan2(*directions[::-1, 0]))
        centre = cloud.mean(axis=0)
        outline = Ellipse(centre, width, height, angle=angle, fill=False, edgecolor=colour, lw=1.6)
        outline.set_path_effects([withStroke(linewidth=3.6, foreground="white")])
        axes.add_patch(outline)
        axes.plot([], [], "o", color=colour, label=f"{domain} (n = {len(cloud)})")
    shares = plane.explained_variance_ratio_
    axes.set_xlabel(f"first component, SDs ({100 * shares[0]:.0f} % of the variance)")
    axes.set_ylabel(f"second component, SDs ({100 * shares[1]:.0f} %)")
    axes.set_aspect("equal", adjustable="datalim")
    sheet.legend(loc="outside lower center", ncols=len(domains), handletextpad=0.1)
    return sheet, drawn
