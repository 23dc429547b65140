"""Which arms stand together: in Table 2, in its figures, and where one is chosen."""

from __future__ import annotations

from lib.models.rivals import ADAPTED, BOTH, RANDOMISED

# Every other arm is a translator.
GROUPS: dict[str, tuple[str, ...]] = {
    "untouched": ("raw", "grey"),
    "controls": ("recalibrated", "adabn", "augmented", RANDOMISED, "histogram", "fda"),
    "adapted classifiers": ADAPTED,
    "translators": (),
    "bounds": (BOTH, "oracle"),  # and labels_10, labels_30, …
}


def has_own_reader(arm: str) -> bool:
    """Whether it reads with a classifier that notebook 02 has not."""
    return arm in (RANDOMISED, BOTH, *ADAPTED) or arm.startswith("labels_")


def group_of(arm: str) -> str:
    """The key of ``GROUPS`` that an arm belongs to."""
    if arm.startswith("labels_"):
        return "bounds"
    return next((group for group, arms in GROUPS.items() if arm in arms), "translators")


def place_of(arm: str) -> tuple[int, int]:
    """Sorts arms by their group and, of those that ``GROUPS`` lists, by their place in it."""
    group = group_of(arm)
    listed = GROUPS[group]
    return list(GROUPS).index(group), listed.index(arm) if arm in listed else -1
