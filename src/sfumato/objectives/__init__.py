"""The terms of the objectives: pure functions on distributions and tensors."""

from sfumato.objectives.bounds import doubly_reparametrised, importance_bound
from sfumato.objectives.calibration import fitted_temperature
from sfumato.objectives.classes import class_rows, expected
from sfumato.objectives.mmd import (
    Gaussian,
    InverseMultiquadratic,
    Kernel,
    KernelName,
    NegativeDistance,
    discrepancy,
    group_mmd,
    kernel_for,
    mmd,
    standardised,
    usual_weight,
)
from sfumato.objectives.rate import charged_rate, free_bits, free_rate, gap_of_mean, joint_mean, rate
from sfumato.objectives.schedules import Ramp
from sfumato.objectives.scores import energy_score
from sfumato.objectives.smoothness import classifier_terms
from sfumato.objectives.total_correlation import (
    decomposed_rate,
    log_weights,
    second_half_permuted,
    telling_apart,
)

__all__ = [
    "Gaussian",
    "InverseMultiquadratic",
    "Kernel",
    "KernelName",
    "NegativeDistance",
    "Ramp",
    "charged_rate",
    "class_rows",
    "classifier_terms",
    "decomposed_rate",
    "discrepancy",
    "doubly_reparametrised",
    "energy_score",
    "expected",
    "fitted_temperature",
    "free_bits",
    "free_rate",
    "gap_of_mean",
    "group_mmd",
    "importance_bound",
    "joint_mean",
    "kernel_for",
    "log_weights",
    "mmd",
    "rate",
    "second_half_permuted",
    "standardised",
    "telling_apart",
    "usual_weight",
]
