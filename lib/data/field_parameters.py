"""Parameters of fields of cells: their source, their number, how they are divided."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from engine.keys import safe_key
from engine.parameters import Parameters

ROWS, COLUMNS = 3, 4  # of tiles in a frame, as the published study cut its own
_LIVECELL = {
    "target_dir": "the folder of the videos' frames below the data root",
    "annotations": "the json files below data_dir, with commas between them",
    "lines": "the cell lines that are used, with commas between them",
}


class FieldParameters(Parameters):
    """Source, domains, counts and split of fields of cells."""

    # livecell: the published study's own data, LIVECell in data_dir and videos in target_dir
    data_kind: Literal["phantom", "table", "livecell"] = "phantom"
    data_dir: str = ""  # folder below the data root
    annotations: str = (
        "livecell_coco_train.json,livecell_coco_val.json,livecell_coco_test.json"  # below data_dir
    )
    lines: str = "A172,BT474,BV2,Huh7,MCF7,SHSY5Y,SkBr3,SKOV3"  # cell lines that are used
    target_dir: str = ""  # folder of the unpacked videos below the data root
    frame_step: int = Field(1, ge=1)  # every so manyth frame of a video, and all that have a mask
    mask_column: str = "instances"  # of labels.csv, where the mask files stand
    mask_threshold: int = Field(0, ge=0, lt=256)  # object above it; 0: the file has instances
    drawn_by: Literal["expert", "model"] = "expert"  # those masks
    channel: int = Field(0, ge=0, le=64)  # of several, from 1; 0: there must be one
    source_domain: str = "phase"
    target_domain: str = "gel"
    # px, side of the centred square that is shown, of livecell of every tile; 0: all
    source_window: int = Field(0, ge=0)
    target_window: int = Field(0, ge=0)
    source_frames: int = Field(40, ge=4, le=100_000)  # phantoms
    target_frames: int = Field(40, ge=4, le=100_000)
    image_size: int = Field(64, ge=32, le=1024)  # px, side of what the networks see
    holdout_share: float = Field(0.375, gt=0.0, lt=0.9)  # of the groups of either domain
    valid_share: float = Field(0.2, gt=0.0, lt=0.9)  # of the groups that are left

    @property
    def facts(self) -> tuple[str, ...]:
        """What the images are and how large, and what every run says."""
        images = "synthetic images (phantom)" if self.data_kind == "phantom" else "real images"
        return (images, f"{self.image_size} px", *super().facts)

    @property
    def windows(self) -> dict[str, int]:
        """Side of the square, or of the tiles, of either domain's images, px; 0: all."""
        return {self.source_domain: self.source_window, self.target_domain: self.target_window}

    @property
    def shows_cultures(self) -> bool:
        """Whether phantom cultures may be added to the source's images: they show the like."""
        return self.data_kind != "table"

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
        if self.data_kind == "livecell":
            for name in ("target_dir", "annotations", "lines"):
                if not getattr(self, name).strip():
                    raise ValueError(f"{name} is empty: livecell needs {_LIVECELL[name]}")
        return self
