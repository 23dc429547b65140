"""Where are the cells? Read by another microscope than the one they were drawn in (notebook 07)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.study import Study
from lib.models.cell_parameters import CellParameters

if TYPE_CHECKING:
    from lib.data.fields import FieldSource

# Whoever reads parameters imports this: what takes seconds to import, it imports when it is called.


def open_images(params: CellParameters, data_root: Path) -> FieldSource:
    """The fields that the parameters name, see `lib.data.field_sources.open_fields`."""
    from lib.data.field_sources import open_fields

    return open_fields(params, data_root)


def check(params: CellParameters, images: FieldSource) -> None:
    """Divide the fields once, so that nothing fails later.

    Raises
    ------
    InputError
        Fields that cannot be divided.
    """
    from lib.data.field_set import divide

    p = params
    divide(images.table(), p.source_domain, p.holdout_share, p.valid_share, p.seed)


STUDY = Study(
    notebooks=("07_cell_segmentation",),
    parameters=CellParameters,
    open_images=open_images,
    check=check,
)
