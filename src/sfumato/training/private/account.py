"""The account of one private training: how much noise it needs, and what it has cost in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from sfumato.errors import SfumatoError
from sfumato.models.base import Model
from sfumato.privacy_budget import Budget, ColumnCharge
from sfumato.training.private import accounting
from sfumato.training.private.accounting import Mechanism
from sfumato.training.private.ledger import UNCOVERED, Ledger
from sfumato.training.private.step import PrivateStep
from sfumato.training.settings import Settings, steps_per_epoch, total_steps

if TYPE_CHECKING:
    from sfumato.training.saving.state import TrainingState

UNCOUNTED = "all that the schema says of the data, which was learned without noise"


class PrivateAccount:
    """The noise of a training, solved for its budget with what the schema has cost.

    Args:
        model: to be trained.
        plan: how, with `epsilon`; resolved.
        rows: of the training split.
        world: number of processes.
        charge: what the schema has cost; None where it was not learned with noise.
        resume: whether a stopped training is to go on.

    Raises:
        SfumatoError: if the guarantee would not hold, or opacus is not installed.
    """

    def __init__(
        self, model: Model, plan: Settings, rows: int, world: int, charge: ColumnCharge | None, resume: bool
    ) -> None:
        _check(model, world, resume)
        self._charge, self._rows, self._batch = charge, rows, plan.batch_size or 1
        self._max_norm, budget = plan.max_grad_norm or 1.0, Budget(plan.epsilon or 0.0, plan.delta or 0.0)
        self._budget, self._rate = budget, self._batch / rows
        self._spent: dict[int, float] = {}
        self._planned = total_steps(plan, steps_per_epoch(rows, self._batch))
        self.noise_multiplier = accounting.solve_multiplier(
            budget.epsilon, budget.noise_delta, self._rate, self._planned, self._mechanisms_of_columns()
        )

    def _mechanisms_of_columns(self) -> list[Mechanism]:
        multipliers = () if self._charge is None else self._charge.noise_multipliers
        return [Mechanism(multiplier, 1.0, 1) for multiplier in multipliers]

    def step(self, state: TrainingState) -> PrivateStep:
        """The step of this training."""
        return PrivateStep(state, self.noise_multiplier, self._max_norm, float(self._batch))

    def ledger(self, steps: int | None = None) -> Ledger:
        """The ledger after so many steps; None is all that are planned."""
        steps = self._planned if steps is None else steps
        training = Mechanism(self.noise_multiplier, self._rate, steps)
        if steps not in self._spent:
            mechanisms = [*self._mechanisms_of_columns(), training]
            self._spent[steps] = accounting.epsilon_of(mechanisms, self._budget.noise_delta)
        charge = self._charge
        return Ledger(
            epsilon=self._spent[steps],
            delta=self._budget.delta,
            accountant=f"opacus {accounting.version()}, {accounting.ACCOUNTANT}",
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self._max_norm,
            sample_rate=self._rate,
            steps=steps,
            rows=self._rows,
            columns=() if charge is None else charge.noise_multipliers,
            count_noise=0.0 if charge is None else charge.noise,
            histograms=0 if charge is None else charge.histograms,
            threshold=0.0 if charge is None else charge.threshold,
            charged=() if charge is None else charge.charged,
            stated=() if charge is None else charge.stated,
            uncovered=((UNCOUNTED,) if charge is None else charge.uncovered) + UNCOVERED,
        )


def _check(model: Model, world: int, resume: bool) -> None:
    """Refuse trainings of which the guarantee would not hold.

    Raises:
        SfumatoError: if so.
    """
    if not model.separable or len(model.players()) > 1:
        raise SfumatoError(
            f"epsilon: the loss of {type(model).__name__} depends on several examples at once, so that none can be cut "
            "to size by itself; use vae, beta_vae or cvae"
        )
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()):
        raise SfumatoError("epsilon: batch normalisation mixes examples; use LayerNorm or GroupNorm in its place")
    if world > 1:
        raise SfumatoError("epsilon: a private training runs in one process; start it without torchrun")
    if resume:
        raise SfumatoError("epsilon: a private training cannot be resumed, as its noise is kept nowhere; fit again")
