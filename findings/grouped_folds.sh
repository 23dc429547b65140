#!/usr/bin/env bash
# scikit-learn: shuffled grouped folds that no seed can change.
#
# One would expect: StratifiedGroupKFold(shuffle=True, random_state=seed) gives another division of
# the patients for another seed, so that "five folds, repeated with 20 seeds" is 20 divisions.
#
# What happens: the seed only orders groups whose class counts spread equally (same standard
# deviation of the counts over the classes). One frame more or less is enough to break such a tie.
# If all 20 patients have different spreads, 20 seeds give one and the same division. With equal
# spreads they give 20. The manual says that only groups of similar class counts are shuffled; at
# run time nothing is said.
#
# Who is hurt: studies with several frames, slices or tiles per patient that report the spread over
# repeated divisions. They train 20 times on one division and call the result its variation.
#
# This compendium draws its hold-out first, with a permutation of the groups by the seed. So another
# seed leaves other groups to be divided, even where the division itself cannot be shuffled.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import sklearn
from sklearn.model_selection import StratifiedGroupKFold

PATIENTS, FOLDS, SEEDS = 20, 5, 20


def divisions(negative, positive):
    """How many different divisions the seeds give; the order of the folds does not count."""
    labels = np.concatenate(
        [[0] * n + [1] * p for n, p in zip(negative, positive, strict=True)]
    ).astype(int)
    patient = np.repeat(np.arange(PATIENTS), np.add(negative, positive))
    found = set()
    for seed in range(SEEDS):
        divide = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        parts = divide.split(labels, labels, patient)
        found.add(frozenset(frozenset(patient[test].tolist()) for _, test in parts))
    return len(found)


number = np.arange(PATIENTS)
frames = 5 + number
cases = {
    "5 to 24 frames each, one class per patient": (
        np.where(number % 2, 0, frames),
        np.where(number % 2, frames, 0),
    ),
    "3 to 22 negative and 2 positive frames each": (3 + number, np.full(PATIENTS, 2)),
    "10 frames each, one class per patient": (
        np.where(number % 2, 0, 10),
        np.where(number % 2, 10, 0),
    ),
}
print("scikit-learn", sklearn.__version__)
counts = []
for name, (negative, positive) in cases.items():
    counts.append(divisions(negative, positive))
    print(f"{name}: {SEEDS} seeds give {counts[-1]} division(s)")
assert counts == [1, 1, 20], counts
PYTHON
