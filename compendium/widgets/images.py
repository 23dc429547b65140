"""Widgets made of kept pictures: the texture weight, the swipe, what was invented."""

from __future__ import annotations

import numpy as np
from ipywidgets import HTML, Dropdown, FloatSlider, SelectionSlider, ToggleButtons, VBox

from compendium.widgets.interactive import (
    WIDE,
    as_image,
    difference_map,
    enlarged,
    luma,
    numbered,
    panel,
    pictures_html,
    slider_layout,
)
from lib.figures.pictures import Pictures
from lib.figures.style import arm_name

_REACH = 60.0  # grey levels at which a difference has its full colour
_LINE = np.array([230, 159, 0], dtype=np.uint8)


def texture_weight(pictures: Pictures) -> VBox:
    """Move the texture weight and watch one object change.

    Parameters
    ----------
    pictures
        Looks: the untouched image first, then one per trained weight, ``truth`` where it is known.
        Facts: ``weights``, look to the words the slider says.
    """
    original = next(iter(pictures.looks))
    weights = {words: look for look, words in pictures.facts["weights"].items()}
    weight = SelectionSlider(
        options=list(weights.items()), description="texture weight", style=WIDE,
        layout=slider_layout(),
    )  # fmt: skip
    chosen = _image_list(pictures)
    view = HTML()

    def draw(_=None) -> None:
        own = {look: stack[chosen.value].numpy() for look, stack in pictures.looks.items()}
        against = "truth" if "truth" in own else original
        row = {original: own[original], "translated": own[weight.value]}
        if against == "truth":
            row["truth"] = own["truth"]
        change = np.abs(luma(own[weight.value]) - luma(own[original])).mean()
        said = f"Weight {weight.label}: {change:.1f} grey levels away from the untouched image"
        if against == "truth":
            off = np.abs(luma(own[weight.value]) - luma(own["truth"])).mean()
            said += f", {off:.1f} from the truth"
        shown = {name: as_image(image) for name, image in row.items()}
        residual = difference_map(own[weight.value], own[against], _REACH)
        view.value = pictures_html(shown | {_map_name(against): residual}, f"{said}.")

    for control in (weight, chosen):
        control.observe(draw, "value")
    draw()
    return panel("How much texture loss?", pictures.note, weight, chosen, view)


def swipe(pictures: Pictures) -> VBox:
    """Wipe one look of an image over another.

    Parameters
    ----------
    pictures
        The first look lies below. Facts: ``after``, the look that is wiped over it at first.
    """
    looks = list(pictures.looks)
    names = [(arm_name(look), look) for look in looks]
    before = Dropdown(options=names, value=looks[0], description="before", style=WIDE)
    after = Dropdown(options=names, value=pictures.facts["after"], description="after", style=WIDE)
    chosen = _image_list(pictures)
    edge = FloatSlider(
        value=50.0, min=0.0, max=100.0, step=2.0, description="share of 'after' (%)", style=WIDE,
        readout_format=".0f", layout=slider_layout(),
    )  # fmt: skip
    view = HTML()

    def draw(_=None) -> None:
        low, high = (
            enlarged(as_image(pictures.looks[each.value][chosen.value].numpy()))
            for each in (before, after)
        )
        said = f"{arm_name(after.value)} on the left, {arm_name(before.value)} on the right."
        view.value = pictures_html({"swipe": wiped(low, high, edge.value / 100)}, said, "22rem")

    for control in (before, after, chosen, edge):
        control.observe(draw, "value")
    draw()
    return panel("Before and after", pictures.note, before, after, chosen, edge, view)


def wiped(before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
    """The left ``share`` of ``after`` over ``before`` (H, W, 3), with a line between."""
    result = before.copy()
    cut = round(share * result.shape[1])
    result[:, :cut] = after[:, :cut]
    if 0 < cut < result.shape[1]:
        result[:, cut] = _LINE
    return result


def spot_the_hallucination(pictures: Pictures) -> VBox:
    """Was a structure invented or erased? The reader says so, then sees the truth.

    Parameters
    ----------
    pictures
        Looks ``original``, ``translated``, ``truth``. Facts: ``structure``, its name; ``verdict``,
        what became of it in each image; ``read`` and ``true``, its shares of the image.
    """
    facts = pictures.facts
    structure = facts["structure"]
    truths = {"invented": f"a {structure} was invented", "erased": f"a {structure} was erased",
              "kept": f"no {structure} was invented or erased"}  # fmt: skip
    given: dict[int, str] = {}
    chosen = Dropdown(
        options=[(f"{place + 1} of {len(pictures.names)}", place)
                 for place in range(len(pictures.names))],
        description="image", style=WIDE,
    )  # fmt: skip
    answer = ToggleButtons(
        options=[("neither" if verdict == "kept" else words, verdict)
                 for verdict, words in truths.items()], value=None,
        description="I say:", style={**WIDE, "button_width": "12rem"},
    )  # fmt: skip
    view = HTML()

    def draw(_=None) -> None:
        place = chosen.value
        own = {look: stack[place].numpy() for look, stack in pictures.looks.items()}
        row = {look: as_image(own[look]) for look in ("original", "translated")}
        if place not in given:
            view.value = pictures_html(row, f"Compare the two, then say what became of the "
                                            f"{structure}.")  # fmt: skip
            return
        row["truth"] = as_image(own["truth"])
        row[_map_name("truth")] = difference_map(own["translated"], own["truth"], _REACH)
        verdict = facts["verdict"][place]
        right = sum(facts["verdict"][at] == said for at, said in given.items())
        read, true = (100 * facts[share][place] for share in ("read", "true"))
        said = (
            f"{'Right' if given[place] == verdict else 'Wrong'}. As a segmenting network of the "
            f"good device sees it, {truths[verdict]}: it reads {read:.1f} % of the translation as "
            f"{structure}, in truth it is {true:.1f} % ({pictures.names[place]}). {right} of "
            f"{len(given)} right so far."
        )
        view.value = pictures_html(row, said)

    def turn(_) -> None:
        answer.value = given.get(chosen.value)
        draw()

    def judge(change) -> None:
        if change["new"] is not None:
            given.setdefault(chosen.value, change["new"])  # the first answer counts
            draw()

    chosen.observe(turn, "value")
    answer.observe(judge, "value")
    draw()
    return panel("Spot the hallucination", pictures.note, chosen, answer, view)


def _map_name(against: str) -> str:
    return f"translated − {against}, red: brighter"


def _image_list(pictures: Pictures) -> Dropdown:
    return Dropdown(options=numbered(pictures.names), description="image", style=WIDE)
