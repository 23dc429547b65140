from . import (
    augmentation,
    augmentation_words,
    cell_words,
    cells,
    identification,
    seeds,
    severity,
    stain_words,
    stains,
    study,
    verdicts,
)
from .bars import confusion_panel, fold_dots, metric_bars
from .curves import calibration_plot, learning_curves, loss_curves, roc_plot
from .decision import miss_sheet, predictive_value_curves
from .domains import count_bars, domain_gap_plot, statistics_by_domain
from .faults import faults_sheet
from .identification import identification_dots
from .rivals import cost_dots, group_dots, in_figures, label_curve
from .safety import (
    fidelity_dots,
    flip_dots,
    hidden_information_dots,
    prior_stress_plot,
    risk_coverage_plot,
    structure_dots,
)
from .schematic import translation_schematic
from .seeds import division_dots, seed_dots
from .severity import elsewhere_dots, severity_curves
from .sheets import device_comparison, frames_sheet, image_sheet, look_rows, sample_sheet
from .study import study_forest
