"""Fields of stained tissue of a run: divided by slides, as stacks of images, nuclei and stain."""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from lib.data.field_set import FieldSet
from lib.data.tissue_sources import open_tissue


class TissueSet(FieldSet):
    """Fields of stained tissue, divided by groups (slides, patients); images are in colour."""

    opened = staticmethod(open_tissue)
    code = ("lib.data.tissue_sources",)

    def positives(self, rows: pd.DataFrame) -> Tensor:
        """Where nuclei are that DAB stains, bool (N, 1, S, S)."""
        return self._stored(self.source, "positives", rows["id"].tolist())
