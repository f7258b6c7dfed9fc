"""What a user's own code may do while a model trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sfumato.models.base import Model
from sfumato.training.saving.history import History
from sfumato.training.settings import Settings


class Callback:
    """Override what you need. `fit` calls it on process 0 alone; a True from on_log or on_validation ends training.

    >>> class Enough(Callback):
    ...     def on_validation(self, model, line):
    ...         return line["total"] < 1.0
    """

    def on_start(self, model: Model, settings: Settings) -> None:
        """Before the first step; `settings` are the resolved ones."""

    def on_log(self, model: Model, line: Mapping[str, Any]) -> bool | None:
        """A line of means over the training batches since the last one."""

    def on_validation(self, model: Model, line: Mapping[str, Any]) -> bool | None:
        """A line of means over the validation split; the model holds the weights that were validated."""

    def on_interrupt(self, model: Model) -> bool | None:
        """After Ctrl-C, with the step finished and the run saved; True ends training, and `fit` returns.

        Otherwise the signal goes to the handler that was there before, and `fit` raises what that raises.
        """

    def on_end(self, model: Model, history: History) -> None:
        """After the last step; the model holds its best weights."""
