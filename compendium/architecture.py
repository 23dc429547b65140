"""Floors, rooms and imports as the code has them, and the stops of one image through it.

The stops are those that ``docs/architecture.md`` numbers, so that page and picture agree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from compendium.claims.report import markdown_table
from engine.keys import FLOORS, home_of, modules_in
from engine.paths import ROOT

PAGE = ROOT / "docs" / "architecture.md"
STOP = re.compile(r"^\d+\. \*\*(.+?)\*\* `([\w.]+)`", re.MULTILINE)


@dataclass(frozen=True)
class Room:
    """A package of a floor, or the modules that lie in none; ``imports`` names other rooms."""

    name: str  # as "lib.data"; "lib" for what lies beside its packages
    label: str  # as "data"
    about: str
    modules: int
    imports: tuple[str, ...]

    @property
    def floor(self) -> str:
        """The package at the top."""
        return self.name.partition(".")[0]

    @property
    def inside(self) -> tuple[str, ...]:
        """Rooms of its own floor that it imports."""
        return tuple(name for name in self.imports if name.partition(".")[0] == self.floor)


@dataclass(frozen=True)
class Stop:
    """Where one image passes: what it becomes, and the function, as ``lib.data.files.…``."""

    name: str
    function: str

    @property
    def room(self) -> str:
        """Name of the room that the function lies in."""
        return _room_of(self.function)


def read_stops(page: Path = PAGE) -> list[Stop]:
    """The stops that the page numbers."""
    return [Stop(*found) for found in STOP.findall(page.read_text())]


def read_rooms() -> list[Room]:
    """All rooms, as the code has them: floors from the bottom, a room above those it imports.

    What no room of its floor imports stands on top of it.
    """
    paths = {_dotted(path): path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")
             if path.with_name("__init__.py").is_file()}  # fmt: skip
    within: dict[str, list[str]] = {}
    for name in paths:
        within.setdefault(_room_of(name), []).append(name)
    rooms = [_read_room(name, {each: paths[each] for each in own}) for name, own in within.items()]
    rooms = [room for room in rooms if room.modules]
    known = {room.name: room for room in rooms}
    needed = {name for room in rooms for name in room.inside}

    def height(room: Room) -> int:
        # A floor's own modules may use its rooms and be used by them.
        below = [known[name] for name in room.inside if "." in name]
        return 1 + max(map(height, below), default=0)

    return sorted(
        rooms, key=lambda r: (FLOORS.index(r.floor), r.name not in needed, height(r), r.name)
    )


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def _room_of(name: str) -> str:
    floor, _, rest = name.partition(".")
    room = rest.partition(".")[0]
    return f"{floor}.{room}" if room and (ROOT / floor / room).is_dir() else floor


def _imported(name: str, path: Path) -> set[str]:
    """Modules of this project that a module imports, anywhere in it."""
    names = modules_in(path.read_text(), name)
    own = {each for each in names if each.split(".")[0] in FLOORS}
    around = {each.rpartition(".")[0] for each in own}  # "from a import b" names a as well
    return {home_of(each) for each in own - around}


def _read_room(name: str, paths: Mapping[str, Path]) -> Room:
    """A room from the files of its modules; what is one module beside the rooms goes by its name.

    What it is stands in the first sentence of the docstring.
    """
    others = {
        _room_of(other) for module, path in paths.items() for other in _imported(module, path)
    }
    own = [module for module, path in paths.items() if path.name != "__init__.py"]
    lonely = "." not in name and len(own) == 1
    if "." in name or lonely:
        label = (own[0] if lonely else name).rpartition(".")[2]
    else:
        label = name if name == FLOORS[0] else "others"
    text = ast.get_docstring(ast.parse(paths[own[0] if lonely else name].read_text()))
    about = re.split(r"\.(?:\s|$)", text.replace("``", "`"))[0].replace("\n", " ")
    return Room(name, label, about, len(own), tuple(sorted(others - {name})))


def rooms_table() -> str:
    """Markdown table of all rooms, the highest first: what they are, modules, imports."""
    rows = [
        {
            "room": f"`{room.name}`"
            + ("" if room.name.endswith(room.label) else f": {room.label}"),
            "what it is": room.about,
            "modules": room.modules,
            "imports": ", ".join(f"`{name}`" for name in room.imports) or "–",
        }
        for room in reversed(read_rooms())
    ]
    return markdown_table(pd.DataFrame(rows)) + "\n"
