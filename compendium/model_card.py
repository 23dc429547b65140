"""The model card of one translator."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from compendium.claims.report import markdown_table
from compendium.clinic.expectation import IMAGE_NAMES, MEASURE_NAMES, expectation, interval
from engine.keys import file_digest
from engine.results import Finished
from lib.figures.style import METRIC_NAMES, arm_name
from lib.models.bundle import Bundle, load_bundle
from lib.models.parameters import TranslationParameters
from lib.models.recipes import CONTRASTIVE, SIMULATED

# What a translator is, and beginnings of the parameters that say how it was trained, by its arm.
_EVERY = ("base_", "blocks", "padding", "upsampling", "rate_decay", "precision", "seed")
_TEXTURE = ("texture_loss", "texture_rule", "texture_weight")
_CYCLEGAN = "CycleGAN generator", (
    "pool_", "translator_", "average_", "adversarial_", "cycle_", "identity_"
)  # fmt: skip
_CONTRASTIVE = ("cut_", "translator_batch", "translator_flips")
_KINDS = {arm: (f"{arm_name(arm)} generator", _CONTRASTIVE) for arm in CONTRASTIVE}
_KINDS[SIMULATED] = "generator trained in simulation", ("simulated_",)
WARNINGS = {
    "synthetic": "**Trained and judged on synthetic images.** Synthetic phantoms: nothing below "
    "says how it does on real embryos.",
    "semi-synthetic": "**Trained and judged on semi-synthetic images**: real ones through "
    "simulated optics.",
    "real": "**Trained and judged on real images**, those of its own data card and no others.",
}


def model_card(weights: Path, audit: Finished, judged: Finished) -> str:
    """Markdown: what a translator saw, how it was trained and measured, and where it fails.

    Parameters
    ----------
    weights
        A bundle of ``judged``, the notebook that trained and evaluated it.
    audit
        The notebook that split the images.

    Raises
    ------
    InputError
        The weights cannot be read, or a table of the run is missing.
    """
    bundle = load_bundle(weights)
    p = bundle.params
    textured = bundle.arm.endswith("_texture") and p.texture_loss != "none"
    parts = [
        f"# Model card: {arm_name(bundle.arm)}, {bundle.domain} to {p.source_domain}",
        WARNINGS[kind_of_images(p, bundle.domain)],
        _purpose(bundle),
        "## What it saw",
        _seen(bundle, audit.table("split")),
        "## How it was trained",
        _training(bundle, judged, textured),
        f"File `{weights.name}`, SHA-256 `{file_digest(weights)}`.",
        "## How well it does",
        _performance(bundle, judged),
        "## What a call is worth",
        *_worth(bundle, judged),
        "## Where it fails",
        *_failures(bundle, judged),
        "## Use",
        "For research on domain shift, and for teaching. Look at the pictures and at the gate of "
        "every image that is translated; a translated image is a guess at what the other device "
        "would have shown, never evidence of it. Not for diagnosis, not for choosing an embryo, "
        "not for any decision on a patient. **Not a medical device.**",
    ]
    return "\n\n".join(parts) + "\n"


def kind_of_images(p: TranslationParameters, domain: str) -> str:
    """What a translator from ``domain`` learnt from, a key of ``WARNINGS``."""
    if p.data_kind == "phantom":
        return "synthetic"
    if p.second_target_optics and domain == p.second_target_domain:
        return "semi-synthetic"
    return "real"


def _purpose(bundle: Bundle) -> str:
    p = bundle.params
    view = (
        f"cropped to the embryo ({p.field_of_view} radii to each side)"
        if p.framing == "embryo"
        else "whole"
    )
    numbers = sum(weights.numel() for weights in bundle.generator.parameters())
    trained, _ = _KINDS.get(bundle.arm, _CYCLEGAN)
    return (
        f"Takes a grey image of {bundle.domain}, {view}, {p.image_size} x {p.image_size} pixels, "
        f"and gives it the look of {p.source_domain}, so that a classifier trained on "
        f"{p.source_domain} can read it. A {trained} of {numbers:,} weights; with it lie "
        f"that classifier ({p.classifier}, {len(bundle.gate.classifier.networks)} folds) and a "
        "gate that says which images are strange to it."
    )


def _seen(bundle: Bundle, split: pd.DataFrame) -> str:
    p = bundle.params
    if bundle.arm == SIMULATED:
        what = f"the {p.source_domain} training images of the run"
        if p.data_kind == "phantom":
            what = f"{p.simulated_phantoms} phantoms that occur in no run"
        return (
            f"No image of {bundle.domain}. It learnt from {what}, each as {p.simulated_looks} "
            f"microscopes drawn at random take it and as {p.source_domain} does."
        )
    rows = []
    for domain, parts in (
        (bundle.domain, ["train", "holdout"] if p.transductive else ["train"]),
        (p.source_domain, ["train"]),
    ):
        own = split[(split["domain"] == domain) & split["split"].isin(parts)]
        labels = {name: int((own["label"] == value).sum())
                  for value, name in p.label_names.items()}  # fmt: skip
        rows.append(dict(domain=domain, images=len(own), groups=own["group"].nunique(), **labels))
    scope = (
        "**Transductive**: it was also trained on the very images that it is judged on below, as "
        "in the published study; on new images expect less."
        if p.transductive
        else "Inductive: no image that it is judged on below took part."
    )
    return (
        f"{markdown_table(pd.DataFrame(rows))}\n\nIt never saw a label of {bundle.domain}. {scope} "
        "All images of the run: its `data_card.md`."
    )


def _training(bundle: Bundle, judged: Finished, textured: bool) -> str:
    p, record = bundle.params, judged.record()
    _, own = _KINDS.get(bundle.arm, _CYCLEGAN)
    prefixes = _EVERY + own + _TEXTURE * textured
    settings = {name: value for name, value in p.model_dump().items() if name.startswith(prefixes)}
    if not textured and bundle.arm not in _KINDS:
        settings["texture_loss"] = "none"
    settings |= {"profile": p.profile, "commit": record["commit"] or "unknown"}
    settings |= {"lock file": record["lock"], "device": record["device"]}
    settings |= record["versions"]
    rows = [dict(setting=name, value=f"`{value}`") for name, value in settings.items()]
    return markdown_table(pd.DataFrame(rows))


def _performance(bundle: Bundle, judged: Finished) -> str:
    p = bundle.params
    table = judged.table("table_2")
    own = table[(table["protocol"] == "frozen") & (table["domain"] == bundle.domain)]
    lines = [
        f"Hold-out of {bundle.domain}, read by the {p.source_domain} classifier at the threshold "
        f"frozen on {p.source_domain} validation images; 95 % intervals (BCa over groups). The "
        "other arms, without this translator, stand beside it.",
        "",
        markdown_table(_wide(own, bundle.arm)),
        "",
        _as_good(own, bundle.arm),
    ]
    if p.training_seeds > 1:
        over = judged.table("table_2_seeds")
        lines += [
            "",
            "One training is one draw; this file holds the first. Mean over "
            f"{p.training_seeds} trainings:",
            "",
            markdown_table(_wide(over[over["arm"] == bundle.arm], bundle.arm)),
        ]
    return "\n".join(lines)


def _as_good(table: pd.DataFrame, arm: str) -> str:
    balanced = table[table["metric"] == "balanced_accuracy"].set_index("arm")["value"]
    others = [arm_name(other) for other in balanced.index
              if other not in (arm, "oracle") and balanced[other] >= balanced[arm]]  # fmt: skip
    return f"No worse without it, by balanced accuracy: {', '.join(others) or 'no arm'}."


def _wide(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    """A row an arm, a column a metric, as ``value [low, high]``."""
    text = table.assign(text=[interval(row) for row in table.itertuples()])
    wide = text.pivot_table("text", ["arm", "n"], "metric", "first", sort=False).reset_index()
    names = [f"**{arm_name(one)}**" if one == arm else arm_name(one) for one in wide["arm"]]
    return wide.assign(arm=names)[["arm", *METRIC_NAMES, "n"]].rename(columns=METRIC_NAMES)


def _worth(bundle: Bundle, judged: Finished) -> list[str]:
    """Sensitivity, specificity and predictive values, beside the images untouched and in truth."""
    table = judged.table("decision")
    own = table[table["arm"].isin(["raw", "grey", bundle.arm, "oracle"])]
    text = own.assign(
        text=[interval(row) for row in own.itertuples()], images=own["images"].map(IMAGE_NAMES),
        arm=[arm_name(arm) for arm in own["arm"]],
    ).pivot_table("text", ["images", "arm"], "metric", "first", sort=False)  # fmt: skip
    parts = [
        f"At the frozen threshold, and for the predictive values at a prevalence of "
        f"{own['prevalence'].iloc[0]:.3f}; 95 % intervals. `compendium translate --prevalence` "
        "says the same for another.",
        markdown_table(text.rename(columns=MEASURE_NAMES).reset_index()),
    ]
    expected = expectation(bundle)
    if expected is None:
        return [*parts, "In words: not known, this file was kept without the counts."]
    return parts + [f"**{which.capitalize()}.** {told}" for which, told in expected.words.items()]


def _failures(bundle: Bundle, judged: Finished) -> list[str]:
    p = bundle.params
    arms = [bundle.arm, "oracle"]
    flips = judged.table("label_flips")
    parts = [
        "Calls that an independent classifier changes between the untouched and the translated "
        "image, by true class (the oracle shows what is owed to the look alone):",
        _shares(flips[flips["arm"].isin(arms)].assign(
            label=lambda t: t["label"].map(p.label_names)), ["arm", "label"]),
    ]  # fmt: skip
    if p.data_kind == "phantom":
        kept = judged.table("structures")
        shown = kept[kept["arm"].isin([*arms, "grey"]) & (kept["measure"] != "dice")]
        if len(shown):
            parts += [
                "Structures that carry the diagnosis, found where there are none (invented) or "
                "lost (erased), against the truth; the oracle's are the judge's own errors:",
                _shares(shown, ["arm", "structure", "measure"]),
            ]
        parts += _unseen(judged.table("structure_judge"))
    else:
        parts.append(
            "Whether it invents or erases structures was **not measured**: nobody has drawn them "
            "in these images."
        )
    if p.prior_stress:
        stress = judged.table("prior_stress")
        parts += [
            "Another mix of classes: calls changed by translators of the same recipe, with the "
            "texture loss, trained on target images with this share of positives:",
            _shares(stress[stress["arm"] == "mix"].rename(columns={"share": "positives"}).assign(
                label=lambda t: t["label"].map(p.label_names)), ["positives", "label"]),
        ]  # fmt: skip
    else:
        parts.append(
            "How it behaves when the mix of classes differs from that of its training was **not "
            "measured** in this run (`prior_stress`)."
        )
    return [*parts, _gate(bundle, judged), _copies(bundle, judged), _elsewhere(bundle)]


def _unseen(judge: pd.DataFrame) -> list[str]:
    """What the segmenting network cannot see in the truth either, a sentence each."""
    # Of each structure the view that it reads worst: that one silenced it.
    worst = judge[~judge["speaks"]].sort_values("value").drop_duplicates("structure").sort_index()
    return [
        f"**Not measured for {row.structure}**: in the true photographs, too, the segmenting "
        f"network outlines it with a Dice of {interval(row)} only (n = {row.n}; {row.view})."
        for row in worst.itertuples()
    ]


def _shares(table: pd.DataFrame, keys: list[str], name: str = "share") -> str:
    shown = table[keys].assign(
        **{f"{name} of images": [interval(row) for row in table.itertuples()]}
    )
    if "arm" in keys:
        shown["arm"] = [arm_name(arm) for arm in shown["arm"]]
    return markdown_table(shown.assign(n=table["n"]))


def _gate(bundle: Bundle, judged: Finished) -> str:
    text = (
        f"The gate stops images with a score above {bundle.gate.threshold:.3f}, set on "
        f"{bundle.params.source_domain} validation images alone."
    )
    gate = judged.table("gate").query("arm == @bundle.arm")
    if len(gate):
        text += (
            f" Of {len(gate)} hold-out images it passes {int(gate['passes'].sum())}; of those "
            f"{int((gate['passes'] & gate['wrong']).sum())} are misread all the same, of the "
            f"stopped ones {int((~gate['passes'] & gate['wrong']).sum())}."
        )
    return text


def _copies(bundle: Bundle, judged: Finished) -> str:
    table = judged.table("memorisation").set_index("arm")
    return (
        f"Share of its images that lie nearer to a training image than all but one in a hundred "
        f"unseen source images: {table.loc[bundle.arm, 'copies']:.3f} of "
        f"{int(table.loc[bundle.arm, 'n'])}. Much above 0.01, it hands out its training images."
    )


def _elsewhere(bundle: Bundle) -> str:
    p = bundle.params
    return (
        f"It knows {bundle.domain} and {p.source_domain} only. For any other device, other optics, "
        "another stage or stain nothing was measured, and its pictures will look convincing."
    )
