"""Parameters of fields of cells or tissue: their source, their size, how they are divided."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from engine.keys import safe_key
from engine.parameters import Parameters


class FieldParameters(Parameters):
    """Source, domains, size and split of fields in which objects are drawn."""

    data_kind: Literal["phantom", "table"] = "phantom"
    data_dir: str = ""  # folder of the source's images below the data root
    source_domain: str = "source"
    target_domain: str = "target"
    image_size: int = Field(64, ge=32, le=1024)  # px, side of what the networks see
    holdout_share: float = Field(0.375, gt=0.0, lt=0.9)  # of the groups of either domain
    valid_share: float = Field(0.2, gt=0.0, lt=0.9)  # of the groups that are left

    @property
    def facts(self) -> tuple[str, ...]:
        """What the images are and how large, and what every run says."""
        images = "synthetic images (phantom)" if self.data_kind == "phantom" else "real images"
        return (images, f"{self.image_size} px", *super().facts)

    def key(self, domain: str) -> str:
        """``domain`` as it stands in names of files and metrics."""
        return safe_key(domain)

    @model_validator(mode="after")
    def _fields_agree(self) -> FieldParameters:
        if safe_key(self.source_domain) == safe_key(self.target_domain):
            raise ValueError(f"source and target must differ, got {self.source_domain} twice")
        if self.image_size % 4:
            raise ValueError(f"image_size must be a multiple of 4, got {self.image_size}")
        if self.data_kind != "phantom" and not self.data_dir:
            raise ValueError("data_dir is empty: name the folder of the images below the data root")
        return self
