"""The page of the reader study without a browser: what it asks, keeps, says and sends."""

import json
from base64 import b64decode

import ipywidgets
import pytest

from compendium.reader_study.answers import AnswerFile
from compendium.reader_study.app import ReaderPage, show_study
from compendium.reader_study.study import STUDY, StudyFile, open_study, study_text


@pytest.fixture
def study(reader_study):
    return open_study(reader_study)


def begin(study, reader="anna"):
    page = ReaderPage(study)
    page.reader.value = reader
    page.start.click()
    return page


def answer(page, quality=3, real=True, called=1, comment=""):
    page.quality.choose(quality)
    page.judged_real.choose(real)
    page.called.choose(called)
    page.comment.value = comment
    page.next.click()


def shown(page):
    """The PNG on the page."""
    return b64decode(page.image.value.split("base64,")[1].split("'")[0])


def texts(widget):
    """All text of a widget and of those in it, as the browser gets it."""
    words = [str(value) for value in widget.get_state().values()]
    return "\n".join([*words, *(texts(child) for child in getattr(widget, "children", ()))])


def test_images_come_in_the_readers_order_and_answers_are_kept_at_once(study):
    page = begin(study)
    for place, name in enumerate(study.order("anna")):
        assert shown(page) == study.image(name)
        assert f"Image {place + 1} of 40" in page.left.value
        answer(page, quality=place % 5 + 1, real=place % 2 == 0, called=place % 2, comment=name)
        kept = AnswerFile(study, "anna").read().given
        last = kept[-1]
        assert (len(kept), last.comment) == (place + 1, name)
        assert (last.quality, last.judged_real, last.called) == (
            place % 5 + 1, place % 2 == 0, place % 2
        )  # fmt: skip
    assert "Thank you" in texts(page)
    assert "data:image" not in texts(page)


def test_an_answer_needs_all_three_questions_and_stays_on_its_image(study):
    page = begin(study)
    first = shown(page)
    page.quality.choose(4)
    page.next.click()
    assert "raw or translated; shows" in page.refused.value
    assert shown(page) == first
    assert page.quality.value == 4
    assert AnswerFile(study, "anna").read().given == []


def test_nothing_is_chosen_when_the_next_image_comes(study):
    page = begin(study)
    answer(page, comment="cut off at the left")
    assert [c.value for c in (page.quality, page.judged_real, page.called)] == [None] * 3
    assert page.comment.value == ""
    assert not any(button.button_style for button in page.quality.children[1:])


def test_a_restart_goes_on_where_the_reader_stopped(study):
    page = begin(study)
    for _ in range(5):
        answer(page)
    again = begin(study)
    assert "5 answers are kept" in again.left.value
    assert shown(again) == study.image(study.order("anna")[5])
    assert again.bar.value == 5
    assert "Image 1 of 40" in begin(study, "bert").left.value


def test_a_line_that_a_crash_cut_off_is_told(study):
    page = begin(study)
    answer(page)
    answer(page)
    path = AnswerFile(study, "anna").path
    path.write_bytes(path.read_bytes()[:-9])
    again = begin(study)
    assert "1 broken line(s) in anna.jsonl" in again.refused.value
    assert "Image 2 of 40" in again.left.value


def test_a_second_window_catches_up_and_writes_nothing_twice(study):
    first, second = begin(study), begin(study)
    answer(first, quality=1)
    answer(second, quality=5)
    assert "another window" in second.refused.value
    assert shown(second) == study.image(study.order("anna")[1])
    answer(second, quality=5)
    assert [given.quality for given in AnswerFile(study, "anna").read().given] == [1, 5]


def test_a_code_that_is_none_is_refused_and_case_does_not_matter(study):
    page = begin(study, "../anna")
    assert "use up to 32" in page.refused.value
    page.reader.value = " Anna "
    page.start.click()
    answer(page)
    assert study.readers == ["anna"]


def test_nothing_that_is_sent_tells_what_an_image_is(study):
    key = study.key().set_index("image")
    words = {*key["kind"], *key["id"], *key["group"], *key["domain"], *key.index}
    page = begin(study)
    sent = set()
    for place, name in enumerate(study.order("anna")):
        picture = page.image.value.split("base64,")[1].split("'")[0]
        text = texts(page).replace(picture, "")
        assert not [word for word in words if word in text]
        # Beside the picture and its number, the same text for every image.
        sent.add(page.image.value.replace(picture, "").replace(f", {place + 1}'", ""))
        assert b64decode(picture) == study.image(name)
        answer(page)
    assert len(sent) == 1


def test_time_left_is_the_median_of_what_answers_took(study, monkeypatch):
    clock = iter([0, 10, 10, 20, 20, 1000, 1000, 1000])
    monkeypatch.setattr("compendium.reader_study.app.time.monotonic", lambda: next(clock))
    page = begin(study)
    for _ in range(2):
        answer(page)
        assert "left" not in page.left.value
    answer(page)  # after a long break
    assert "Image 4 of 40, about 6 min 10 s left" in page.left.value


def test_phantoms_are_said_to_be_synthetic_and_real_images_are_not(study):
    for page in (ReaderPage(study), begin(study)):
        assert "Synthetic embryos" in texts(page)
        assert "raw" in texts(page)
    file = study.file.model_dump() | {"note": "real images"}
    (study.folder / STUDY).write_text(study_text(StudyFile(**file)))
    real = open_study(study.folder)
    for page in (ReaderPage(real), begin(real)):
        assert "ynthetic" not in texts(page)
        assert "raw (r)" not in texts(page)
    assert "Real images." in texts(begin(real))


def test_an_image_changed_meanwhile_ends_the_page(study):
    page = begin(study)
    (study.folder / "images" / study.order("anna")[1]).write_bytes(b"")
    answer(page)
    assert "not the image that the study was made with" in texts(page)
    assert "data:image" not in texts(page)
    assert len(AnswerFile(study, "anna").read().given) == 1


def test_a_study_that_cannot_be_opened_is_explained_on_the_page(tmp_path, monkeypatch):
    displayed = []
    monkeypatch.setattr("compendium.reader_study.app.display", displayed.append)
    show_study(tmp_path)
    assert isinstance(displayed[0], ipywidgets.HTML)
    assert "no such file. Make a study" in displayed[0].value
    assert json.dumps(str(tmp_path))[1:-1] in displayed[0].value
