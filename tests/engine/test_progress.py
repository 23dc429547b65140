"""Progress without a terminal: few plain lines, on the console only."""

import io
import sys

import pytest

from engine import progress as module
from engine.progress import duration, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; the console is a text buffer."""

    class Clock:
        now = 0.0

    console = io.StringIO()
    monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(sys, "__stderr__", console)
    monkeypatch.setenv("COMPENDIUM_HEADLESS", "1")
    Clock.console = console
    return Clock


def test_items_pass_through_in_order(clock):
    assert list(progress(iter("abc"))) == ["a", "b", "c"]


def test_at_most_one_line_in_ten_seconds_with_the_time_left(clock, capsys):
    for _ in progress(range(100), label="steps"):
        clock.now += 1.0
    lines = clock.console.getvalue().splitlines()
    assert lines[0] == "steps: 10/100, 1 min 30 s left"
    assert len(lines) == 9
    assert capsys.readouterr() == ("", "")


def test_short_loop_says_nothing(clock):
    for _ in progress(range(100)):
        clock.now += 0.05
    assert clock.console.getvalue() == ""


def test_loop_of_unknown_length_counts(clock):
    for _ in progress(iter(range(15)), label="images"):
        clock.now += 1.0
    assert clock.console.getvalue().splitlines() == ["images: 10"]


def test_total_stands_in_for_a_missing_length(clock):
    for _ in progress(iter(range(20)), total=20, label="images"):
        clock.now += 1.0
    assert clock.console.getvalue().splitlines() == ["images: 10/20, 10 s left"]


def test_kernel_without_a_console_of_its_own_uses_the_process_s(clock, monkeypatch):
    monkeypatch.setattr(module, "_in_kernel", lambda: True)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # has no descriptor
    for _ in progress(range(11), label="steps"):
        clock.now += 1.0
    assert clock.console.getvalue() == "steps: 10/11, 1 s left\n"
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7630, "2 h 07 min")],
)
def test_duration(seconds, said):
    assert duration(seconds) == said
