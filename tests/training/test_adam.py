"""The quick step of Adam is torch's own, bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sfumato.training.optim.adam import stepper


def _steps(kind: type[torch.optim.Adam], quick: bool, skip: tuple[int, ...] = (), bare: tuple[int, ...] = ()) -> object:
    """Weights and state after six steps; no gradient for the bias at `bare`, a flag on the device at `skip`."""
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    groups = [{"params": [net.weight], "lr": 0.1}, {"params": [net.bias], "lr": 0.01, "betas": (0.5, 0.9)}]
    optimizer = kind(groups, weight_decay=0.1, fused=True)
    step = stepper(optimizer) if quick else optimizer.step
    assert (step == optimizer.step) is not quick
    for number in range(6):
        net.weight.grad, net.bias.grad = torch.randn(2, 3), None if number in bare else torch.randn(2)
        optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
        if skip:
            optimizer.found_inf = torch.tensor(float(number in skip))  # type: ignore[attr-defined]
        step()
    return copy.deepcopy([net.state_dict(), optimizer.state_dict()])


def _same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)  # type: ignore[arg-type]
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)  # type: ignore[attr-defined,index]
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))  # type: ignore[arg-type]
    return a == b


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("skip", [(), (0, 3)])
@pytest.mark.parametrize("bare", [(), (0, 1), (4,)])
def test_the_quick_step_is_torchs_bit_for_bit(
    kind: type[torch.optim.Adam], skip: tuple[int, ...], bare: tuple[int, ...]
) -> None:
    assert _same(_steps(kind, True, skip, bare), _steps(kind, False, skip, bare))


def test_steps_differ_where_they_should() -> None:
    assert not _same(_steps(torch.optim.Adam, True), _steps(torch.optim.Adam, True, skip=(5,)))
    assert not _same(_steps(torch.optim.Adam, True), _steps(torch.optim.Adam, True, bare=(5,)))


@pytest.mark.parametrize("fused", [True, False])
def test_other_optimizers_step_themselves(fused: bool) -> None:
    weight = nn.Parameter(torch.ones(2))

    class Mine(torch.optim.Adam):
        pass

    watched = torch.optim.Adam([weight], fused=True)
    watched.register_step_post_hook(print)
    for one in (
        watched,
        Mine([weight], fused=fused),
        torch.optim.Adam([weight], fused=fused, amsgrad=True),
        torch.optim.Adam([weight], fused=False),
        torch.optim.SGD([weight], fused=fused),
    ):
        assert stepper(one) == one.step


def test_without_torchs_private_function_the_optimizer_steps_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(2))], fused=True)
    assert stepper(optimizer) != optimizer.step
    monkeypatch.delattr(torch, "_fused_adam_")
    assert stepper(optimizer) == optimizer.step
