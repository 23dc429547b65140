"""Lists as spreadsheets and programs write them."""

import pandas as pd
import pytest

from engine.errors import InputError
from engine.keys import safe_key
from lib.data.lists import check_near_names, read_list
from lib.data.tables import table_entries
from lib.studies.embryo import EmbryoParameters

HEAD = ["file", "domain", "label", "group", "um_per_px"]
ROWS = [["good/1.png", "good", "blast", "007", "0.42"], ["phone/2.png", "phone", "none", "1e3", ""]]
WANTED = pd.DataFrame(
    [["good/1.png", "good", "blast", "007", 0.42], ["phone/2.png", "phone", "none", "1e3", None]],
    columns=HEAD,
).astype({"um_per_px": float})


def written(separator=",", decimal=".", end="\n", before="", head=HEAD, rows=ROWS, pad=""):
    cells = [[f"{pad}{cell}{pad}".replace("0.42", f"0{decimal}42") for cell in row]
             for row in [head, *rows]]  # fmt: skip
    return before + end.join(separator.join(row) for row in cells) + end


LISTS = {
    "plain": written(),
    "semicolons, decimal commas": written(";", ","),
    "semicolons, decimal points": written(";"),
    "tabs": written("\t", ","),
    "bars": written("|"),
    "a line for the spreadsheet": written(";", ",", "\r\n", "sep=;\r\n"),
    "a byte-order mark": "\ufeff" + written(";", ","),
    "a mark and a line": "\ufeffsep=;\n" + written(";", ","),
    "lines of Windows": written(end="\r\n"),
    "lines of an old Macintosh": written(end="\r"),
    "no end of the last line": written().rstrip("\n"),
    "empty lines": written().replace("\n", "\n\n"),
    "empty cells at the end of every line": written(end=",\n"),
    "rows of separators below": written(";") + ";;;;\n;;;;\n",
    "spaces around cells": written(pad=" "),
    "spaces that do not break": written(pad="\u00a0"),
    "quoted cells": written().replace("good/1.png", '"good/1.png"').replace("none", '"none"'),
    "backslashes": written().replace("/", "\\"),
    "a path with a detour": written().replace("good/1.png", "./good//1.png"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_every_spelling_is_the_same_table(kind, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(LISTS[kind].encode())
    pd.testing.assert_frame_equal(read_list(path), WANTED, check_dtype=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_umlauts_in_every_encoding(encoding, tmp_path, recwarn):
    path = tmp_path / "labels.csv"
    path.write_bytes("file;domain\na.png;Klinik Süd\n".encode(encoding))
    assert read_list(path)["domain"].item() == "Klinik Süd"
    assert ("became 'ü'" in "".join(str(w.message) for w in recwarn)) == (encoding == "cp1252")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("file,domain\na.png,good,1\n", "row 2 has 3 cells, the first row 2"),
        ("file,file\na.png,b.png\n", "two columns 'file'"),
        ("file,um_per_px\na.png,0.5 um\n", "row 2: um_per_px '0.5 um' is not a number"),
    ],
)
def test_what_is_no_list_is_said(text, words, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"labels\.csv: .*{words}"):
        read_list(path)
    path.write_bytes(b"PK\x03\x04\0\0\xff\xfa")
    with pytest.raises(InputError, match="not a table of comma-separated values"):
        read_list(path)


@pytest.mark.parametrize(
    "other", ["Phone", "phone  2", "phone_2", "PHONE-2", "\uff50hone 2", "pho\u006ee 2 "]
)
def test_nearly_the_same_names_are_refused_with_the_usual_one(other, tmp_path):
    usual = "phone" if other == "Phone" else "phone 2"
    with pytest.raises(InputError, match=rf"domain '{other}' \(1 rows\) beside '{usual}' \(2 row"):
        check_near_names([usual, usual, other], "domain", tmp_path)
    with pytest.raises(InputError, match=rf"domain '{other}' \(1 rows\) beside '{usual}' \(in the"):
        check_near_names([other], "domain", tmp_path, [usual])


def test_names_that_differ_in_a_letter_or_digit_may_stand(tmp_path):
    check_near_names(["P1", "P 1", "P11", "P1-1", "p2", "ED1", "ED 1"], "group", tmp_path)


PROFILE = dict(
    data_kind="table", data_dir="mine", positive_label="1", negative_label="0",
    source_domain="good", target_domain="phone", second_target_domain="other",
)  # fmt: skip


def entries(tmp_path, rows, head="file,domain,label", **changes):
    (tmp_path / "labels.csv").write_text("\n".join([head, *rows]) + "\n")
    return table_entries(tmp_path, EmbryoParameters(**PROFILE | changes))


def test_rows_that_are_not_used_are_counted_and_slips_named(tmp_path):
    rows = ["a,good,1", "b,good,0.0", "c,phone,1.0", "d,phone,0", "e,phones,1", "f,clinic,1",
            "g,phone,unsure"]  # fmt: skip
    used, left_out = entries(tmp_path, rows)
    assert used["label"].tolist() == [1, 0, 1, 0]
    reasons = left_out.set_index("id")["reason"]
    assert set(reasons.index) == {"e", "f", "g"}
    assert "nearly 'phone': is it a slip" in reasons["e"]
    assert reasons["f"] == "domain 'clinic' is none of good, phone, other"
    assert "label 'unsure' is neither" in reasons["g"]


def test_a_domain_that_no_label_remains_of_is_refused(tmp_path):
    rows = ["a,good,1", "b,good,0", "c,phone,yes", "d,phone,no"]
    with pytest.raises(
        InputError, match=r"no image of domain 'phone' has a label .* no, yes\. Set"
    ):
        entries(tmp_path, rows)


def test_columns_are_found_whatever_their_case(tmp_path):
    used, _ = entries(tmp_path, ["a,good,1,p", "b,phone,0,q"], "File,Domain,Label,Patient",
                      group_column="patient")  # fmt: skip
    assert used["group"].tolist() == ["p", "q"]


@pytest.mark.parametrize(
    ("name", "key"),
    [("ED4", "ed4"), ("good_phone", "good_phone"), ("a-b", "a-b"), ("Klinik Süd", "klinik_sud"),
     ("Nikon 20x/0.4", "nikon_20x_0_4"), ("Straße", "strasse"), (" x. ", "x")],
)  # fmt: skip
def test_safe_keys(name, key):
    assert safe_key(name) == key


def test_names_in_other_scripts_keep_apart():
    keys = {safe_key(name) for name in ("北京", "上海", "北京 2", "Клиника")}
    assert len(keys) == 4
    assert all(key.isascii() and key for key in keys)


def test_domains_that_would_share_their_files_are_refused():
    with pytest.raises(ValueError, match="differ in signs only"):
        EmbryoParameters(**PROFILE | dict(source_domain="Phone/1", target_domain="phone 1"))


def test_known_columns_are_found_in_any_case_before_they_are_read(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("File;Domain;BITS;Um_per_px\na\\b.png;good;12;0,4\n")
    row = read_list(path).iloc[0]
    assert row.to_dict() == {"file": "a/b.png", "domain": "good", "bits": 12.0, "um_per_px": 0.4}


def test_signs_are_names_and_blanks_are_none(tmp_path):
    check_near_names(["1", "-1", "+", "-", "", ""], "label", tmp_path)
