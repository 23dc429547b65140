"""What the kept bench says, as Markdown for the README."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
from scipy.stats import ttest_ind

from engine.progress import duration

MANY = 1_000_000  # images, for the outlook


def speed_text(bench: Path) -> str:
    """Table of speeds beside the plain way, precision and time to quality; each with its machine.

    ``bench`` is the JSON file of ``compendium bench``; sections it lacks are left out.
    """
    kept = json.loads(bench.read_text())
    parts = [
        make(pd.DataFrame(kept[name]["rows"])) + _machine(kept[name]["machine"])
        for name, make in _SECTIONS.items()
        if name in kept
    ]
    return "\n".join(parts)


def growth_text(bench: Path) -> str:
    """Table of cost against the number of images, and what a million would take at that rate.

    Empty where ``bench`` has no such section.
    """
    kept = json.loads(bench.read_text()).get("growth")
    if kept is None:
        return ""
    table = pd.DataFrame(kept["rows"])
    lines = ["| what | images | seconds | images/s | memory (MiB) |", "|---|---|---|---|---|"]
    names = {"stack": "decode into a stack", "translation": "translate a folder"}
    for row in table.itertuples():
        lines.append(
            f"| {names[row.what]} | {row.images} | {row.seconds:.2f} | "
            f"{row.images_per_second:.0f} | {row.memory_mb:.0f} |"
        )
    largest = table.sort_values("images").groupby("what").last()
    outlook = "; ".join(
        f"{names[what]} {duration(MANY / row.images_per_second)}"
        for what, row in largest.iterrows()
    )
    lines += ["", f"At the rate of the largest, a million such images take: {outlook}.", ""]
    return "\n".join(lines) + _machine(kept["machine"])


def _machine(machine: dict) -> str:
    device = machine["device"] if machine["device"] != "CPU" else machine["processor"]
    without = "" if machine.get("bfloat16", True) else ", which has no bfloat16 instructions"
    code = f", code of {machine['commit'][:7]}" if machine["commit"] else ""
    return (
        f"\n*{device}{without}; {machine['threads']} thread(s), torch {machine['torch']}{code}.*\n"
    )


def _speed(table: pd.DataFrame) -> str:
    lines = ["| what | ours | plain | times as fast |", "|---|---|---|---|"]
    for row in table.itertuples():
        unit = f" {row.unit}" if row.unit else ""
        plain = "" if math.isnan(row.reference) else f"{_short(row.reference)}{unit}"
        ratio = "" if math.isnan(row.ratio) else f"{row.ratio:.2f}"
        lines.append(f"| {row.what} | {_short(row.ours)}{unit} | {plain} | {ratio} |")
    return "\n".join(lines) + "\n"


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _precision(table: pd.DataFrame) -> str:
    own = {precision: rows["auc"] for precision, rows in table.groupby("precision")}
    full, half = own["32-true"], own["bf16-mixed"]
    inside = ((half >= full.min()) & (half <= full.max())).sum()
    low, high = ttest_ind(half, full, equal_var=False).confidence_interval(0.95)
    return (
        f"AUC of the translated hold-out, {len(full)} trainings each: float32 "
        f"{_listed(full)}, bfloat16 {_listed(half)}; {inside} of {len(half)} lie within the spread "
        f"of float32, the means differ by {half.mean() - full.mean():+.3f} "
        f"[{low:.3f}, {high:.3f}] (95 %, Welch).\n"
    )


def _listed(values: pd.Series) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _quality(table: pd.DataFrame) -> str:
    lines = [
        "| seed | AUC that is good | reached: ours | as published | kept since: ours "
        "| as published | published trained |",
        "|---|---|---|---|---|---|---|",
    ]
    for seed, rows in table.groupby("seed"):
        own = rows.set_index("recipe")
        ours, theirs = own.loc["ours"], own.loc["seed"]
        cells = [str(seed), f"{ours['level']:.3f}"]
        for name in ("reached", "kept"):
            never = math.isnan(theirs[name])
            when = "never" if never else f"{theirs[name]:.2f} min"
            times = f"{'at least ' if never else ''}{theirs[f'sooner_{name}']:.1f} times"
            cells += [f"{ours[name]:.2f} min", f"{when}, {times} ours"]
        lines.append(f"| {' | '.join(cells)} | {theirs['trained']:.1f} min |")
    published = table[table["recipe"] == "seed"]
    medians = " and ".join(_median(published, name) for name in ("reached", "kept"))
    held = 1 - 2 * 0.5 ** len(published)  # one value in two lies on either side of the median
    return (
        "Minutes of training until 95 % of the final gain in AUC, this recipe against the "
        "published one on the same images: when it was reached first, and since when every look "
        "until the end was as good.\n\n" + "\n".join(lines) + "\n\n"
        f"The published one takes {medians} (medians of {len(published)} seeds; the ranges hold "
        f"the true median with {100 * held:.0f} % confidence).\n"
    )


def _median(published: pd.DataFrame, name: str) -> str:
    """How many times as long it takes, where never being good counts as the time it was given."""
    times = published[f"sooner_{name}"]
    least = "at least " if published[name].isna().any() else ""
    word = {"reached": "to be good first", "kept": "to stay good"}[name]
    return f"{least}{times.median():.1f} times ({times.min():.1f} to {times.max():.1f}) {word}"


def _fidelity(table: pd.DataFrame) -> str:
    lines = [
        "| seed | CycleGAN ends at: AUC, SSIM | reached after | simulated ends at: AUC, SSIM "
        "| reached after | of which drawing | share |",
        "|---|---|---|---|---|---|---|",
    ]
    for seed, rows in table.groupby("seed"):
        own = rows.set_index("arm")
        cells = [str(seed)]
        for arm in ("cyclegan_texture", "simulated"):
            one = own.loc[arm]
            when = "never" if math.isnan(one["reached"]) else f"{one['reached']:.2f} min"
            cells += [f"{one['auc']:.3f}, {one['inside_ssim']:.3f}", when]
        cells += [f"{one['drawing']:.2f} min", f"{one['share']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    shares = table.loc[table["arm"] == "simulated", "share"]
    return (
        "Minutes until AUC and SSIM inside the embryo are both as high as where the CycleGAN with "
        "its texture loss ends, and stay so; the drawing of phantoms counts for the simulated arm."
        "\n\n" + "\n".join(lines) + "\n\n"
        f"It takes {shares.median():.2f} of the CycleGAN's minutes (median of {len(shares)} seeds, "
        f"{shares.min():.2f} to {shares.max():.2f}).\n"
    )


_SECTIONS = {
    "speed": _speed, "precision": _precision, "quality": _quality, "fidelity": _fidelity,
}  # fmt: skip
