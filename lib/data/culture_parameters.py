"""Parameters of fields of cells in culture: dishes, LIVECell and videos."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lib.data.field_parameters import FieldParameters

ROWS, COLUMNS = 3, 4  # of tiles in a frame, as the published study cut its own
_LIVECELL = {
    "target_dir": "the folder of the videos' frames below the data root",
    "annotations": "the json files below data_dir, with commas between them",
    "lines": "the cell lines that are used, with commas between them",
}


class CultureParameters(FieldParameters):
    """What fields of cells in culture have beside what all fields have."""

    # livecell: the published study's own data, LIVECell in data_dir and videos in target_dir
    data_kind: Literal["phantom", "table", "livecell"] = "phantom"
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

    @property
    def windows(self) -> dict[str, int]:
        """Side of the square, or of the tiles, of either domain's images, px; 0: all."""
        return {self.source_domain: self.source_window, self.target_domain: self.target_window}

    @property
    def framing(self) -> str:
        """Which part of the images is shown."""
        sides = ", ".join(f"{domain} {side}" for domain, side in self.windows.items())
        return (
            f"Tiles or squares of {self.image_size} pixels; side in pixels of the files, 0 for "
            f"all: {sides}."
        )

    @property
    def origin(self) -> str:
        """What the phantoms are, and what they do not say."""
        return (
            "Phantom cultures, grown by a program and photographed by simulated microscopes. No "
            "number made from them says anything of real cells."
        )

    @property
    def shows_cultures(self) -> bool:
        """Whether phantom cultures may be added to the source's images: they show the like."""
        return self.data_kind != "table"

    @model_validator(mode="after")
    def _livecell_agrees(self) -> CultureParameters:
        if self.data_kind == "livecell":
            for name in ("target_dir", "annotations", "lines"):
                if not getattr(self, name).strip():
                    raise ValueError(f"{name} is empty: livecell needs {_LIVECELL[name]}")
        return self
