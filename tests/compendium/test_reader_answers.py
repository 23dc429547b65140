"""Answers of readers: on the disk at once, whole after any crash, one for each image."""

import errno
import multiprocessing
import os

import pandas as pd
import pytest

from compendium.__main__ import main
from compendium.reader_study.answers import Answer, AnsweredElsewhereError, AnswerFile
from compendium.reader_study.export import answer_table, export_answers, reader_table
from compendium.reader_study.study import ChangedStudyError, open_study
from engine.errors import InputError


@pytest.fixture
def study(reader_study):
    return open_study(reader_study)


def answer_to(study, reader, place, **changes):
    values = dict(
        study=study.id, place=place, image=study.order(reader)[place], quality=place % 5 + 1,
        judged_real=place % 3 == 0, called=place % 2, comment=f"Größe, \"{place}\"\n", seconds=1.5,
        time="2025-01-01T00:00:00+00:00",
    )  # fmt: skip
    return Answer(**values | changes)


def answer_all(study, reader, count=40):
    file = AnswerFile(study, reader)
    for place in range(count):
        file.append(answer_to(study, reader, place))
    return file


def test_what_is_written_is_read_again_in_order(study):
    file = answer_all(study, "anna")
    found = AnswerFile(study, "anna").read()
    assert found.given == [answer_to(study, "anna", place) for place in range(40)]
    assert found.broken == 0
    assert len(file.path.read_bytes().splitlines()) == 40


def test_an_answer_is_synced_before_append_returns(study, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size) or real(fd))
    file = answer_all(study, "anna", count=2)
    assert synced[-1] == file.path.stat().st_size


def test_a_crash_at_any_byte_loses_no_whole_answer_and_the_rest_can_be_given(study):
    file = answer_all(study, "anna", count=3)
    content = file.path.read_bytes()
    ends = [place for place, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content)):
        file.path.write_bytes(content[:cut])
        whole = sum(end <= cut for end in ends)
        found = file.read()
        assert len(found.given) == whole
        assert found.broken == (cut not in [0, *ends, *(end + 1 for end in ends)])
        for place in range(whole, 3):
            file.append(answer_to(study, "anna", place))
        after = file.read()
        assert after.given == [answer_to(study, "anna", place) for place in range(3)]
        assert after.broken == found.broken
        # Nothing that was in the file has been taken away.
        assert file.path.read_bytes().startswith(content[:cut])


def test_a_full_disk_is_named_and_the_answer_can_be_given_again(study, monkeypatch):
    file = answer_all(study, "anna", count=1)
    real = os.write

    def full(descriptor, content):
        real(descriptor, content[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("compendium.reader_study.answers.os.write", full)
        with pytest.raises(InputError, match="No space left"):
            file.append(answer_to(study, "anna", 1))
    file.append(answer_to(study, "anna", 1))
    assert [given.place for given in file.read().given] == [0, 1]
    assert file.read().broken == 1


def test_a_second_window_cannot_answer_the_same_image(study):
    first, second = AnswerFile(study, "anna"), AnswerFile(study, "anna")
    first.append(answer_to(study, "anna", 0))
    with pytest.raises(AnsweredElsewhereError, match="another window"):
        second.append(answer_to(study, "anna", 0, quality=5))
    assert [given.quality for given in second.read().given] == [1]


def _race(folder, reader, start):
    study = open_study(folder)
    file = AnswerFile(study, reader)
    start.wait()
    for place in range(40):
        while True:
            try:
                file.append(answer_to(study, reader, place))
            except AnsweredElsewhereError:
                if len(file.read().given) <= place:
                    continue
            break


def test_processes_at_once_leave_every_answer_once(study):
    """Two windows of one reader and one of another, each trying to give every answer."""
    context = multiprocessing.get_context("fork")
    start = context.Event()
    processes = [
        context.Process(target=_race, args=(study.folder, reader, start))
        for reader in ("anna", "anna", "bert")
    ]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    for reader in ("anna", "bert"):
        assert [given.place for given in AnswerFile(study, reader).read().given] == [*range(40)]


def test_answers_to_another_study_are_refused(study, finished_run, tmp_path):
    from compendium.reader_study.making import make_study

    make_study(finished_run, tmp_path / "other", images=32, repeats=8, seed=9)
    file = answer_all(study, "anna", count=2)
    other = AnswerFile(open_study(tmp_path / "other"), "anna")
    other.path.parent.mkdir()
    other.path.write_bytes(file.path.read_bytes())
    with pytest.raises(ChangedStudyError, match="answers to another study"):
        other.read()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda lines: lines[1:], "line 1: answers image 2 of 40, after 0"),
        (lambda lines: [lines[0], lines[2]], "line 2: answers image 3 of 40, after 1"),
        (lambda lines: [lines[0], lines[0]], "line 2: answers image 1 of 40, after 1"),
        (lambda lines: [lines[0], b"broken in the middle", lines[2]], "line 3: answers image 3"),
        (lambda lines: [lines[0].replace(b'"quality": 1', b'"quality": 6')], "not an answer"),
        (lambda lines: [b"5"], "line 1: not an answer"),
    ],
)
def test_removed_and_edited_answers_are_named(edit, words, study):
    file = answer_all(study, "anna", count=3)
    file.path.write_bytes(b"\n".join(edit(file.path.read_bytes().splitlines())) + b"\n")
    with pytest.raises(InputError, match=words):
        file.read()


@pytest.mark.parametrize("name", ["", "../anna", "Anna", "a b", "a" * 33, "-anna", "anna.x"])
def test_names_that_are_no_file_names_are_refused(name, study):
    with pytest.raises(InputError, match="use up to 32"):
        AnswerFile(study, name)


def test_export_is_blinded_until_the_key_is_given(study, tmp_path):
    answer_all(study, "anna")
    answer_all(study, "bert", count=7)
    assert export_answers(study.folder, tmp_path / "blind.csv") == 47
    blind = pd.read_csv(tmp_path / "blind.csv")
    assert blind["reader"].value_counts().to_dict() == {"anna": 40, "bert": 7}
    assert not {"kind", "real", "label", "id"} & set(blind.columns)
    assert blind["comment"].tolist()[:2] == ['Größe, "0"\n', 'Größe, "1"\n']
    assert blind.query("reader == 'anna'")["showing"].value_counts().to_dict() == {1: 32, 2: 8}
    export_answers(study.folder, tmp_path / "open.csv", key=f"{study.folder}.key.csv")
    opened = pd.read_csv(tmp_path / "open.csv")
    kinds = study.key().set_index("image")["kind"]
    assert opened["kind"].tolist() == kinds[opened["image"]].tolist()
    pd.testing.assert_frame_equal(opened[blind.columns.tolist()], blind)


def test_export_refuses_what_it_cannot_do(study, tmp_path, capsys):
    with pytest.raises(InputError, match="nobody has answered"):
        export_answers(study.folder, tmp_path / "answers.csv")
    answer_all(study, "anna", count=1)
    (tmp_path / "answers.csv").write_text("somebody's work")
    command = ["reader-study", "export", str(study.folder), "--out", str(tmp_path / "answers.csv")]
    assert main(command) == 2
    assert "in the way" in capsys.readouterr().err
    assert (tmp_path / "answers.csv").read_text() == "somebody's work"
    assert main([*command[:-1], str(tmp_path / "new.csv")]) == 0
    assert "1 answers written" in capsys.readouterr().out


def test_the_table_of_readers_counts_answers_and_broken_lines(study):
    file = answer_all(study, "anna", count=5)
    with file.path.open("ab") as stream:
        stream.write(b'{"study": "cut o')
    (row,) = reader_table(study, answer_table(study)).to_dict("records")
    assert row == dict(reader="anna", answered=5, of=40, broken_lines=1, median_seconds=1.5)
