"""Lists as people and spreadsheets leave them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compendium.clinic.audit import Folder
from engine.errors import InputError
from lib.data.interface import Source
from lib.data.sources import open_source
from lib.studies.embryo import EmbryoParameters
from tests.lib.situations import (
    TRIED,
    eight,
    reasons,
    save,
    situation,
)

HEADER = ("file", "domain", "label", "group")

Rows = list[tuple[str, ...]]


def rows(domains: Sequence[str] = ("good", "phone")) -> Rows:
    """Four images of each domain, both labels, two of a group."""
    return [
        (f"{place}/{n}.png", domain, ("none", "blast")[n % 2], f"{place}{n // 2}")
        for place, domain in zip("ab", domains, strict=True)
        for n in range(4)
    ]


def write(
    folder: Path,
    listed: Rows,
    separator: str = ",",
    start: str = "",
    encoding: str = "utf-8",
    header: tuple[str, ...] = HEADER,
) -> None:
    """The images of ``listed`` and ``labels.csv``, cells as they are."""
    for number, (file, *_) in enumerate(listed):
        name = file.strip().replace("\\", "/")
        if name and not (folder / name).exists():
            save(folder / name, np.roll(eight(), number, 1))
    text = start + "".join(separator.join(row) + "\r\n" for row in [header, *listed])
    (folder / "labels.csv").write_bytes(text.encode(encoding))


def run(folder: Path, source: str = "good", target: str = "phone") -> Source:
    """The source that a run opens on the folder."""
    params = EmbryoParameters(
        data_kind="table", data_dir=folder.name, source_domain=source, target_domain=target,
        second_target_domain="made", second_target_optics="ED1", positive_label="blast",
        negative_label="none", group_column="group",
    )  # fmt: skip
    return open_source(params, folder.parent)


def ran(source: Source) -> pd.DataFrame:
    """The image table of a run, without the second target, which is made from the source."""
    table = source.table()
    return table[table["domain"] != "made"]


def same(folder: Path, right: Rows, **domains: str) -> None:
    """Assert that audit and run both see these rows."""
    audited = Folder(folder).table()[["id", "domain", "label", "group"]]
    assert sorted(map(tuple, audited.to_numpy())) == sorted(right)
    table = ran(run(folder, **domains))
    names = table["label"].map({0: "none", 1: "blast"})
    seen = zip(table["id"], table["domain"], names, table["group"], strict=True)
    assert sorted(seen) == sorted(right)


def refused(folder: Path, *words: str, **domains: str) -> None:
    """Assert that audit and run refuse the list in an error that has every word."""
    for use in (lambda: Folder(folder), lambda: run(folder, **domains).table()):
        with pytest.raises(InputError) as caught:
            use()
        for word in ("labels.csv", *words):
            assert word in str(caught.value)


@situation("semicolons, byte-order mark", TRIED, "read, the same by audit and run")
def semicolons(folder: Path) -> None:
    write(folder, rows(), ";", start="\ufeff")
    same(folder, rows())


@situation(
    "semicolons where the comma is the decimal mark",
    "SheetJS/sheetjs#2239",
    "the comma separates nothing, 0,42 is a number",
)
def decimal_commas(folder: Path) -> None:
    write(folder, [(*row, "0,42") for row in rows()], ";", header=(*HEADER, "um_per_px"))
    same(folder, rows())
    scale = ran(run(folder))["um_per_px"]
    assert [float(value) for value in scale] == pytest.approx([0.42] * 8)


@situation("a first line sep=;", "mholt/PapaParse#951", "followed, and no row")
def separator_line(folder: Path) -> None:
    for mark in ";|":
        write(folder, rows(), mark, start=f"sep={mark}\r\n")
        same(folder, rows())


@situation(
    "tabs in UTF-16, a spreadsheet's Unicode text", "qbicsoftware/data-manager-app#588", "read"
)
def unicode_text(folder: Path) -> None:
    write(folder, rows(("Süd", "phone")), "\t", encoding="utf-16")
    same(folder, rows(("Süd", "phone")), source="Süd")


@situation("Windows-1252", "PaulMcInnis/JobFunnel#56", "read, with a warning")
def old_letters(folder: Path) -> None:
    write(folder, rows(("Süd", "phone")), encoding="cp1252")
    with pytest.warns(UserWarning, match="labels.csv"):
        assert set(Folder(folder).table()["domain"]) == {"Süd", "phone"}


@situation(
    "byte-order mark before a header in quotes", "pandas-dev/pandas#4793", "its column is found"
)
def quoted_header(folder: Path) -> None:
    quoted = [tuple(f'"{cell}"' for cell in row) for row in [HEADER, *rows()]]
    write(folder, rows())
    text = "".join(",".join(row) + "\n" for row in quoted)
    (folder / "labels.csv").write_bytes(("\ufeff" + text).encode())
    same(folder, rows())


@situation(
    "rows and columns of nothing but separators", "jakob/Postico#550", "no rows and no columns"
)
def nothing_but_commas(folder: Path) -> None:
    wide = [(*row, "", "") for row in rows()]
    write(folder, [*wide[:3], ("",) * 6, *wide[3:], ("",) * 6], header=(*HEADER, "", ""))
    same(folder, rows())
    assert Folder(folder).excluded.empty


@situation(
    "decimal commas among commas: one cell more in each row than in the header",
    "pandas-dev/pandas#15203",
    "refused, never moved by a column",
)
def one_cell_more(folder: Path) -> None:
    write(folder, [(*row, "0,42") for row in rows()], header=(*HEADER, "um_per_px"))
    refused(folder)


@situation("a comma at the end of each row", "pandas-dev/pandas#14124", "no column")
def comma_at_the_end(folder: Path) -> None:
    write(folder, [(*row, "") for row in rows()])
    same(folder, rows())


@situation("a listed file that is not there", "marco-c/autowebcompat#140", "named")
def absent(folder: Path) -> None:
    write(folder, rows())
    (folder / "b/2.png").unlink()
    read = Folder(folder)
    assert len(read.table()) == 7
    assert "b/2.png" in reasons(read.excluded)


@situation("rows of a third device", TRIED, "counted, and the device named")
def third_device(folder: Path) -> None:
    write(
        folder, [*rows(), ("c/0.png", "third", "blast", "c0"), ("c/1.png", "third", "none", "c0")]
    )
    source = run(folder)
    assert set(ran(source)["domain"]) == {"good", "phone"}
    said = source.excluded
    assert "third" in " ".join([*said["domain"], *said["reason"]])


@situation("a file listed twice", "NRCan/geo-deep-learning#516", "named, never used twice")
def twice(folder: Path) -> None:
    write(folder, [*rows(), ("b/2.png", "phone", "blast", "b1")])
    try:
        read = Folder(folder)
    except InputError:
        refused(folder, "b/2.png")
    else:
        assert not read.table()["id"].duplicated().any()
        assert "b/2.png" in reasons(read.excluded)
    with pytest.raises(InputError, match=r"b/2\.png"):
        run(folder).table()


@situation("a domain with one class", TRIED, "refused before anything starts")
def one_class(folder: Path) -> None:
    write(folder, [(f, d, "blast" if d == "phone" else y, g) for f, d, y, g in rows()])
    with pytest.raises(InputError, match="phone"):
        run(folder).table()


@situation("masks listed beside their images", TRIED, "no images that the list forgot")
def masks(folder: Path) -> None:
    listed = [(*row, f"masks\\{number}.png") for number, row in enumerate(rows())]
    for number in range(len(listed) + 1):
        save(folder / f"masks/{number}.png", np.roll(eight(), number, 0))
    write(folder, listed, header=(*HEADER, "mask"))
    assert set(reasons(Folder(folder).excluded)) == {"masks/8.png"}
    assert ran(run(folder))["mask"].tolist() == [f"masks/{number}.png" for number in range(8)]


@situation(
    "errors in a list with empty lines, a row without a file",
    TRIED,
    "refused, with the row that a spreadsheet shows",
)
def numbered_rows(folder: Path) -> None:
    head, empty = (*HEADER, "bits"), ("",) * 5
    fine = [(*row, "12") for row in rows()]
    for words, wrong in (
        ("row 5 has 3 cells", ("b/9.png", "phone", "blast")),
        ("row 5: bits 'x'", ("b/9.png", "phone", "blast", "b9", "x")),
        ("row 5: bits 22", ("b/9.png", "phone", "blast", "b9", "22")),
        ("row 5 names no file", ("", "phone", "blast", "b9", "12")),
    ):
        write(folder, [fine[0], empty, empty, wrong, *fine[1:]], header=head)
        refused(folder, words)


@situation("a list in another folder than the one that is read", TRIED, "named as a list")
def other_lists(folder: Path) -> None:
    write(folder, rows())
    (folder / "labels.csv").rename(folder / "a" / "labels.csv")
    assert "list" in reasons(Folder(folder).excluded)["a/labels.csv"]
