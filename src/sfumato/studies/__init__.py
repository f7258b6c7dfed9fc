"""Studies of several fits: comparison of runs, remedies, augmentation, and sweeps over models, options and seeds."""

from sfumato.studies.augmentation import Augmented, augment
from sfumato.studies.augmentation_check import AugmentationCheck, check_augmentation
from sfumato.studies.comparison import Comparison, compare
from sfumato.studies.refit import Cured, cure
from sfumato.studies.selection import SeedSelections, select_over_seeds
from sfumato.studies.sweep import Sweep, sweep

__all__ = [
    "AugmentationCheck",
    "Augmented",
    "Comparison",
    "Cured",
    "SeedSelections",
    "Sweep",
    "augment",
    "check_augmentation",
    "compare",
    "cure",
    "select_over_seeds",
    "sweep",
]
