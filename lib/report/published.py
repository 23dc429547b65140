"""Numbers that the published study prints, with where they stand; nothing here is ours."""

from __future__ import annotations

import pandas as pd

STUDY = "Segal et al., adaptive CycleGANs with texture loss (natalyasegal/adaptive_cycleGAN_md)"

# Table 1: EfficientNet-B7 on ED4 in grey, 5 folds, one hold-out of 238 images.
TABLE_1 = pd.DataFrame(
    dict(
        series="EfficientNet-B7, grey",
        fold=range(5),
        accuracy=[0.9622, 0.9664, 0.9496, 0.9832, 0.96639],
        balanced_accuracy=[0.9710, 0.9697, 0.9459, 0.9824, 0.9632],
        f1=[0.9701, 0.9688, 0.9580, 0.9862, 0.9722],
        auc=[0.9915, 0.9981, 0.9832, 0.9991, 0.9923],
    )
)

# Abstract, README and notebook of the study: arm, and the metrics printed for it.
ADAPTATION = pd.DataFrame(
    [
        ("ED1", "grey, not adapted", 0.957, 0.8796, 0.93, 0.766, "README"),
        ("ED1", "adapted, 30 epochs", 0.9026, 0.8209, 0.88, 0.6262, "abstract"),
        ("ED1", "adapted, 10 epochs", 0.8101, 0.7179, 0.7778, 0.3939, "notebook"),
        ("ED3", "grey, not adapted", 0.936, 0.8564, 0.8439, 0.7113, "README"),
        ("ED3", "adapted, 10 epochs", 0.9676, 0.8948, 0.8851, 0.789, "abstract"),
    ],
    columns=["domain", "published_as", "auc", "balanced_accuracy", "f1", "kappa", "where"],
)
