"""The step of a fused Adam, without what torch looks up afresh each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

UPDATES = ("_fused_adam_", "_fused_adamw_")
HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
"""Private names of torch: where one is not there, the optimizer steps itself."""


@dataclass(frozen=True)
class _Gathered:
    """What the update of one group of parameters reads and writes, in the order of the parameters.

    Attributes:
        settings: the optimizer's own group, whose learning rate may change from step to step.
        counts: the steps that each parameter has taken, as torch holds them: views of `count`.
        count: shape (number of parameters,).
    """

    settings: dict[str, Any]
    parameters: list[Tensor]
    first_moments: list[Tensor]
    second_moments: list[Tensor]
    counts: list[Tensor]
    count: Tensor


def stepper(optimizer: Optimizer) -> Callable[[], None]:
    """`optimizer.step`, or what gives the same numbers sooner: for a fused Adam or AdamW, in a fifth of the time.

    torch gathers the tensors, sorts them by device and counts their steps one by one, which for a small net takes a
    tenth of the whole training step. Here they are gathered once, and counted as one vector. The state stays where the
    optimizer holds it, and where a parameter has no gradient, the optimizer steps itself.

    >>> weight = torch.nn.Parameter(torch.ones(()))
    >>> step = stepper(Adam([weight], lr=0.1, fused=True))
    >>> for _ in range(2):
    ...     weight.grad = torch.ones(())
    ...     step()
    >>> weight
    Parameter containing:
    tensor(0.8000, requires_grad=True)
    """
    known = type(optimizer) in (Adam, AdamW) and all(hasattr(torch, name) for name in UPDATES)
    hooked = any(getattr(optimizer, name, True) for name in HOOKS)
    plain = known and optimizer.defaults["fused"] and not optimizer.defaults["amsgrad"]
    return _Stepper(optimizer) if plain and not hooked else optimizer.step


class _Stepper:
    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._groups: list[_Gathered] = []

    def __call__(self) -> None:
        if not self._groups:
            _begin(self._optimizer)
            self._groups = _gathered(self._optimizer)
        gradients = [
            [parameter.grad for parameter in group.parameters if parameter.grad is not None] for group in self._groups
        ]
        if not gradients or any(
            len(own) < len(group.parameters) for own, group in zip(gradients, self._groups, strict=True)
        ):
            self._optimizer.step()
            return
        # A flag of a step that must not be applied, as torch's GradScaler leaves it.
        skipped: Tensor | None = getattr(self._optimizer, "found_inf", None)
        with torch.no_grad():
            for own, group in zip(gradients, self._groups, strict=True):
                _update(group, own, skipped)


def _begin(optimizer: Optimizer) -> None:
    """The state before the first step, as torch has it, of parameters that have a gradient and no state."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and not optimizer.state.get(parameter):
                optimizer.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                    "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                }


def _gathered(optimizer: Optimizer) -> list[_Gathered]:
    """The groups of an optimizer; none as long as it has no state for some of its parameters."""
    if any(not optimizer.state.get(parameter) for group in optimizer.param_groups for parameter in group["params"]):
        return []
    groups = []
    for settings in optimizer.param_groups:
        states = [optimizer.state[parameter] for parameter in settings["params"]]
        count = torch.stack([parameter["step"] for parameter in states])
        counts = list(count.unbind())
        for parameter, steps in zip(states, counts, strict=True):
            parameter["step"] = steps
        first, second = ([parameter[name] for parameter in states] for name in ("exp_avg", "exp_avg_sq"))
        groups.append(_Gathered(settings, settings["params"], first, second, counts, count))
    return groups


def _update(group: _Gathered, gradients: list[Tensor], skipped: Tensor | None) -> None:
    settings = group.settings
    group.count.add_(1)
    update = torch._fused_adamw_ if settings["decoupled_weight_decay"] else torch._fused_adam_
    update(
        group.parameters,
        gradients,
        group.first_moments,
        group.second_moments,
        [],
        group.counts,
        lr=settings["lr"],
        beta1=settings["betas"][0],
        beta2=settings["betas"][1],
        weight_decay=settings["weight_decay"],
        eps=settings["eps"],
        amsgrad=False,
        maximize=settings["maximize"],
        found_inf=skipped,
    )
    if skipped is not None:
        group.count.sub_(skipped)
