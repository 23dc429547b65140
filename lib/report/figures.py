"""Every figure of the compendium, under one name.

A figure function returns the figure and the table it was drawn from. ``note`` says what the images
are ("synthetic phantom", "real images", "semi-synthetic") and stands in the title of every figure.
"""

from lib.report.bars import confusion_panel, fold_dots, metric_bars
from lib.report.bench_widget import faults_sheet
from lib.report.curves import calibration_plot, learning_curves, loss_curves, roc_plot
from lib.report.domains import count_bars, domain_gap_plot, statistics_by_domain
from lib.report.reader_figures import agreement_dots, reader_dots
from lib.report.safety_figures import (
    flip_dots,
    hidden_information_dots,
    prior_stress_plot,
    risk_coverage_plot,
    structure_dots,
)
from lib.report.schematic import translation_schematic
from lib.report.seed_figures import seed_dots
from lib.report.sheets import device_comparison, frames_sheet, image_sheet, sample_sheet
from lib.report.style import ARM_COLOURS, DOMAIN_COLOURS, arm_colour, domain_colour, save_figure

__all__ = [
    "ARM_COLOURS",
    "DOMAIN_COLOURS",
    "agreement_dots",
    "arm_colour",
    "calibration_plot",
    "confusion_panel",
    "count_bars",
    "device_comparison",
    "domain_colour",
    "domain_gap_plot",
    "faults_sheet",
    "flip_dots",
    "fold_dots",
    "frames_sheet",
    "hidden_information_dots",
    "image_sheet",
    "learning_curves",
    "loss_curves",
    "metric_bars",
    "prior_stress_plot",
    "reader_dots",
    "risk_coverage_plot",
    "roc_plot",
    "sample_sheet",
    "save_figure",
    "seed_dots",
    "statistics_by_domain",
    "structure_dots",
    "translation_schematic",
]
