"""The first page: what the study asks, and what this run found, written from its tables."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from compendium.claims.consistency import Verdict
from compendium.readme import compared_arms
from compendium.site.cell_story import cells_found
from compendium.site.cells import Picture
from compendium.site.claims_table import counts, meanings
from compendium.site.markup import PERCENT, escaped, table
from compendium.site.run import SiteRun
from compendium.site.stain_story import stain_found
from engine.paths import ROOT
from lib.figures.style import arm_name, interval_text
from lib.figures.verdicts import control_verdict, difference_verdict

# Of studies on fields; that of embryos is told below.
_FOUND = {"cells": cells_found, "stain": stain_found}
SHEET = "images_"  # figures of this name show every arm's images of a domain
ARMS = {
    "raw": "the untouched colour image, to the classifier of colour images",
    "grey": "the untouched image in grey, as in all arms but the coloured ones",
    "rgb": "images of the source domain itself, in colour",
    "recalibrated": "grey, at a threshold that unlabelled target images set",
    "adabn": "grey, with batch-norm statistics of unlabelled target images (adaptive batch "
    "normalization)",
    "augmented": "grey, to a classifier trained under changes of exposure, contrast, focus, noise",
    "randomised": "grey, to a classifier trained under the changes of light, tone, lens, noise and "
    "dirt that the embryo finder is trained under",
    "histogram": "grey levels matched to those of the source domain",
    "fda": "low spatial frequencies taken from the source domain (Fourier domain adaptation)",
    "dann": "grey, to a classifier that learnt to hide which domain an image is from (DANN)",
    "cdan": "as that, for each class by itself (CDAN)",
    "cdan_e": "as that, led by images whose class is sure (CDAN+E)",
    "mdnet": "as that, from the source classifier on (MD-nets)",
    "mdnet_nos": "as that, without images of the source domain",
    "cyclegan": "translated by a CycleGAN trained without a texture loss",
    "cyclegan_texture": "translated by a CycleGAN trained with it: the method of the study",
    "cyclegan_joint": "as that, by one translator for both target domains",
    "cut": "translated by CUT: a contrastive loss of places instead of a way back",
    "fastcut": "as that, by FastCUT, which asks less of each step",
    "simulated": "translated by a network that learnt from random microscopes and saw no target",
    "both_devices": "grey, to a classifier trained on labelled images of both domains: a bound",
    "oracle": "the same object photographed by the source device: the truth, and the limit",
}


def story(
    run: SiteRun, titles: Mapping[str, str], questions: Mapping[str, str],
    found: Mapping[str, Sequence[Picture]],
) -> str:  # fmt: skip
    """The page, as MyST Markdown.

    Parameters
    ----------
    titles, questions, found
        Title, question and pictures of every notebook, by its name.
    """
    title, lead = lead_of((ROOT / "README.md").read_text())
    asked = [f"- [{titles[name]}](notebooks/{name}): {questions[name]}" for name in titles]
    verdicts = [Verdict(**fields) for fields in run.verdicts()]
    return "\n".join(
        [
            f"# {title}",
            "",
            _notice(run),
            "",
            lead,
            "",
            *_sheet(run, found),
            "## What is asked",
            "",
            *asked,
            "",
            "## What this run found",
            "",
            *(_FOUND[run.study](run) if run.study in _FOUND else _embryos_found(run, titles)),
            "## What it says of the published claims",
            "",
            "A rung is what a claim was held against.",
            "",
            *meanings(verdicts),
            "",
            counts(verdicts),
            "",
            "Every claim, with its verdict and the reason, stands in the {doc}`table of claims "
            "</claims>`; every picture, with where it comes from, in the {doc}`index of figures "
            "</figures>`; the code behind both in {doc}`the library </library/index>`.",
            "",
            _contents(titles),
        ]
    )


def _embryos_found(run: SiteRun, titles: Mapping[str, str]) -> Iterator[str]:
    yield (
        f"Profile {run.profile}, {run.images}. The threshold is frozen on validation images of "
        f"the source domain; translators {'' if run.parameters['transductive'] else 'never '}"
        f"saw the evaluated images. Intervals (in brackets) are {PERCENT}.\n"
    )
    yield from _glossary(run)
    yield ""
    yield from _findings(run, titles)
    yield f"### Every arm, {run.images}\n"
    yield _arms(run) + "\n"


def lead_of(readme: str) -> tuple[str, str]:
    """Title of the README and what it says before its first picture, as Markdown.

    Raises
    ------
    ValueError
        It does not begin with a title, paragraphs and a picture.
    """
    parts = re.match(r"# ([^\n]+)\n\n(.+?)\n\n!\[", readme, re.DOTALL)
    if not parts:
        raise ValueError("README.md: a title, what the study is about, then a picture are expected")
    return parts[1], parts[2]


def _notice(run: SiteRun) -> str:
    lines = (ROOT / "params" / f"{run.profile}.yaml").read_text().splitlines()
    header = itertools.takewhile(lambda line: line.startswith("#"), lines)
    words = " ".join(line.lstrip("# ") for line in header)
    what = (
        "The images of this run are synthetic: phantoms in simulated devices; where a "
        "figure shows real ones beside them, it says so. The results say what the method does "
        "where the truth is known. They are no evidence about real ones, and cannot be compared "
        "with published figures."
        if run.synthetic
        else f"This run is on {run.images}. They may not be yours to publish, and these pages show "
        "them."
    )
    return f":::{{important}}\n{what}\n\nThe profile says of itself: *{words}*\n:::"


def _sheet(run: SiteRun, found: Mapping[str, Sequence[Picture]]) -> list[str]:
    for name, pictures in found.items():
        for picture in pictures:
            if picture.name.startswith(SHEET):
                place = f"notebooks/{name}.html#{picture.anchor}"
                image = f"pictures/{name}/{picture.name}.png"
                return [
                    f'<figure class="drawn"><a href="{place}"><img src="{image}" '
                    f'alt="{escaped(picture.alt(run.images))}"></a><figcaption>Images of the '
                    f"hold-out under every arm, not chosen: {escaped(run.images)}."
                    "</figcaption></figure>",
                    "",
                ]
    return []


def _glossary(run: SiteRun) -> Iterator[str]:
    """What each arm of the run is, in the order of the figures."""
    yield "An arm is a way to show target images to the classifier trained on the source domain:\n"
    there = {arm for _, arm, _, _ in compared_arms(run.metrics())}
    yield from (f"- {arm_name(arm)}: {words}" for arm, words in ARMS.items() if arm in there)
    for arm in sorted(arm for arm in there if arm.startswith("labels_")):
        yield f"- {arm_name(arm)}: grey, to a classifier that knows so many of the target: a bound"


def _findings(run: SiteRun, titles: Mapping[str, str]) -> Iterator[str]:
    for name in titles:
        tables = run.folder / name / "tables"
        if not (tables / "differences.csv").is_file():
            continue
        found = pd.read_csv(tables / "differences.csv")
        comparison = pd.read_csv(tables / "table_2.csv")
        (arm,) = set(comparison["arm"]) - set(found["arm"])  # the one the others are held against
        yield f"### {comparison['domain'].iloc[0]}: {arm_name(arm)} against every other arm\n"
        yield (
            f"From [{titles[name]}](notebooks/{name}), one training: the intervals carry the "
            "choice of images, not that of seeds.\n"
        )
        yield control_verdict(found, comparison, arm) + "\n"
        if (tables / "seed_differences.csv").is_file():
            yield "From several trainings, differences paired by image and seed:\n"
            yield difference_verdict(pd.read_csv(tables / "seed_differences.csv")) + "\n"


def _arms(run: SiteRun) -> str:
    found = list(compared_arms(run.metrics()))
    domains = list(dict.fromkeys(domain for domain, *_ in found))
    place = {arm: number for number, arm in enumerate(ARMS)}  # as in the figures; new ones last
    found.sort(key=lambda row: (domains.index(row[0]), place.get(row[1], len(place))))
    rows = [
        [
            escaped(domain.upper() if run.synthetic else domain),
            escaped(arm_name(arm)),
            interval_text(auc),
            interval_text(balanced),
            str(auc["n"]),
            str(auc["seeds"]),
        ]
        for domain, arm, auc, balanced in found
    ]
    columns = ["images of", "arm", "AUC", "balanced accuracy", "n", "trainings"]
    return table(columns, rows, f"Every arm, {run.images}")


def _contents(titles: Mapping[str, str]) -> str:
    def tree(caption: str, pages: Sequence[str]) -> str:
        listed = "\n".join(pages)
        return f"```{{toctree}}\n:caption: {caption}\n:hidden:\n\n{listed}\n```\n"

    notebooks = [f"notebooks/{name}" for name in titles]
    return tree("Notebooks", notebooks) + tree("Reference", ["claims", "figures", "library/index"])
