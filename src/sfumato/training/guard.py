"""Keeps a loss or gradient that is not finite out of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from sfumato.errors import SfumatoError

LIMIT = 3
"""So many steps in a row may fail before training ends."""


class NotFinite(SfumatoError):
    """Several steps in a row had a loss or gradient that is not finite."""


class Guard:
    """Decides whether a step is applied; a step that is not leaves weights, moments and buffers as they were.

    On a CPU the decision is read at each step. On a GPU that would stall the stream, so fused Adam is handed the flag
    on the device (as by torch's GradScaler) and skips the step itself; `poll` then says what happened.

    Args:
        optimizers: those of all players.
        buffers: the model's buffers, which a forward pass may have changed.
        say: shows one line to the user.
        on_device: leave the flag on the device; only where every optimizer is a fused Adam.
    """

    def __init__(
        self,
        device: torch.device,
        optimizers: Sequence[Optimizer],
        buffers: list[Tensor],
        say: Callable[[str], None],
        on_device: bool | None = None,
    ) -> None:
        fused = all(isinstance(one, Adam) and one.defaults["fused"] for one in optimizers)
        self._on_device = fused and (device.type == "cuda" if on_device is None else on_device)
        self._optimizers, self._buffers, self._say = optimizers, buffers, say
        self._saved = [buffer.clone() for buffer in buffers]
        self._found = torch.zeros((), device=device)
        self._one = torch.ones((), device=device)
        self.skipped = 0
        self._row = 0
        # Steps skipped, those in a row now, the longest row, the last such step.
        self._counts = torch.zeros(4, device=device)
        self._names: tuple[str, ...] = ()
        self._sums = torch.zeros(0, device=device)

    def remember(self) -> None:
        """Note the buffers before a forward pass."""
        if self._saved:
            torch._foreach_copy_(self._saved, self._buffers)

    def passes(self, values: list[Tensor], step: int, names: tuple[str, ...], sums: Tensor) -> bool:
        """Whether the step may be applied; with the flag on the device always True, and fused Adam is told.

        Args:
            values: the losses and gradients, all of which must be finite.
            names: names of the terms.
            sums: the terms' sums over the batch, set to 0 on the device if the step is not applied.

        Raises:
            NotFinite: when the last steps in a row all failed.
        """
        # What GradScaler looks with: one call for all tensors, whose scaling by 1 changes nothing.
        torch._amp_foreach_non_finite_check_and_unscale_(values, self._found, self._one)
        if self._on_device:
            self._tell(step, names, sums)
            return True
        if not self._found.item():
            self._row = 0
            return True
        self._found.zero_()
        if self._saved:
            torch._foreach_copy_(self._buffers, self._saved)
        self.skipped += 1
        self._row += 1
        self._report(step, self._row, _culprits(names, sums))
        return False

    def poll(self) -> None:
        """Read what happened on the device, if anything is kept there.

        Raises:
            NotFinite: as `passes`.
        """
        if not self._on_device:
            return
        skipped, _, longest, step = (int(value) for value in self._counts.tolist())
        if skipped > self.skipped:
            self.skipped = skipped
            self._report(step, longest, _culprits(self._names, self._sums))

    def _tell(self, step: int, names: tuple[str, ...], sums: Tensor) -> None:
        flag, self._found = self._found, torch.zeros_like(self._found)
        bad = flag.bool()
        for optimizer in self._optimizers:
            optimizer.found_inf = flag  # type: ignore[attr-defined]
        for buffer, saved in zip(self._buffers, self._saved, strict=True):
            torch.where(bad, saved, buffer, out=buffer)
        skipped, row, longest, last = self._counts.unbind()
        row = (row + flag) * flag
        self._counts = torch.stack([skipped + flag, row, torch.maximum(longest, row), torch.where(bad, step, last)])
        self._sums = torch.where(bad, sums, self._sums if names == self._names else 0.0)
        self._names = names
        sums.masked_fill_(bad, 0.0)

    def _report(self, step: int, row: int, culprits: str) -> None:
        if row >= LIMIT:
            raise NotFinite(
                f"step {step}: {culprits} not finite, {row} steps in a row; "
                "try a lower --lr, a --clip such as 100, or look for extreme values in the data"
            )
        self._say(f"step {step}: {culprits} not finite; the step was not applied")


def _culprits(names: tuple[str, ...], sums: Tensor) -> str:
    found = [name for name, value in zip(names, sums.tolist(), strict=True) if not math.isfinite(value)]
    terms = [name for name in found if not name.endswith("total")] or found
    if not terms:
        return "the gradient is"
    return f"{', '.join(terms)} {'is' if len(terms) == 1 else 'are'}"
