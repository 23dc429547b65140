"""The tables of the README and the guides, written from kept results and from the code alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from compendium.architecture import PAGE as ARCHITECTURE
from compendium.architecture import rooms_table
from compendium.architecture_picture import write_picture
from compendium.bench.text import growth_text, speed_text
from compendium.claims.consistency import Verdict
from compendium.claims.published import adaptation
from compendium.claims.report import markdown_table, summary
from compendium.field_results import cell_results, finished_notebook, stain_results
from engine.parameters import load_params
from engine.paths import ROOT
from engine.results import Finished
from lib.evaluation.transfer import real_words
from lib.figures import augmentation_words, stain_words, stains
from lib.figures.cell_words import (
    count_words,
    gap_words,
    published_words,
    texture_words,
    translation_words,
)
from lib.figures.severity import published_untouched, severity_words
from lib.figures.study import study_answer
from lib.figures.style import arm_name, interval_text
from lib.figures.verdicts import control_verdict, difference_verdict
from lib.models.fitting import SIMULATED

REFERENCE = ROOT / "results" / "reference"
PROFILES = {"phantom_full": "synthetic", "sperm": "real"}
RIVALS = ROOT / "docs" / "rivals.md"
TEXTURES = ROOT / "docs" / "texture_study.md"
PAGES = (
    ROOT / "README.md", ROOT / "docs" / "own_devices.md", RIVALS, TEXTURES,
    ROOT / "docs" / "cells.md", ROOT / "docs" / "stain.md", ARCHITECTURE,
)  # fmt: skip
BLOCK = re.compile(
    r"<!-- (results|severity|fidelity|real|seeds|claims|own_devices|bench|growth|rooms|trials"
    r"|cells|cells_found|textures|stain|stain_found) -->"
    r"\n.*?<!-- /\1 -->",
    re.DOTALL,
)


def results_table() -> str:
    """Markdown table: AUC and balanced accuracy of every arm of the profiles that are kept.

    A comparison of arms is wherever untouched grey images were judged; ``trainings`` is the number
    of seeds that a number is the mean of.
    """
    lines = [
        "| images | domain | arm | AUC | balanced accuracy | n | trainings |",
        "|---|---|---|---|---|---|---|",
    ]
    for profile, kind in PROFILES.items():
        kept = REFERENCE / profile / "metrics.json"
        if not kept.is_file():
            continue
        params = load_params(ROOT / "params" / f"{profile}.yaml")
        metrics = json.loads(kept.read_text())
        for domain, arm, auc, balanced in compared_arms(metrics):
            simulated = params.second_target_optics and domain == params.key(params.targets[1])
            words = f"{profile}: **{'semi-synthetic' if simulated else kind}**"
            cells = [words, domain, arm_name(arm), interval_text(auc), interval_text(balanced)]
            cells += [auc["n"], auc["seeds"]]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def compared_arms(metrics: Mapping[str, dict]) -> Iterator[tuple[str, str, dict, dict]]:
    """Domain, arm, AUC and balanced accuracy of every arm, wherever grey images were judged."""
    for grey in (name for name in metrics if name.endswith(".grey.auc")):
        start = grey.removesuffix("grey.auc")
        for name, auc in metrics.items():
            if name.startswith(start) and name.endswith(".auc"):
                arm = name.removeprefix(start).removesuffix(".auc")
                yield start.split(".")[1], arm, auc, metrics[f"{start}{arm}.balanced_accuracy"]


def seeds_text() -> str:
    """Markdown: what several trainings agree on, arm by arm."""
    lines = []
    for path in sorted((REFERENCE / "phantom_full").glob("*/tables/seed_differences.csv")):
        lines += [difference_verdict(pd.read_csv(path)), ""]
    return "\n".join(lines)


def severity_text() -> str:
    """Markdown: from which shift on translation helps, by the kept run of quick."""
    (kept,) = (REFERENCE / "quick").glob("*/tables/severity_gains.csv")
    gains = pd.read_csv(kept)
    target = load_params(ROOT / "params" / "quick.yaml").target_domain
    return severity_words(gains, SIMULATED, published_untouched(adaptation(target))) + "\n"


def fidelity_text() -> str:
    """Markdown: which translators are truer to the embryo, by the most trainings that are kept."""
    for profile in ("phantom_full", "quick"):
        for kept in (REFERENCE / profile).glob("*/tables/fidelity_differences.csv"):
            return f"{profile}: {difference_verdict(pd.read_csv(kept))}\n"
    return ""


def real_text() -> str:
    """Markdown: what the translators that learnt from phantoms make of real embryos."""
    (kept,) = (REFERENCE / "quick").glob("*/tables/real_embryos.csv")
    return real_words(pd.read_csv(kept)) + "\n"


def claims_table() -> str:
    """Markdown: how the claims were judged, and the published figures that do not agree."""
    kept = REFERENCE / "phantom_full" / "claims.json"
    if not kept.is_file():
        return ""
    verdicts = [Verdict(**verdict) for verdict in json.loads(kept.read_text())]
    lines = [markdown_table(summary(verdicts).reset_index())]
    odd = [verdict for verdict in verdicts if verdict.verdict == "inconsistent"]
    lines += ["", "Published figures that do not agree with other published figures:", ""]
    lines += [f"- `{verdict.claim}`: {verdict.why}" for verdict in odd]
    return "\n".join(lines) + "\n"


def own_devices_text() -> str:
    """Markdown: Table 2 of the first target of the run on real images, and what it allows to say.

    The arms at the frozen threshold, then the controls that do as well as the translator.
    """
    folder = REFERENCE / "sperm"
    manifest = json.loads((folder / "manifest.json").read_text())
    domain = manifest["parameters"]["target_domain"]
    lines = ["| arm | balanced accuracy | AUC | n |", "|---|---|---|---|"]
    for path in sorted(folder.glob("*/tables/table_2.csv")):
        finished = Finished(path.parent.parent.name, path.parent.parent)
        table = finished.table("table_2")
        if set(table["domain"]) != {domain}:
            continue
        frozen = table[table["protocol"] == "frozen"].set_index(["arm", "metric"])
        for arm in frozen.index.unique("arm"):
            metrics = [frozen.loc[(arm, metric)] for metric in ("balanced_accuracy", "auc")]
            cells = [arm_name(arm), *map(interval_text, metrics), str(metrics[0]["n"])]
            lines.append(f"| {' | '.join(cells)} |")
        found = finished.table("differences")
        (arm,) = set(table["arm"]) - set(found["arm"])  # the one that is held against all others
        lines += ["", control_verdict(found, table, arm), ""]
    lines.append(
        f"Hold-out of {domain}, 95 % intervals (BCa). All five notebooks took "
        f"{manifest['seconds'] / 60:.0f} minutes of computing ({', '.join(manifest['device'])})."
    )
    return "\n".join(lines) + "\n"


def textures_text() -> str:
    """Markdown: whether a texture loss helps, over several trainings."""
    return study_answer(pd.read_csv(TEXTURES.with_suffix(".csv"))) + "\n"


def cells_text() -> str:
    """Markdown: what is lost between two microscopes for cells, and what comes back."""
    return gap_words(*cell_results(REFERENCE / "cells")) + "\n"


def cells_found_text() -> str:
    """Markdown: translation against random looks, texture losses, and the published order."""
    scores, table, _ = cell_results(REFERENCE / "cells")
    words = [
        translation_words(scores, table),
        texture_words(scores),
        published_words(scores, table),
        count_words(scores, ["unet", "cyclegan", "simulated", "random_optics", "target"]),
    ]
    return "\n\n".join(words) + "\n"


def stain_text() -> str:
    """Markdown: what another stain takes of nuclei, and what translation brings back."""
    scores, table, home = stain_results(REFERENCE / "stain")
    words = (stain_words.gap_words(scores, table, home), stain_words.control_words(scores, table))
    return "\n".join(words) + "\n"


def stain_found_text() -> str:
    """Markdown: losses, random stains, quality beside use, the Ki67 index, and GAN augmentation."""
    folder = REFERENCE / "stain"
    scores, table, _ = stain_results(folder)
    kept = finished_notebook(folder)
    errors = kept.table("index_errors")
    names = {kind: stains.kind_name(kind) for kind in errors["image"]}
    parts = {
        "Texture losses, CUT, a mean of all": stain_words.texture_words(scores),
        "Detectors under changed stains": stain_words.random_words(scores, table),
        "Measures of image quality": stain_words.agreement_words(kept.table("rank_agreement")),
        "The Ki67 index": stain_words.index_words(errors, names),
        "GANs": augmentation_words.gan_words(kept.table("gan_distances")),
        "Classifiers": augmentation_words.way_words(kept.table("augmentation_differences")),
    }
    return "\n\n".join(f"**{title}**\n\n{words}" for title, words in parts.items()) + "\n"


def trials_table() -> str:
    """Markdown table: the settings of adapted classifiers that were tried."""
    tried = pd.read_csv(RIVALS.with_suffix(".csv"), dtype=str, keep_default_na=False)
    return markdown_table(tried.assign(arm=tried["arm"].map(arm_name))) + "\n"


def bench_texts() -> str:
    """Markdown: speed, precision and time to quality on every machine that was measured."""
    return "\n".join(map(speed_text, _benches()))


def growth_of_one() -> str:
    """Markdown: cost against the number of images, on the first machine that has it."""
    return next(filter(None, map(growth_text, _benches())), "")


def _benches() -> list[Path]:
    return sorted(REFERENCE.glob("bench/*/bench.json"))


def filled(text: str) -> str:
    """A text with its generated blocks replaced."""
    tables = dict(
        results=results_table, severity=severity_text, fidelity=fidelity_text, real=real_text,
        seeds=seeds_text,
        claims=claims_table, own_devices=own_devices_text, bench=bench_texts, growth=growth_of_one,
        rooms=rooms_table, trials=trials_table, cells=cells_text, cells_found=cells_found_text,
        textures=textures_text, stain=stain_text, stain_found=stain_found_text,
    )  # fmt: skip
    return BLOCK.sub(
        lambda found: f"<!-- {found[1]} -->\n{tables[found[1]]()}<!-- /{found[1]} -->", text
    )


def write_pages() -> None:
    """Write the generated blocks of the README and the guides anew, and the picture of the code."""
    for path in PAGES:
        path.write_text(filled(path.read_text()))
    write_picture()
