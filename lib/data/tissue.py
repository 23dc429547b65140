"""What every source of stained tissue offers beside fields with instances: who is stained brown."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from lib.data.fields import FieldSource


class TissueSource(FieldSource):
    """Fields of tissue in colour: images are uint8 (3, H, W), red, green, blue."""

    @abstractmethod
    def positives(self, ids: Sequence[str]) -> list[np.ndarray]:
        """Where nuclei are that DAB stains, bool (H, W), in the order of ``ids``.

        Raises
        ------
        InputError
            Nobody has said which they are.
        """
