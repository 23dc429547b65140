# The vocabulary of the notebooks. One name for one thing, the same in all of them.

# Images: where they come from, what they look like, how they are divided and framed
# What is shown: figures, and sentences printed from results
from . import figures
from .data import appearance, audit, splits
from .data.dataset import Dataset
from .data.field_set import FieldSet
from .data.framing import find_embryos, frame_table
from .data.images import decode, load_stack
from .data.sources import open_source
from .data.tissue_set import TissueSet

# Evaluation: arms, their metrics, what holds over seeds, whether it is safe
from .evaluation import (
    ablations,
    arms,
    augmentation,
    cell_arms,
    decision,
    fidelity,
    gan_quality,
    loss_comparison,
    repeats,
    safety,
    shift,
    stain_arms,
    stain_quality,
    statistics,
    transfer,
)
from .evaluation.framing import framing_accuracy
from .evaluation.rank_agreement import rank_agreement
from .figures import verdicts

# Networks: what they are, how they are trained and kept
from .models import cyclegan, fitting, judges, simulation, texture, translation
from .models.classifier import train_classifier
from .models.hovernet_training import train_hovernet
from .models.unet_training import train_unet

# The run of a notebook
from .notebook import start
