"""The page on the architecture: its ten stops are there, its picture is what the code draws now."""

import dataclasses
import pkgutil
import re
from xml.etree import ElementTree

import pytest

from compendium.architecture import PAGE, read_rooms, read_stops
from compendium.architecture_picture import PICTURE, WIDTH, architecture_picture, write_picture
from engine.keys import FLOORS
from engine.paths import ROOT

NAMED = re.compile(rf"`((?:{'|'.join(FLOORS)})\.[\w.]+)`")
# Beside the stops: what the table of rooms names are packages.
TEXT = re.sub(r"<!-- rooms -->.*<!-- /rooms -->", "", PAGE.read_text(), flags=re.DOTALL)


def description(path):
    """The table of what an SVG shows."""
    (found,) = ElementTree.parse(path).iter("{http://purl.org/dc/elements/1.1/}description")
    return found.text


def words(path):
    """What an SVG writes; each text stands as a comment before its outlines."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(), re.DOTALL)


def test_there_are_ten_stops_numbered_in_order():
    numbers = re.findall(r"^(\d+)\. ", TEXT, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 11)]
    assert len(read_stops()) == 10


@pytest.mark.parametrize("name", sorted(set(NAMED.findall(TEXT))))
def test_what_the_page_names_is_there(name):
    pkgutil.resolve_name(name)


@pytest.mark.parametrize("stop", read_stops(), ids=lambda stop: stop.name)
def test_a_stop_is_a_function_in_a_room_of_the_picture(stop):
    function = pkgutil.resolve_name(stop.function)
    assert callable(function)
    assert not isinstance(function, type)
    assert function.__module__.startswith(stop.room)  # where it lies, not where it is handed on
    assert stop.room in {room.name for room in read_rooms()}


def test_the_picture_is_what_the_code_draws_now(tmp_path):
    """Compared are the table behind it, with the place of everything, and its words.

    The outlines of letters are left out: other versions of Matplotlib and FreeType draw others.
    """
    write_picture(tmp_path / "now.svg")
    for part in (description, words):
        assert part(PICTURE) == part(tmp_path / "now.svg"), "run `compendium readme`"


def test_the_picture_follows_the_code():
    rooms, stops = read_rooms(), read_stops()
    _, drawn = architecture_picture(rooms, stops)
    more = [dataclasses.replace(room, modules=room.modules + 1) for room in rooms]
    without = [dataclasses.replace(room, imports=()) for room in rooms]
    for changed in (more, without):
        assert not architecture_picture(changed, stops)[1].equals(drawn)
    assert not architecture_picture(rooms, stops[::-1])[1].equals(drawn)


def test_the_same_code_gives_the_same_bytes(tmp_path):
    for name in ("a.svg", "b.svg"):
        write_picture(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_every_module_is_counted_once():
    files = [path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")
             if path.name != "__init__.py" and "sphinx" not in path.parts]  # fmt: skip
    assert sum(room.modules for room in read_rooms()) == len(files)


def test_rooms_stand_above_those_they_import():
    order = [room.name for room in read_rooms()]
    for room in read_rooms():
        if "." in room.name:  # a top floor's own modules and its rooms use each other
            below = [name for name in room.inside if "." in name]
            assert all(order.index(name) < order.index(room.name) for name in below)


def test_no_stop_covers_another_and_no_arrow_leaves_the_sheet():
    _, drawn = architecture_picture(read_rooms(), read_stops())
    assert not drawn[drawn["kind"] == "stop"][["x", "y"]].duplicated().any()
    assert drawn[drawn["kind"] == "import"]["x"].between(0.1, WIDTH - 0.1).all()
