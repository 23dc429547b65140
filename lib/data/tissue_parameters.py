"""Parameters of fields of tissue: two stains, their slides and their scale."""

from __future__ import annotations

from pydantic import Field, model_validator

from lib.data.field_parameters import FieldParameters

TILES = 12  # of a phantom slide


class TissueParameters(FieldParameters):
    """What fields of stained tissue have beside what all fields have."""

    target_dir: str = ""  # folder of the target's images below the data root
    # Which domains of labels.csv are the source and the target, with * for any letters and commas.
    source_listed: str = "*"
    target_listed: str = "*"
    source_masks: str = "instances"  # column of labels.csv with the mask files
    target_masks: str = "mask"
    source_um_per_px: float = Field(0.0, ge=0.0, le=10.0)  # of files that do not say; 0: left out
    target_um_per_px: float = Field(0.0, ge=0.0, le=10.0)
    source_domain: str = "he"
    target_domain: str = "ki67"
    um_per_px: float = Field(0.75, gt=0.05, le=4.0)  # of what the networks see
    source_slides: int = Field(40, ge=6, le=100_000)  # phantoms
    target_slides: int = Field(40, ge=6, le=100_000)

    @property
    def facts(self) -> tuple[str, ...]:
        """The scale, and what is said of all fields."""
        return (*super().facts, f"{self.um_per_px:g} um a pixel")

    @property
    def framing(self) -> str:
        """Which part of the images is shown."""
        return (
            f"Tiles of {self.image_size} pixels side by side, {self.um_per_px:g} µm a pixel; files "
            "are brought to that scale."
        )

    @property
    def origin(self) -> str:
        """What the phantoms are, and what they do not say."""
        return (
            "Phantom tissue, grown by a program, stained and scanned by simulation. No number "
            "made from them says anything of real ones."
        )

    @property
    def is_phantom(self) -> bool:
        """Whether the same tissue can be had in either stain."""
        return self.data_kind == "phantom"

    @model_validator(mode="after")
    def _tissue_agrees(self) -> TissueParameters:
        if self.data_kind == "table" and not self.target_dir:
            raise ValueError("target_dir is empty: name the folder of the target's images")
        return self
