#!/usr/bin/env bash
# statsmodels: McNemar's test calls two identical readers significantly different.
#
# One would expect: two classifiers that are right and wrong on the very same images do not differ,
# so the test says p = 1, in every variant.
#
# What happens: mcnemar(exact=False) divides by the number of disagreements. With none, the default
# continuity correction makes it 1 / 0: the statistic is infinite and p is 0, the strongest evidence
# there can be. Without the correction it is 0 / 0: p is nan. Only a RuntimeWarning is seen, and
# only the exact variant says p = 1. Holm's correction keeps the 0 and rejects.
#
# Who is hurt: comparisons of many pairs of models in a loop, where some pairs agree on all images
# (an easy device, a small hold-out, two checkpoints of one training).
#
# This compendium uses the exact variant only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  statsmodels==0.15.0 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1
"$folder/venv/bin/python" - <<'PYTHON'
import math
import warnings

import statsmodels
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

# Rows: first reader right, wrong. Columns: second reader right, wrong.
SAME = [[90, 0], [0, 10]]
NEARLY = [[90, 1], [1, 8]]

print("statsmodels", statsmodels.__version__)
p = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", RuntimeWarning)
    for name, table in (("no disagreement", SAME), ("one each way", NEARLY)):
        for variant, options in (
            ("exact", dict(exact=True)),
            ("corrected", dict(exact=False, correction=True)),
            ("uncorrected", dict(exact=False, correction=False)),
        ):
            result = mcnemar(table, **options)
            p[name, variant] = float(result.pvalue)
            print(f"{name}, {variant}: statistic {result.statistic:.4g}, p {result.pvalue:.4g}")
rejected, corrected = multipletests(
    [p["no disagreement", "corrected"], 0.3, 0.6], method="holm"
)[:2]
print("Holm with p = 0.3 and 0.6 beside it: p", corrected[0], "rejected", bool(rejected[0]))
assert p["no disagreement", "exact"] == 1
assert p["no disagreement", "corrected"] == 0
assert math.isnan(p["no disagreement", "uncorrected"])
assert abs(p["one each way", "corrected"] - 0.4795) < 1e-4
assert rejected[0]
assert corrected[0] == 0
PYTHON
