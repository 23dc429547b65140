"""The architecture as a picture: floors, rooms, imports, and the way of one image."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from compendium.architecture import PAGE, Room, Stop, read_rooms, read_stops
from engine.keys import FLOORS
from lib.figures.style import NEUTRAL, STYLE, Drawn, styled, titled_sheet

PICTURE = PAGE.with_suffix(".svg")

# Inches, from the lower left corner.
WIDTH, LEFT, RIGHT = 6.9, 0.98, 6.3  # of the sheet; edges of the rooms
NAMES, FIRST, PITCH, COLUMNS = 0.09, 1.5, 1.27, 3  # from a room's edge: its name, its stops
SHARED, BETWEEN = 4, 0.08  # small rooms in a row, space between them
LOW, ROW, GAP, HEAD = 0.4, 0.47, 0.13, 0.27  # heights: no stops, a row of them, between, floor name
LANE = 0.12  # between two arrows beside each other, less where there are many
FLOOR_COLOURS = ("#ececec", "#dceaf5", "#e2f1ea")
WAY = "#D55E00"


@dataclass(frozen=True)
class _Box:
    """A room on the sheet, in inches."""

    room: Room
    x: float
    y: float
    width: float
    height: float


def _arrange(rooms: Sequence[Room], stops: Sequence[Stop]) -> tuple[dict, dict, float]:
    """Floor to its lower and upper edge, room to its box, height of the sheet.

    A room is a bar over the whole width; on the top floor those without a stop share rows.
    """
    floors, boxes, y = {}, {}, 0.05
    rows = {stop.room: row + 1 for stop, (_, row) in zip(stops, _cells(stops), strict=True)}
    for floor in FLOORS:
        own = [room for room in rooms if room.floor == floor]
        shared = [room for room in own if floor == FLOORS[-1] and room.name not in rows]
        bottom, y = y, y + GAP
        for room in (room for room in own if room not in shared):
            height = max(LOW, ROW * rows.get(room.name, 0))
            boxes[room.name] = _Box(room, LEFT, y, RIGHT - LEFT, height)
            y += height + GAP
        width = (RIGHT - LEFT + BETWEEN) / SHARED
        lines = -(-len(shared) // SHARED)
        for place, room in enumerate(sorted(shared, key=lambda r: (r.name == floor, r.name))):
            line, column = divmod(place, SHARED)
            above = y + (lines - 1 - line) * (LOW + BETWEEN)
            boxes[room.name] = _Box(room, LEFT + column * width, above, width - BETWEEN, LOW)
        y += lines * (LOW + BETWEEN) - BETWEEN if shared else -GAP
        y += HEAD if _has_packages(own) else GAP
        floors[floor] = (bottom, y)
        y += 0.3
    return floors, boxes, y - 0.25


def _has_packages(rooms: Sequence[Room]) -> bool:
    return any("." in room.name for room in rooms)


def _cells(stops: Sequence[Stop]) -> list[tuple[int, int]]:
    """Column, and row in its room, of every stop: along a row, up at its end and back; straight up
    to the next room.
    """
    cells: list[tuple[int, int]] = []
    column, row, step, room = 0, 0, 1, ""
    for stop in stops:
        if stop.room != room:
            room, row = stop.room, 0
        elif 0 <= column + step < COLUMNS:
            column += step
        else:
            row, step = row + 1, -step
        cells.append((column, row))
    return cells


def _way(stops: Sequence[Stop], boxes: Mapping[str, _Box]) -> list[tuple[float, float]]:
    """Places of the stops."""
    return [
        (LEFT + FIRST + PITCH * column, boxes[stop.room].y + ROW * row + 0.31)
        for stop, (column, row) in zip(stops, _cells(stops), strict=True)
    ]


@styled
def architecture_picture(rooms: Sequence[Room], stops: Sequence[Stop]) -> Drawn:
    """Three floors with their rooms, the imports of the middle one, the way of one image.

    Returns
    -------
    The figure, and kind (room, import, stop), name, to (where an arrow ends, or a stop lies), told
    (number of modules, of a stop), x and y of each (inches; of an arrow where it turns down).
    """
    floors, boxes, height = _arrange(rooms, stops)
    sheet = titled_sheet(
        WIDTH, height, "Three floors, and the way of one phone image through them",
        "read from the code",
        "grey arrows: imports, of floors (right) and of the rooms of lib (left); orange: the image",
    )  # fmt: skip
    axes = sheet.subplots()
    axes.set(xlim=(0, WIDTH), ylim=(0, height), aspect="equal")
    axes.axis("off")
    drawn = []
    for floor, colour in zip(FLOORS, FLOOR_COLOURS, strict=True):
        low, high = floors[floor]
        _rounded(axes, LEFT - 0.1, low, RIGHT - LEFT + 0.2, high - low, fc=colour, ec="none")
        if _has_packages([room for room in rooms if room.floor == floor]):
            axes.text(LEFT, high - 0.06, floor, weight="bold", size=9.5, va="top")
    for name, box in boxes.items():
        _draw_room(axes, box, bare=all(stop.room != name for stop in stops))
        drawn.append(("room", name, "", str(box.room.modules), box.x, box.y))
    lanes = _lanes(boxes)
    narrow = min(LANE, (LEFT - 0.3) / max([1, *(lane for *_, lane in lanes)]))
    for start, end, lane in lanes:
        out, into = boxes[start].y + 0.1, boxes[end].y + boxes[end].height - 0.1
        x = LEFT - 0.2 - narrow * lane
        _elbow(axes, LEFT, out, into, x)
        drawn.append(("import", start, end, "", x, out))
    for start, end, lane in _floor_lanes(rooms):
        edge = RIGHT + 0.1
        x = edge + 0.2 + LANE * lane
        out, into = floors[start][0] + 0.15, floors[end][1] - 0.15
        _elbow(axes, edge, out, into, x)
        drawn.append(("import", start, end, "", x, out))
    places = _way(stops, boxes)
    axes.plot(*zip(*places, strict=True), color=WAY, lw=1.6, zorder=3, solid_joinstyle="round")
    for number, (stop, (x, y)) in enumerate(zip(stops, places, strict=True), start=1):
        _draw_stop(axes, number, stop, x, y)
        drawn.append(("stop", stop.name, stop.function, str(number), x, y))
    table = pd.DataFrame(drawn, columns=["kind", "name", "to", "told", "x", "y"])
    return sheet, table.round(3)


def _lanes(boxes: Mapping[str, _Box]) -> list[tuple[str, str, int]]:
    """Imports between rooms of the middle floor, each in the nearest lane that is free there."""
    pairs = [
        (name, other) for name, box in boxes.items() for other in box.room.inside
        if box.room.floor == FLOORS[1]
    ]  # fmt: skip
    taken: list[list[tuple[float, float]]] = []
    found = []
    for start, end in sorted(pairs, key=lambda pair: boxes[pair[0]].y - boxes[pair[1]].y):
        low, high = boxes[end].y, boxes[start].y + boxes[start].height
        free = (i for i, lane in enumerate(taken) if all(high <= a or b <= low for a, b in lane))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((low, high))
        found.append((start, end, lane))
    return found


def _floor_lanes(rooms: Sequence[Room]) -> list[tuple[str, str, int]]:
    """Imports between floors; the further away, the further out."""
    pairs = {
        (room.floor, name.partition(".")[0]) for room in rooms for name in room.imports
        if name.partition(".")[0] != room.floor
    }  # fmt: skip
    away = {pair: FLOORS.index(pair[0]) - FLOORS.index(pair[1]) for pair in pairs}
    return [(*pair, away[pair] - 1) for pair in sorted(pairs)]


def _rounded(axes: Axes, x: float, y: float, width: float, height: float, **look) -> None:
    shape = "round,pad=0,rounding_size=0.05"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, **look))


def _draw_room(axes: Axes, box: _Box, bare: bool) -> None:
    """Its name and number of modules; a bar without stops says what it is."""
    room = box.room
    _rounded(axes, box.x, box.y, box.width, box.height, fc="white", ec="#9a9a9a", lw=0.7)
    x, middle = box.x + NAMES, box.y + box.height / 2
    wide = box.width > 3
    name = room.label.replace("_", " ")
    axes.text(x, middle + 0.01, name, weight="bold", size=9 if wide else 8, va="bottom")
    told = f"{room.modules} module{'s' * (room.modules > 1)}"
    axes.text(x, middle - 0.03, told, size=7.2, va="top", color=NEUTRAL)
    if wide and bare:
        about = textwrap.fill(room.about.replace("`", ""), 56)
        axes.text(box.x + FIRST + 0.13, middle, about, size=7.2, va="center", linespacing=1.15)


def _draw_stop(axes: Axes, number: int, stop: Stop, x: float, y: float) -> None:
    axes.add_patch(Circle((x, y), 0.105, fc=WAY, ec="white", lw=1, zorder=4))
    axes.text(x, y - 0.005, number, color="white", weight="bold", size=8, ha="center",
              va="center_baseline", zorder=5)  # fmt: skip
    # Below the way along a row, and right of the way up.
    axes.text(x + 0.13, y - 0.035, stop.name, weight="bold", size=7.3, va="top", zorder=5)
    function = stop.function.removeprefix(f"{stop.room}.")
    axes.text(x + 0.13, y - 0.16, function, size=6.4, va="top", color=NEUTRAL, zorder=5)


def _elbow(axes: Axes, edge: float, out: float, into: float, lane: float) -> None:
    """An arrow that leaves at ``edge``, goes down along ``lane``, and comes back."""
    axes.plot([edge, lane, lane, edge], [out, out, into, into], color=NEUTRAL, lw=1.0, zorder=2,
              solid_joinstyle="round")  # fmt: skip
    inward = 0.1 if lane < edge else -0.1
    look = dict(arrowstyle="-|>", mutation_scale=8, shrinkA=0, shrinkB=0)
    head = FancyArrowPatch((edge - inward, into), (edge, into), color=NEUTRAL, **look)
    axes.add_patch(head)


def write_picture(path: Path = PICTURE) -> None:
    """Draw the code as it is; the SVG carries, as its description, the table of what it shows."""
    sheet, drawn = architecture_picture(read_rooms(), read_stops())
    with matplotlib.style.context(["default", STYLE]):
        sheet.savefig(path, metadata={"Date": None, "Description": drawn.to_csv(index=False)})
