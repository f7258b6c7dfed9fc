"""A step of differentially private gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.randomness.entropy import secret_normal
from sfumato.training.optim import schedules
from sfumato.training.private.clipping import ClippedGradients

if TYPE_CHECKING:
    from sfumato.training.saving.state import TrainingState


class PrivateStep:
    """Abadi et al. 2016, Deep learning with differential privacy, algorithm 1, with the optimizer of the model.

        g̃ = (Σ_i g_i · min(1, C / ‖g_i‖) + σ C ξ) / (q N),    ξ ~ N(0, 1)

    over a batch that each of N examples joined with probability q. What optimizer, schedule and average do with g̃ costs
    nothing more. ξ comes from the system's entropy.

    Args:
        state: the training.
        noise_multiplier: σ.
        max_norm: C.
        expected: q N.
    """

    def __init__(self, state: TrainingState, noise_multiplier: float, max_norm: float, expected: float) -> None:
        ((self._player, parameters),) = state.players.items()
        self._expected = expected
        self._deviation = noise_multiplier * max_norm
        self.clipped = ClippedGradients(state.model, parameters, max_norm)

    def __call__(self, state: TrainingState, batch: Batch, joint: int, total: int) -> None:
        """Move the weights once; as `training.loop` calls a step."""
        with state.redirected():
            sums = self.clipped(batch, state.step)
        sizes = [total.numel() for total in sums]
        noise = torch.from_numpy(secret_normal(sum(sizes))).split(sizes)
        for parameter, clipped, own in zip(self.clipped.parameters, sums, noise, strict=True):
            parameter.grad = self._noisy(clipped, own)
        rate = schedules.factor(state.plan.schedule, state.step, total, state.plan.lr_warmup)
        optimizer = state.optimizers[self._player]
        for settings, highest in zip(optimizer.param_groups, state.highest[self._player], strict=True):
            settings["lr"] = highest * rate
        state.steppers[self._player]()
        state.average.update(state.step)
        state.step += 1

    def _noisy(self, total: Tensor, noise: Tensor) -> Tensor:
        return (total + self._deviation * noise.to(total).view(total.shape)) / self._expected
