"""Parameters of the networks: the classifier, the translator, and both on one set of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from engine.parameters import Parameters
from engine.processes import process_count
from lib.data.parameters import ImageParameters

# A new texture loss is a name here and a line in lib.models.texture.
TextureName = Literal[
    "none",
    "efficientnet",
    "random",
    "imagenet_early",
    "imagenet_middle",
    "classifier",
    "gram",
    "gradient",
    "mind",
    "energy",
    "structure",
]
RuleName = Literal["constant", "linear", "gradient_ratio", "constrained"]

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


class ClassifierParameters(Parameters):
    """The source classifier and its training."""

    classifier: str = "resnet10t"  # any timm model
    compared_classifiers: str = ""  # further timm models of Table 1, separated by commas
    classifier_weights: str = ""  # "": from scratch; "timm"; "imagenet"; or a local file
    classifier_epochs: int = Field(12, ge=1, le=1000)
    classifier_batch: int = Field(32, ge=2, le=4096)
    classifier_rate: float = Field(1e-3, gt=0.0, lt=1.0)
    classifier_blur: float = Field(0.0, ge=0.0, le=32.0)  # px, sigma; see lib.models.classifier
    colour_folds: int = Field(5, ge=1, le=20)  # folds of the RGB classifier that the raw arm needs


class TranslatorParameters(Parameters):
    """The translator, its losses and its training.

    A key that a file leaves out takes the value of ``preset``.
    """

    preset: Literal["seed", "reference"] = "reference"
    base_filters: int = Field(64, ge=4, le=256)
    blocks: int = Field(9, ge=1, le=32)
    padding: Literal["zeros", "reflect"] = "reflect"
    upsampling: Literal["transposed", "resize", "shuffle"] = "resize"
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
    texture_loss: TextureName = "classifier"
    # A timm model of the losses efficientnet and random; that of the published study is
    # tf_efficientnet_b7 with the weights "timm", a download.
    texture_network: str = "tf_efficientnet_lite0"
    texture_network_weights: str = "imagenet"  # as classifier_weights; of efficientnet, not empty
    texture_rule: RuleName = "gradient_ratio"
    texture_weight: float = Field(1.0, ge=0.0)
    texture_final_weight: float = Field(0.1, ge=0.0)  # linear rule
    texture_bound: float = Field(0.1, gt=0.0)  # constrained rule, in units of the loss
    simulated_phantoms: int = Field(1200, ge=8, le=1_000_000)  # that the simulated arm learns from
    simulated_looks: int = Field(4, ge=1, le=64)  # random machines that photograph each of them
    simulated_steps: int = Field(2400, ge=1)
    simulated_batch: int = Field(4, ge=1, le=1024)  # pairs
    simulated_rate: float = Field(1e-3, gt=0.0, lt=1.0)
    simulated_texture_loss: TextureName = "energy"  # between translation and truth
    simulated_texture_rule: RuleName = "constant"  # against the error to the truth
    simulated_texture_weight: float = Field(1.0, ge=0.0)
    transductive: bool = False  # True: the translator also trains on the evaluated images

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        preset = PRESETS.get(given.get("preset", "reference"), {})
        return {**preset, **given}

    @model_validator(mode="after")
    def _published_loss_has_its_weights(self) -> TranslatorParameters:
        losses = (self.texture_loss, self.simulated_texture_loss)
        if "efficientnet" in losses and not self.texture_network_weights:
            raise ValueError(
                "the texture loss efficientnet compares features of ImageNet, and "
                "texture_network_weights is empty. Set it to imagenet with "
                "texture_network=tf_efficientnet_lite0, to timm or to a local file; or take "
                "random, which is the same loss of an untrained network"
            )
        return self


class TranslationParameters(ImageParameters, ClassifierParameters, TranslatorParameters):
    """Images of several devices, a classifier of one of them, and translators to it."""

    fda_beta: float = Field(0.05, gt=0.0, le=0.5)  # share of the spectrum taken from the source

    @model_validator(mode="after")
    def _folds_agree(self) -> TranslationParameters:
        if self.colour_folds > self.folds:
            raise ValueError(f"colour_folds={self.colour_folds} exceeds folds={self.folds}")
        return self


def chosen_settings(params: Parameters, prefixes: Sequence[str]) -> dict[str, Any]:
    """Parameters whose names begin with one of ``prefixes``, as part of a key.

    Processes that train together end as one with the batches of all.
    """
    values = params.model_dump()
    for batch in {"classifier_batch", "translator_batch"} & set(values):
        values[batch] *= process_count()
    return {key: value for key, value in values.items() if key.startswith(tuple(prefixes))}
