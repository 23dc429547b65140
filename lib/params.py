"""Typed parameters of a run; the only reader of ``params/``."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class InputError(ValueError):
    """Something a user handed in cannot be used; the message names it and the remedy."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook or page shows: the message, which is for a user, and no lines of code."""
        return [f"error: {self}"]


PRESETS: dict[str, dict[str, Any]] = {
    # The networks, losses and optimiser of the published code, to the letter.
    "seed": dict(
        base_filters=64,
        blocks=9,
        padding="zeros",
        upsampling="transposed",
        pool_size=0,
        translator_batch=1,
        translator_flips=False,
        translator_rate=2e-4,
        rate_decay_start=1.0,
        average_weights=False,
        adversarial_weight=1.0,
        cycle_weight=1.0,
        identity_weight=1.0,
        texture_loss="efficientnet",
        texture_rule="linear",
        texture_weight=1.0,
        texture_final_weight=0.1,
    ),
    # Zhu et al. 2017: cycle 10, identity 5, image pool, reflection, flips, rate to zero at the end.
    "reference": dict(
        base_filters=64,
        blocks=9,
        padding="reflect",
        upsampling="resize",
        pool_size=50,
        translator_batch=1,
        translator_flips=True,
        translator_rate=2e-4,
        rate_decay_start=0.5,
        average_weights=False,
        adversarial_weight=1.0,
        cycle_weight=10.0,
        identity_weight=5.0,
        texture_loss="classifier",
        texture_rule="gradient_ratio",
        texture_weight=1.0,
        texture_final_weight=0.1,
    ),
}


class Params(BaseModel):
    """All parameters of a run: flat, typed, bounded; unknown keys are refused.

    A translator key that a file leaves out takes the value of ``preset``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    # The run
    profile: str = Field("quick", pattern=r"^[a-z][a-z0-9_]*$")
    seed: int = Field(0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "64-true"] = "32-true"
    threads: int = Field(2, ge=1, le=256)
    refuse_nondeterministic: bool = False  # stop at such an operation; else run.json names it
    checkpoint_seconds: float = Field(60.0, ge=0.0)  # between checkpoints; 0: every step
    training_seeds: int = Field(1, ge=1, le=100)  # notebook 04 trains all arms from this many

    # The images
    data_kind: Literal["phantom", "folders", "table", "timelapse"] = "phantom"
    data_dir: str = ""  # folder below the data root
    label_rule: Literal["folder1", "folders12"] = "folder1"
    label_column: str = "label"
    group_column: str = ""  # empty: every image is its own group
    positive_label: str = "1"
    negative_label: str = "0"
    focal_planes: int = Field(3, ge=1, le=7)
    frames_per_embryo: int = Field(8, ge=1, le=1000)
    source_domain: str = "ED4"
    target_domain: str = "ED1"
    second_target_domain: str = "ED3"
    second_target_optics: Literal["", "ED1", "ED3"] = ""  # photograph source images with it
    source_count: int = Field(1000, ge=10, le=1_000_000)  # phantoms
    target_count: int = Field(400, ge=10, le=1_000_000)
    second_target_count: int = Field(300, ge=10, le=1_000_000)
    positive_share: float = Field(0.6, gt=0.0, lt=1.0)
    phantom_width: int = Field(128, ge=32, le=2048)  # px, width of the source device's photograph
    image_size: int = Field(64, ge=32, le=1024)  # px, side of what the networks see
    fit: Literal["pad", "crop"] = "pad"
    framing: Literal["embryo", "whole"] = "embryo"
    field_of_view: float = Field(1.15, ge=1.0, le=4.0)  # half side of the crop, in embryo radii
    memory_mb: int = Field(2048, ge=16)  # image stacks beyond it are memory-mapped
    holdout_share: float = Field(0.2, gt=0.0, lt=0.9)  # of the source domain
    target_holdout_share: float = Field(0.5, gt=0.0, lt=0.9)  # of the target domains
    folds: int = Field(5, ge=2, le=20)

    # The classifier
    classifier: str = "resnet10t"  # any timm model
    compared_classifiers: str = ""  # further timm models of Table 1, separated by commas
    classifier_weights: str = ""  # empty: from scratch; "timm": pretrained; else a local file
    classifier_epochs: int = Field(12, ge=1, le=1000)
    classifier_batch: int = Field(32, ge=2, le=4096)
    classifier_rate: float = Field(1e-3, gt=0.0, lt=1.0)
    classifier_blur: float = Field(0.0, ge=0.0, le=32.0)  # px, sigma; see lib.models.classifier
    colour_folds: int = Field(5, ge=1, le=20)  # folds of the RGB classifier that the raw arm needs

    # The translator
    preset: Literal["seed", "reference"] = "reference"
    base_filters: int = Field(64, ge=4, le=256)
    blocks: int = Field(9, ge=1, le=32)
    padding: Literal["zeros", "reflect"] = "reflect"
    upsampling: Literal["transposed", "resize"] = "resize"
    pool_size: int = Field(50, ge=0, le=10_000)  # images
    translator_batch: int = Field(1, ge=1, le=1024)
    translator_accumulation: int = Field(1, ge=1, le=1024)  # batches before each update
    translator_compile: bool = False  # torch.compile: minutes before the first step
    translator_flips: bool = True  # mirror images left to right at random
    translator_rate: float = Field(2e-4, gt=0.0, lt=1.0)
    translator_steps: int = Field(500, ge=1)
    rate_decay_start: float = Field(0.5, ge=0.0, le=1.0)  # share of the steps before the decay
    average_weights: bool = False  # generators: a mean over the steps, see lib.models.translation
    adversarial_weight: float = Field(1.0, ge=0.0)
    cycle_weight: float = Field(10.0, ge=0.0)
    identity_weight: float = Field(5.0, ge=0.0)  # 0 skips its passes, a third of the work
    texture_loss: Literal["none", "efficientnet", "classifier", "gram", "gradient", "mind"] = (
        "classifier"
    )
    texture_network: str = "tf_efficientnet_b7"  # timm model of the efficientnet loss
    texture_network_weights: str = "timm"  # as classifier_weights
    texture_rule: Literal["constant", "linear", "gradient_ratio", "constrained"] = "gradient_ratio"
    texture_weight: float = Field(1.0, ge=0.0)
    texture_final_weight: float = Field(0.1, ge=0.0)  # linear rule
    texture_bound: float = Field(0.1, gt=0.0)  # constrained rule, in units of the loss
    texture_strong_weight: float = Field(30.0, gt=0.0)  # times the weight, in an ablation
    ablation_steps: int = Field(300, ge=1)  # the ablations that are known to fail
    loss_study: bool = False  # notebook 03: every texture loss and weight rule, from every seed
    prior_stress: bool = False  # translators for other shares of positives, in notebook 04
    transductive: bool = False  # True: the translator also trains on the evaluated images

    # The controls
    fda_beta: float = Field(0.05, gt=0.0, le=0.5)  # share of the spectrum taken from the source

    @property
    def further_seeds(self) -> range:
        """Training seeds besides ``seed``."""
        return range(self.seed + 1, self.seed + self.training_seeds)

    @property
    def label_names(self) -> dict[int, str]:
        """What label 0 and 1 mean, as figures print it."""
        if self.data_kind == "table":
            return {0: self.negative_label, 1: self.positive_label}
        return {0: "no blastocyst", 1: "blastocyst"}

    @property
    def holdout_shares(self) -> dict[str, float]:
        """Share of every domain that is held out."""
        shares = dict.fromkeys(self.targets, self.target_holdout_share)
        if self.second_target_optics:  # the source's own images once more, in the same place
            shares[self.second_target_domain] = self.holdout_share
        return {self.source_domain: self.holdout_share, **shares}

    @property
    def targets(self) -> tuple[str, str]:
        """Both target domains."""
        return self.target_domain, self.second_target_domain

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        preset = PRESETS.get(given.get("preset", "reference"), {})
        return {**preset, **given}

    @model_validator(mode="after")
    def _agree(self) -> Params:
        domains = [self.source_domain, self.target_domain, self.second_target_domain]
        if len(set(domains)) < 3:
            raise ValueError(f"source, target and second target must differ, got {domains}")
        if self.image_size % 4:
            raise ValueError(f"image_size must be a multiple of 4, got {self.image_size}")
        if self.data_kind != "phantom" and not self.data_dir:
            raise ValueError("data_dir is empty: name the folder of the images below the data root")
        if self.data_kind == "phantom" and self.second_target_optics:
            raise ValueError("second_target_optics photographs real images again: leave it empty")
        if self.colour_folds > self.folds:
            raise ValueError(f"colour_folds={self.colour_folds} exceeds folds={self.folds}")
        return self


def _explain(error: ValidationError, origin: str) -> str:
    lines = [f"{origin}: {error.error_count()} parameter(s) refused."]
    for problem in error.errors():
        name = ".".join(map(str, problem["loc"])) or "parameters"
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, Params.model_fields, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else "remove it."
            lines.append(f"  {name}: no such parameter; {hint}")
            continue
        hint = ""
        if isinstance(problem["input"], str) and problem["type"] in ("float_type", "int_type"):
            hint = " YAML reads this as text: write a plain number, 2.0e-4 for 2e-4."
        value = "" if name == "parameters" else f" (got {problem['input']!r})"
        lines.append(f"  {name}: {problem['msg']}{value}.{hint}")
    return "\n".join(lines)


def check_params(values: dict[str, Any], origin: str) -> Params:
    """Validate ``values``; ``origin`` names where they came from in the error.

    Raises
    ------
    InputError
        Unknown key (the nearest valid one is named), wrong type, value out of range.
    """
    try:
        return Params(**values)
    except ValidationError as error:
        raise InputError(_explain(error, origin)) from None


def load_params(path: str | Path, **overrides: Any) -> Params:
    """Read one parameter file of ``params/``; ``overrides`` win over the file.

    Raises
    ------
    InputError
        The file is missing, is no flat YAML mapping, or a value is refused.
    """
    path = Path(path)
    if not path.is_file():
        profiles = {beside.stem for beside in path.parent.glob("*.yaml")} - {"claims"}
        known = ", ".join(sorted(profiles)) or "none"
        raise InputError(
            f"{path}: no such parameter file. Profiles beside it: {known}. Give the path of one, "
            "as params/quick.yaml."
        )
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML ({error}). Correct the file.") from None
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: {type(values).__name__} instead of lines 'name: value'. Write one for each "
            "parameter."
        )
    return check_params({**values, **overrides}, str(path))


def parameters_in(namespace: dict[str, Any]) -> Params:
    """Validate the parameters among the global variables of a notebook."""
    values = {name: namespace[name] for name in Params.model_fields if name in namespace}
    return check_params(values, "the notebook's parameters")
