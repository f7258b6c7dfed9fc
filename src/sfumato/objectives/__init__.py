"""The terms of the objectives: pure functions on distributions and tensors."""

from sfumato.objectives.bounds import importance_bound
from sfumato.objectives.rate import free_bits, gap_of_mean, joint_mean, rate
from sfumato.objectives.schedules import Ramp

__all__ = ["Ramp", "free_bits", "gap_of_mean", "importance_bound", "joint_mean", "rate"]
