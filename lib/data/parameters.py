"""Parameters of the images: their source, their number, and what the networks see of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from engine.keys import safe_key
from engine.parameters import Parameters


class ImageParameters(Parameters):
    """Source, domains, counts, framing and split of the images."""

    data_kind: Literal["phantom", "folders", "table", "timelapse"] = "phantom"
    data_dir: str = ""  # folder below the data root
    label_rule: Literal["folder1", "folders12"] = "folder1"
    label_column: str = "label"
    group_column: str = ""  # empty: every image is its own group
    positive_label: str = "1"
    negative_label: str = "0"
    focal_planes: int = Field(3, ge=1, le=7)  # of a stack, around its middle
    channel: int = Field(0, ge=0, le=64)  # of several, from 1; 0: there must be one
    frames_per_embryo: int = Field(8, ge=1, le=1000)
    source_domain: str = "ED4"
    target_domain: str = "ED1"
    second_target_domain: str = "ED3"
    second_target_optics: Literal["", "ED1", "ED3"] = ""  # photograph source images with it
    source_count: int = Field(1000, ge=10, le=1_000_000)  # phantoms
    target_count: int = Field(400, ge=10, le=1_000_000)
    second_target_count: int = Field(300, ge=10, le=1_000_000)
    positive_share: float = Field(0.6, gt=0.0, lt=1.0)
    phantom_label: Literal["cavity", "grain"] = "cavity"  # what a phantom's diagnosis is read from
    phantom_width: int = Field(128, ge=32, le=2048)  # px, width of the source device's photograph
    image_size: int = Field(64, ge=32, le=1024)  # px, side of what the networks see
    fit: Literal["pad", "crop"] = "pad"
    framing: Literal["embryo", "whole"] = "embryo"
    field_of_view: float = Field(1.15, ge=1.0, le=4.0)  # half side of the crop, in embryo radii
    memory_mb: int = Field(2048, ge=16)  # image stacks beyond it are memory-mapped
    holdout_share: float = Field(0.2, gt=0.0, lt=0.9)  # of the source domain
    target_holdout_share: float = Field(0.5, gt=0.0, lt=0.9)  # of the target domains
    folds: int = Field(5, ge=2, le=20)

    @property
    def facts(self) -> tuple[str, ...]:
        """What the images are and how large, and what every run says."""
        images = "synthetic images (phantom)" if self.data_kind == "phantom" else "real images"
        return (images, f"{self.image_size} px", *super().facts)

    @property
    def label_names(self) -> dict[int, str]:
        """What label 0 and 1 mean, as figures print it."""
        if self.data_kind == "table":
            return {0: self.negative_label, 1: self.positive_label}
        if self.phantom_label == "grain":
            return {0: "coarse grain", 1: "fine grain"}
        return {0: "no blastocyst", 1: "blastocyst"}

    @property
    def counted(self) -> tuple[str, str]:
        """What is counted in a sentence, and those of label 1 among it, in the plural."""
        positive = self.label_names[1]
        if positive == "blastocyst":
            return "embryos", "blastocysts"
        if self.phantom_label == "grain":
            return "embryos", "of fine grain"
        return "images", f"of class {positive}"

    @property
    def holdout_shares(self) -> dict[str, float]:
        """Share of every domain that is held out."""
        shares = dict.fromkeys(self.targets, self.target_holdout_share)
        if self.second_target_optics:  # the source's own images once more, in the same place
            shares[self.second_target_domain] = self.holdout_share
        return {self.source_domain: self.holdout_share, **shares}

    def key(self, domain: str) -> str:
        """``domain`` as it stands in names of files and metrics."""
        return safe_key(domain)

    @property
    def targets(self) -> tuple[str, str]:
        """Both target domains."""
        return self.target_domain, self.second_target_domain

    @model_validator(mode="after")
    def _images_agree(self) -> ImageParameters:
        domains = [self.source_domain, self.target_domain, self.second_target_domain]
        if len(set(domains)) < 3:
            raise ValueError(f"source, target and second target must differ, got {domains}")
        if len({safe_key(domain) for domain in domains}) < 3:
            raise ValueError(
                f"source, target and second target differ in signs only, got {domains}: names of "
                "files and metrics would be the same"
            )
        if self.image_size % 4:
            raise ValueError(f"image_size must be a multiple of 4, got {self.image_size}")
        if self.data_kind != "phantom" and not self.data_dir:
            raise ValueError("data_dir is empty: name the folder of the images below the data root")
        if self.data_kind != "phantom" and self.phantom_label != "cavity":
            raise ValueError(
                f"phantom_label={self.phantom_label} is a diagnosis of phantoms, and data_kind is "
                f"{self.data_kind}: leave phantom_label out, or set data_kind to phantom"
            )
        if self.data_kind == "phantom" and self.second_target_optics:
            raise ValueError("second_target_optics photographs real images again: leave it empty")
        return self
