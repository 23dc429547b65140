"""Which source of stained tissue the parameters name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.data.field_sources import JoinedFields
from lib.data.tissue import TissueSource
from lib.data.tissue_files import TissueFiles
from lib.data.tissue_parameters import TissueParameters
from lib.data.tissue_phantoms import PhantomTissue


class JoinedTissue(JoinedFields, TissueSource):
    """Files of either stain, as one source."""

    def positives(self, ids: Sequence[str]) -> list[np.ndarray]:
        return self._each(ids, lambda source, own: source.positives(own))


def open_tissue(params: TissueParameters, data_root: Path) -> TissueSource:
    """The source that ``data_kind`` names, below ``data_root`` where files are read.

    Raises
    ------
    InputError
        Folder or list is missing or cannot be used.
    """
    p = params
    if p.data_kind == "phantom":
        return PhantomTissue(p)
    ends = {
        p.source_domain: (p.data_dir, p.source_listed, p.source_masks, p.source_um_per_px),
        p.target_domain: (p.target_dir, p.target_listed, p.target_masks, p.target_um_per_px),
    }
    return JoinedTissue(
        {
            domain: TissueFiles(
                data_root / folder, domain, listed, masks, p.image_size, p.um_per_px, unknown
            )
            for domain, (folder, listed, masks, unknown) in ends.items()
        }
    )
