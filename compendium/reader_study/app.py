"""The page of the reader study: widgets that ask, and write every answer down at once."""

from __future__ import annotations

import base64
import html
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import ipywidgets
from IPython.display import Javascript, display

from compendium.reader_study import words
from compendium.reader_study.answers import Answer, AnsweredElsewhereError, AnswerFile
from compendium.reader_study.study import Study, open_study
from engine.errors import InputError
from engine.progress import duration

_KEYS = Path(__file__).with_name("keys.js")
_TIMED = 3  # answers before the time left is told


class Choice(ipywidgets.HBox):
    """A question with one button an answer; ``options`` maps a key to (value, text).

    Buttons and no toggles: their presses reach the kernel one by one and in order, while values
    that change fast overtake each other.
    """

    def __init__(self, question: str, options: dict[str, tuple[object, str]]) -> None:
        self.question = question
        self.value: object = None
        self._buttons = {}
        for key, (value, text) in options.items():
            button = ipywidgets.Button(description=text)
            button.add_class(f"reader-key-{key}")
            button.on_click(lambda _, value=value: self.choose(value))
            self._buttons[value] = button
        label = ipywidgets.HTML(f"<span class='reader-question'>{html.escape(question)}</span>")
        super().__init__([label, *self._buttons.values()])
        self.add_class("reader-choice")
        if len(options) == 5:
            self.add_class("reader-five")

    def choose(self, value: object) -> None:
        """Mark one answer, or none where ``value`` is None."""
        self.value = value
        for own, button in self._buttons.items():
            button.button_style = "info" if own == value else ""


class ReaderPage(ipywidgets.VBox):
    """Asks who reads, then image after image; starts where this reader has stopped."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.add_class("reader-study")
        self._study = study
        self._states = 0
        label_0, label_1 = study.file.label_names
        real = "raw" if study.synthetic else "real"
        self.quality = Choice("Quality (5 best)", {str(n): (n, str(n)) for n in range(1, 6)})
        self.judged_real = Choice(
            "Raw or translated" if study.synthetic else "Real or translated",
            {"r": (True, f"{real} (r)"), "t": (False, "translated (t)")},
        )
        self.called = Choice("Shows", {"b": (1, f"{label_1} (b)"), "n": (0, f"{label_0} (n)")})
        self.comment = ipywidgets.Text(
            placeholder="Comment, if any (c)", tooltip="Comment", continuous_update=False
        )
        self.comment.add_class("reader-comment")
        self.next = _enter_button("Next (Enter)", self._answer)
        self.image, self.left, self.refused, self.state = (ipywidgets.HTML() for _ in range(4))
        self.bar = ipywidgets.IntProgress(max=len(study.order("")))
        self.reader = ipywidgets.Text(
            placeholder="for example reader-1", tooltip="Your code", continuous_update=False
        )
        self.reader.add_class("reader-name")
        self.start = _enter_button("Start (Enter)", self._start)
        self._ask_reader()

    def _ask_reader(self) -> None:
        head = ipywidgets.HTML(words.style() + words.welcome(self._study))
        self.children = [head, self.reader, self.refused, self.start, self.state]
        self._refuse("")

    def _start(self, _: ipywidgets.Button) -> None:
        reader = self.reader.value.strip().lower()
        try:
            self._file = AnswerFile(self._study, reader)
            found = self._file.read()
        except InputError as error:
            self._refuse(str(error))
            return
        self._order = self._study.order(reader)
        self._seconds = [answer.seconds for answer in found.given]
        note = ipywidgets.HTML(words.style() + words.note(self._study))
        self.children = [
            note, self.left, self.bar, self.image, self.quality, self.judged_real, self.called,
            self.comment, self.refused, self.next, ipywidgets.HTML(words.KEYS), self.state,
        ]  # fmt: skip
        done = len(found.given)
        self._show(f"Welcome back, {done} answers are kept. " if done else "")
        broken = (
            f"{found.broken} broken line(s) in {self._file.path.name}, left by a crash while "
            "writing; every whole answer is kept."
        )
        self._refuse(broken if found.broken else "")

    def _show(self, greeting: str = "") -> None:
        """The next image, or the end."""
        done, n = len(self._seconds), len(self._order)
        for choice in (self.quality, self.judged_real, self.called):
            choice.choose(None)
        self.comment.value = ""
        self.bar.value = done
        if done == n:
            self._end(words.thanks(n, self._file.path))
            return
        try:
            png = base64.b64encode(self._study.image(self._order[done])).decode()
        except InputError as error:
            self._end(words.problem(error))
            return
        self.image.value = (
            f"<img src='data:image/png;base64,{png}' alt='The image to judge, {done + 1}'>"
        )
        left = ""
        if done >= _TIMED:
            rest = statistics.median(self._seconds) * (n - done)
            left = f", about {duration(rest)} left"
        self.left.value = f"<p role='status'>{greeting}Image {done + 1} of {n}{left}</p>"
        self._shown = time.monotonic()

    def _end(self, text: str) -> None:
        self.children = [ipywidgets.HTML(words.style() + text), self.state]

    def _answer(self, _: ipywidgets.Button) -> None:
        choices = (self.quality, self.judged_real, self.called)
        missing = [choice.question.lower() for choice in choices if choice.value is None]
        if missing:
            self._refuse(f"Still to answer: {'; '.join(missing)}.")
            return
        done = len(self._seconds)
        answer = Answer(
            study=self._study.id, place=done, image=self._order[done], quality=self.quality.value,
            judged_real=self.judged_real.value, called=self.called.value,
            comment=self.comment.value, seconds=round(time.monotonic() - self._shown, 1),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        try:
            self._file.append(answer)
        except AnsweredElsewhereError as error:
            self._seconds = [given.seconds for given in self._file.read().given]
            self._show()
            self._refuse(str(error))
        except InputError as error:
            self._refuse(str(error))
        else:
            self._seconds.append(answer.seconds)
            self._show()
            self._refuse("")

    def _refuse(self, text: str) -> None:
        """Say ``text``, and let the keys count again: the last thing done for every press."""
        self._states += 1
        self.refused.value = f"<p class='reader-refused' role='alert'>{html.escape(text)}</p>"
        self.state.value = f"<span class='reader-state' data-state='{self._states}'></span>"


def _enter_button(text: str, pressed: Callable[[ipywidgets.Button], None]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=text)
    button.add_class("reader-key-enter")
    button.on_click(pressed)
    return button


def show_study(folder: str | Path) -> None:
    """Display the page for the study in ``folder``, or what is wrong with the study."""
    try:
        page = ReaderPage(open_study(folder))
    except InputError as error:
        page = ipywidgets.HTML(words.style() + words.problem(error))
        page.add_class("reader-study")
    display(page)
    display(Javascript(_KEYS.read_text()))
