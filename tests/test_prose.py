"""No result is typed into prose: it is generated, or a published figure of the claims."""

import json
import re

import pytest

from compendium.claims.arithmetic import read_printed
from compendium.claims.book import load_claims
from engine.paths import ROOT

METRIC = re.compile(
    r"\b(AUC|accuracy|accuracies|F1|kappa|SSIM|PSNR|Dice|FID|KID|Brier|ECE|sensitivity|specificity|"
    r"gap)\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"(?<![\w.])(\d*\.\d+(?:\s?%)?|\d+\s?%)")
GENERATED = re.compile(r"<!-- (\w+) -->.*?<!-- /\1 -->", re.DOTALL)
LEVEL = "95 %"  # of every interval
REACH = 60  # characters between a number and the metric it stands beside


@pytest.fixture(scope="module")
def published():
    claims = load_claims().claims
    return {round(c.printed.value, 6) for c in claims if c.type == "value"}


def typed_results(text: str, published: set[float]) -> list[str]:
    """Numbers beside a metric's name that nothing stands behind."""
    text = GENERATED.sub("", text)
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = []
    for metric in METRIC.finditer(text):
        around = text[max(0, metric.start() - REACH) : metric.end() + REACH]
        for number in NUMBER.findall(around):
            if re.sub(r"\s", " ", number) == LEVEL:
                continue
            if round(read_printed(number).value, 6) not in published:
                found.append(f"{metric.group()} … {number}")
    return found


def test_guard_knows_a_typed_result_from_a_published_one(published):
    assert typed_results("We reach an AUC of 0.934 on ED1.", published)
    assert typed_results("The accuracy rose by 12 %.", published)
    assert not typed_results("The study prints an AUC of 0.9026.", published)
    assert not typed_results("AUC with a 95 % interval; 600 steps.", published)
    assert not typed_results("<!-- results -->\nAUC 0.934\n<!-- /results -->", published)


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", "WORKSHOP.md", "docs/own_devices.md", "docs/images.md"],
)
def test_pages_type_no_result(page, published):
    assert typed_results((ROOT / page).read_text(), published) == []


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_type_no_result(path, published):
    cells = json.loads(path.read_text())["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    assert typed_results(text, published) == []


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_only_the_title_is_a_first_level_heading(path):
    cells = json.loads(path.read_text())["cells"]
    lines = [
        line
        for cell in cells
        if cell["cell_type"] == "markdown"
        for line in "".join(cell["source"]).splitlines()
    ]
    assert [line for line in lines if line.startswith("# ")] == lines[:1]
