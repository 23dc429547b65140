"""Lists as people and spreadsheets leave them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from compendium.clinic.audit import Folder
from engine.errors import InputError
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


def run(folder: Path, source: str = "good", target: str = "phone") -> object:
    """The source that a run opens on the folder."""
    params = EmbryoParameters(
        data_kind="table", data_dir=folder.name, source_domain=source, target_domain=target,
        second_target_domain="no such", second_target_optics="ED1", positive_label="blast",
        negative_label="none", group_column="group",
    )  # fmt: skip
    return open_source(params, folder.parent)


def same(folder: Path, right: Rows, **domains: str) -> None:
    """Assert that audit and run both see these rows."""
    audited = Folder(folder).table()[["id", "domain", "label", "group"]]
    assert sorted(map(tuple, audited.to_numpy())) == sorted(right)
    table = run(folder, **domains).table()
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
    scale = run(folder).table()["um_per_px"]
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


@situation("a domain typed as 'phone ' in half of the rows", TRIED, "spaces do not count")
def stray_spaces(folder: Path) -> None:
    typed = [(f, d + " " * (n % 2), f" {label}", g) for n, (f, d, label, g) in enumerate(rows())]
    write(folder, typed)
    same(folder, rows())


@situation(
    "a space that does not break, in a header and in cells",
    "NHSDigital/manage-vaccinations-in-schools#3410",
    "trimmed",
)
def hard_spaces(folder: Path) -> None:
    typed = [(f, f"{d}\xa0", label, g) for f, d, label, g in rows()]
    write(folder, typed, header=("file\xa0", *HEADER[1:]))
    same(folder, rows())


@situation("a domain typed as Phone and phone", TRIED, "refused, both spellings named")
def domain_in_two_cases(folder: Path) -> None:
    typed = [(f, "Phone" if f == "b/3.png" else d, label, g) for f, d, label, g in rows()]
    write(folder, typed)
    refused(folder, "Phone", "phone")


@situation("a label typed as Blast and blast", "kitzeslab/opensoundscape#1", "refused, both named")
def label_in_two_cases(folder: Path) -> None:
    typed = [(f, d, "Blast" if f == "b/3.png" else y, g) for f, d, y, g in rows()]
    write(folder, typed)
    refused(folder, "Blast", "blast")


@situation(
    "a domain in two forms of Unicode, typed on a Mac and elsewhere",
    "sanic-org/sanic#2625",
    "refused: they look alike and are two",
)
def domain_in_two_forms(folder: Path) -> None:
    apart = unicodedata.normalize("NFD", "Süd")
    typed = [(f, apart if f == "a/3.png" else d, y, g) for f, d, y, g in rows(("Süd", "phone"))]
    write(folder, typed)
    refused(folder, "Süd", source="Süd")


@situation("a file named on a Mac, listed elsewhere", "droppyjs/droppy#72", "found")
def file_in_another_form(folder: Path) -> None:
    write(folder, rows())
    (folder / "a/0.png").rename(folder / "a" / unicodedata.normalize("NFD", "Zürich.png"))
    listed = [("a/Zürich.png", *rows()[0][1:]), *rows()[1:]]
    text = "".join(",".join(row) + "\n" for row in [HEADER, *listed])
    (folder / "labels.csv").write_bytes(text.encode())
    assert len(Folder(folder).table()) == 8


@situation("paths with backslashes", "CellProfiler/CellProfiler#1385", "turned, by audit and run")
def backslashes(folder: Path) -> None:
    write(folder, [(row[0].replace("/", "\\"), *row[1:]) for row in rows()])
    same(folder, rows())


@situation("a label NA", "pandas-dev/pandas#10647", "text as any other")
def not_available(folder: Path) -> None:
    write(folder, [(f, d, "NA" if y == "none" else y, g) for f, d, y, g in rows()])
    assert set(Folder(folder).table()["label"]) == {"NA", "blast"}


@situation(
    "groups 0E8 and 1E3, files called so",
    "compbiocore/VariantVisualization.jl#91",
    "text, no numbers",
)
def exponents(folder: Path) -> None:
    names = {"a/0.png": "0E8", "a/2.png": "1E3"}
    typed = [
        (f"a/{names[f]}.png" if f in names else f, d, y, names.get(f, g)) for f, d, y, g in rows()
    ]
    write(folder, typed)
    same(folder, typed)


@situation("groups 007 and 7", "caporaso-lab/cual-id#42", "two groups")
def leading_zeros(folder: Path) -> None:
    typed = [(f, d, y, "7" if f < "a/2" else "007") for f, d, y, g in rows()]
    write(folder, typed)
    same(folder, typed)


@situation(
    "rows and columns of nothing but separators", "jakob/Postico#550", "no rows and no columns"
)
def nothing_but_commas(folder: Path) -> None:
    wide = [(*row, "", "") for row in rows()]
    write(folder, [*wide[:3], ("",) * 6, *wide[3:], ("",) * 6], header=(*HEADER, "", ""))
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
    assert set(source.table()["domain"]) == {"good", "phone"}
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


@situation(
    "a folder with a space, domains with umlauts and slashes in their names", TRIED, "read as named"
)
def odd_names(folder: Path) -> None:
    place = folder / "My Images"
    place.mkdir()
    named = rows(("Klinik Süd", "Nikon 20x/0.4"))
    write(place, named)
    same(place, named, source="Klinik Süd", target="Nikon 20x/0.4")
