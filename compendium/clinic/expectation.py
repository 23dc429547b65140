"""What a clinic is to expect of its calls, from the counts that a translator was kept with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from lib.evaluation.decision import CallCounts, decision_table, decision_values, from_facts
from lib.figures.verdicts import are, decision_words
from lib.models.bundle import Bundle

MEASURE_NAMES = {
    "sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV",
}  # fmt: skip
IMAGE_NAMES = {"all": "every image called", "passed": "images that the gate passes"}


@dataclass(frozen=True)
class Expectation:
    """What is expected, in words and numbers.

    Attributes
    ----------
    prevalence : share of label 1
    origin : where it comes from
    table : a row of ``IMAGE_NAMES`` each, a column a number, as ``value [low, high]``
    words : sentence to each row of the table
    folder : sentences on the very images that were translated
    """

    prevalence: float
    origin: str
    table: pd.DataFrame
    words: dict[str, str]
    folder: list[str]


def expectation(
    bundle: Bundle, translated: pd.DataFrame | None = None, given: float | None = None
) -> Expectation | None:
    """What the hold-out of a translator leads to expect; None where its counts were not kept.

    Parameters
    ----------
    translated
        Table of ``compendium.clinic.translation.translate_folder``; None speaks of no folder.
    given
        The clinic's prevalence; None takes that of the run, or else of its hold-out.

    Raises
    ------
    InputError
        A prevalence that is not between 0 and 1.
    """
    counts, chosen = from_facts(bundle.facts)
    if not counts:
        return None
    prevalence = chosen if given is None else given
    origin = (
        "given with --prevalence" if given is not None
        else "that of the run's parameters" if chosen is not None
        else "that of the hold-out, since none was given"
    )  # fmt: skip
    numbers = decision_table({bundle.arm: counts}, prevalence)
    text = numbers.assign(
        text=[interval(row) for row in numbers.itertuples()],
        images=numbers["images"].map(IMAGE_NAMES),
    )
    table = text.pivot_table("text", "images", "metric", "first", sort=False)
    last = counts.get("passed", counts["all"])
    return Expectation(
        prevalence=float(numbers["prevalence"].iloc[0]),
        origin=origin,
        table=table.rename(columns=MEASURE_NAMES).rename_axis(None).rename_axis(None, axis=1),
        words={
            IMAGE_NAMES[images]: decision_words(own, prevalence, bundle.arm, bundle.params)
            for images, own in counts.items()
        },
        folder=[] if translated is None else _of_folder(bundle, last, prevalence, translated),
    )


def interval(row) -> str:
    """``value [low, high]`` of a row of a table, three digits; ``undefined`` without a value."""
    if math.isnan(row.value):
        return "undefined"
    return f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"


def _of_folder(
    bundle: Bundle, counts: CallCounts, prevalence: float | None, translated: pd.DataFrame
) -> list[str]:
    passed = translated[translated["passes"]]
    names, (_, positives) = bundle.params.label_names, bundle.params.counted
    worth = decision_values(counts, prevalence).set_index("metric")
    called, ruled_out = int(passed["called"].sum()), int((1 - passed["called"]).sum())
    right, missed = worth.loc["ppv"], 1 - worth.loc["npv", ["value", "high", "low"]]
    lines = [
        f"Of {_images(len(passed))} here that the gate passes, {called} {are(called)} called "
        + names[1] + _expected(called, *right[["value", "low", "high"]], positives),
        f"{ruled_out} {are(ruled_out)} called {names[0]}"
        + _expected(ruled_out, *missed, positives, " all the same, and missed"),
    ]  # fmt: skip
    if stopped := len(translated) - len(passed):
        lines.append(f"Of the {_images(stopped)} that it stops nothing is expected: look yourself.")
    return lines


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _expected(
    count: int, value: float, low: float, high: float, positives: str, further: str = ""
) -> str:
    if not count or math.isnan(value):
        return "."
    # Rounded to nine digits first, so that 3.0000000000000004 is not 4.
    least, most = math.floor(round(count * low, 9)), math.ceil(round(count * high, 9))
    expected = f"{count * value:.0f}"
    return (
        f"; on average {expected} of them (95 % interval {least} to {most}) "
        f"{are(int(expected), positives)}{further}."
    )
