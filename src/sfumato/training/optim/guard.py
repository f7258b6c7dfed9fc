"""Keeps a loss or gradient that is not finite, or a gradient that is too long, out of the weights."""

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

    Attributes:
        skipped: steps that were not applied, as far as is known.
        applied: 1 or 0 for the last step for which `passes` said True; on the device where the flag is.
    """

    def __init__(
        self,
        device: torch.device,
        optimizers: Sequence[Optimizer],
        buffers: list[Tensor],
        say: Callable[[str], None],
        on_device: bool | None = None,
    ) -> None:
        fused = all(isinstance(optimizer, Adam) and optimizer.defaults["fused"] for optimizer in optimizers)
        self._on_device = fused and (device.type == "cuda" if on_device is None else on_device)
        self._optimizers, self._buffers, self._say = optimizers, buffers, say
        self._saved = [buffer.clone() for buffer in buffers]
        self._found = torch.zeros((), dtype=torch.float32, device=device)
        self._one = torch.ones((), dtype=torch.float32, device=device)
        self.skipped = 0
        self.applied: Tensor | int = 1
        self._row = 0
        # Steps that were not finite, those in a row now, the longest row, the last such step; steps that were too long.
        self._counts = torch.zeros(5, device=device)
        self._seen = (0, 0)
        self._told = False
        self._names: tuple[str, ...] = ()
        self._sums = torch.zeros(0, device=device)

    def remember(self) -> None:
        """Note the buffers before a forward pass."""
        if self._saved:
            torch._foreach_copy_(self._saved, self._buffers)

    def passes(
        self,
        values: list[Tensor],
        step: int,
        names: tuple[str, ...],
        sums: Tensor,
        too_long: Tensor | None = None,
    ) -> bool:
        """Whether the step may be applied; with the flag on the device always True, and fused Adam is told.

        Args:
            values: the losses and gradients, all of which must be finite.
            names: names of the terms.
            sums: the terms' sums over the batch, set to 0 on the device if the step is not applied.
            too_long: whether a gradient is longer than is wanted; such a step is not applied, and training goes on.

        Raises:
            NotFinite: when the last steps in a row all failed.
        """
        # What GradScaler looks with: one call for all tensors, whose scaling by 1 changes nothing.
        torch._amp_foreach_non_finite_check_and_unscale_(values, self._found, self._one)
        if self._on_device:
            self._tell(step, names, sums, too_long)
            return True
        bad = bool(self._found.item())
        self._row = self._row + 1 if bad else 0
        if not bad and (too_long is None or not too_long.item()):
            return True
        self._found.zero_()
        if self._saved:
            torch._foreach_copy_(self._buffers, self._saved)
        self.skipped += 1
        if bad:
            self._report(step, self._row, _culprits(names, sums))
        else:
            self._report_long()
        return False

    def poll(self) -> None:
        """Read what happened on the device, if anything is kept there.

        Raises:
            NotFinite: as `passes`.
        """
        if not self._on_device:
            return
        bad, _, longest, step, long = (int(value) for value in self._counts.tolist())
        new_bad, new_long = bad - self._seen[0], long - self._seen[1]
        self.skipped += new_bad + new_long
        self._seen = (bad, long)
        if new_long:
            self._report_long()
        if new_bad:
            self._report(step, longest, _culprits(self._names, self._sums))

    def _tell(self, step: int, names: tuple[str, ...], sums: Tensor, too_long: Tensor | None) -> None:
        not_finite, self._found = self._found, torch.zeros_like(self._found)
        long = torch.zeros_like(not_finite) if too_long is None else (1 - not_finite) * too_long
        flag = not_finite + long
        bad = flag.bool()
        self.applied = 1 - flag
        for optimizer in self._optimizers:
            optimizer.found_inf = flag  # type: ignore[attr-defined]
        for buffer, saved in zip(self._buffers, self._saved, strict=True):
            torch.where(bad, saved, buffer, out=buffer)
        skipped, row, longest, last, longs = self._counts.unbind()
        row = (row + not_finite) * not_finite
        last = torch.where(not_finite.bool(), step, last)
        self._counts = torch.stack([skipped + not_finite, row, torch.maximum(longest, row), last, longs + long])
        self._sums = torch.where(not_finite.bool(), sums, self._sums if names == self._names else 0.0)
        self._names = names
        sums.masked_fill_(bad, 0.0)

    def _report(self, step: int, row: int, culprits: str) -> None:
        if row >= LIMIT:
            raise NotFinite(
                f"step {step}: {culprits} not finite, {row} steps in a row; "
                "try a lower --lr, a --clip such as 100, or look for extreme values in the data"
            )
        self._say(f"step {step}: {culprits} not finite; the step was not applied")

    def _report_long(self) -> None:
        if not self._told:
            self._say("a gradient is longer than skip_above; such steps are counted and not applied (shown once)")
        self._told = True


def _culprits(names: tuple[str, ...], sums: Tensor) -> str:
    culprits = [name for name, value in zip(names, sums.tolist(), strict=True) if not math.isfinite(value)]
    terms = [name for name in culprits if not name.endswith("total")] or culprits
    if not terms:
        return "the gradient is"
    return f"{', '.join(terms)} {'is' if len(terms) == 1 else 'are'}"
