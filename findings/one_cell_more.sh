#!/usr/bin/env bash
# pandas: one cell more in each row than in the header, and all columns move by one without a word.
#
# One would expect: rows that are longer than the header are an error, as they are where only some
# of them are.
#
# What happens: read_csv takes the first column as index. A list with decimal commas that was saved
# with commas between the cells (0,42 becomes two cells), or one with a comma at the end of each row,
# is read: "file" holds the domains, "domain" the labels, and "label" the first half of the number, so
# that all images have label 0. If one row is longer than the others, ParserError says so.
#
# Who is hurt: whoever keeps labels in a spreadsheet where the comma is the decimal mark. A class
# balance that is not looked at, or a join that finds nothing, is the only sign.
#
# This compendium finds the separator itself and refuses rows that do not fit the header.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pandas==3.1.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import io

import pandas as pd

print("pandas", pd.__version__)
HEADER = "file,domain,label,um_per_px"
rows = [f"{n}.png,phone,{('none', 'blast')[n % 2]},0,42" for n in range(6)]
table = pd.read_csv(io.StringIO("\n".join([HEADER, *rows])))
print(table.to_string())
assert table["label"].tolist() == [0] * 6
assert table["domain"].tolist() == ["none", "blast"] * 3

ending = [f"{n}.png,phone,{('none', 'blast')[n % 2]}," for n in range(6)]
table = pd.read_csv(io.StringIO("\n".join(["file,domain,label", *ending])))
print(table.to_string())
assert table["label"].isna().all()

some = [HEADER, "0.png,phone,none,0.42", *rows]
try:
    pd.read_csv(io.StringIO("\n".join(some)))
except pd.errors.ParserError as error:
    print("if only some rows are longer:", error)
else:
    raise AssertionError("some longer rows were read")
PYTHON
