"""Names as people type them: domains, labels, groups, files."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from compendium.clinic.audit import Folder
from tests.lib.situations import TRIED, reasons, situation
from tests.lib.situations_lists import HEADER, refused, rows, same, write


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


@situation(
    "a file listed in another case than it has",
    "mcdougallab/modeldb#198",
    "found, or named beside the file that is there",
)
def file_in_another_case(folder: Path) -> None:
    write(folder, rows())
    (folder / "a/0.png").rename(folder / "a/0.PNG")
    read = Folder(folder)
    assert len(read.table()) == 8 or "0.PNG" in reasons(read.excluded)["a/0.png"]


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
    "a folder with a space, domains with umlauts and slashes in their names", TRIED, "read as named"
)
def odd_names(folder: Path) -> None:
    place = folder / "My Images"
    place.mkdir()
    named = rows(("Klinik Süd", "Nikon 20x/0.4"))
    write(place, named)
    same(place, named, source="Klinik Süd", target="Nikon 20x/0.4")


@situation(
    "screenshots of a Mac, with a narrow space that does not break in their names",
    TRIED,
    "found, whichever space the list has",
)
def screenshots(folder: Path) -> None:
    name = "a/at 9.41.00\u202fAM.png"
    for space in "\u202f\u00a0 ":
        typed = [(name.replace("\u202f", space) + "\u00a0", *rows()[0][1:]), *rows()[1:]]
        write(folder, [(name, *rows()[0][1:]), *rows()[1:]])
        text = "".join(",".join(row) + "\n" for row in [HEADER, *typed])
        (folder / "labels.csv").write_bytes(text.encode())
        (folder / "a/0.png").unlink(missing_ok=True)
        same(folder, [(name, *rows()[0][1:]), *rows()[1:]])
        assert Folder(folder).excluded.empty


@situation("a path written in full, or by a way around", TRIED, "the file below the folder, once")
def whole_paths(folder: Path) -> None:
    write(folder, rows())
    whole, around = f"{folder}/a/0.png", f"../{folder.name}/a/1.png"
    typed = [(whole, *rows()[0][1:]), (around, *rows()[1][1:]), *rows()[2:]]
    text = "".join(",".join(row) + "\n" for row in [HEADER, *typed])
    (folder / "labels.csv").write_bytes(text.encode())
    same(folder, rows())
    assert Folder(folder).excluded.empty
    with (folder / "labels.csv").open("a") as stream:
        stream.write(",".join(rows()[0]) + "\n")
    refused(folder, "a/0.png", "listed twice, in rows 2 and 10")


@situation("labels 0 and 0.0", TRIED, "one label, by audit and run")
def whole_floats(folder: Path) -> None:
    typed = [
        (f, d, y, g) for (f, d, _, g), y in zip(rows(), ["0", "1", "0.0", "1,0"] * 2, strict=True)
    ]
    write(folder, typed, ";")
    assert Folder(folder).table()["label"].tolist() == ["0", "1"] * 4
