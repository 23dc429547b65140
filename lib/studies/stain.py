"""Where are the nuclei? Read in another stain than the one they were drawn in (notebook 06)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.study import Study
from lib.models.stain_parameters import StainParameters

if TYPE_CHECKING:
    from lib.data.tissue import TissueSource

# Whoever reads parameters imports this: what takes seconds to import, it imports when it is called.


def open_images(params: StainParameters, data_root: Path) -> TissueSource:
    """The fields that the parameters name, see `lib.data.tissue_sources.open_tissue`."""
    from lib.data.tissue_sources import open_tissue

    return open_tissue(params, data_root)


def check(params: StainParameters, images: TissueSource) -> None:
    """Divide the fields and read the weights once, so that nothing fails later.

    Raises
    ------
    InputError
        Fields that cannot be divided, or weights that are none.
    """
    from lib.data.field_set import divide

    p = params
    divide(images.table(), p.source_domain, p.holdout_share, p.valid_share, p.seed)
    if p.published_weights:
        from lib.models.hovernet_published import load_published

        load_published(Path(p.published_weights).expanduser(), p.um_per_px)


STUDY = Study(
    notebooks=("06_stain_translation",),
    parameters=StainParameters,
    open_images=open_images,
    check=check,
)
