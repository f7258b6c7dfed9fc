"""Expectations over classes by the likeliest and a draw: unbiased in value and gradient, exact when all are summed."""

from __future__ import annotations

import pytest
import torch

from sfumato.objectives.classes import class_rows, expected


def _expectation(logits, cost, label, summed):
    """E_q(y|x) of cost[example, y], (B,)."""
    rows = class_rows(label, torch.log_softmax(logits, 1), summed)
    return expected(rows, cost[rows.example, rows.y], len(label))


def test_all_classes_summed_is_the_exact_expectation():
    torch.manual_seed(0)
    logits, cost = torch.randn(4, 5, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    label = torch.tensor([torch.nan, 2.0, torch.nan, 0.0])
    exact = torch.where(label.isnan(), (torch.softmax(logits, 1) * cost).sum(1), cost[range(4), [0, 2, 0, 0]])
    ours = _expectation(logits, cost, label, None)
    torch.testing.assert_close(ours, exact)
    for one, other in zip(
        torch.autograd.grad(ours.sum(), (logits, cost), retain_graph=True),
        torch.autograd.grad(exact.sum(), (logits, cost)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("summed", [1, 2])
def test_a_drawn_class_leaves_value_and_gradient_unbiased(summed):
    torch.manual_seed(0)
    many = 40_000
    logits, cost = torch.tensor([[1.0, 0.0, -1.0, 0.5]]), torch.tensor([[103.0, 101.0, 99.0, 104.0]])
    wide = logits.repeat(many, 1).requires_grad_(True)
    drawn = _expectation(wide, cost.expand(many, -1), torch.full((many,), torch.nan), summed)
    q = torch.softmax(logits, 1)
    torch.testing.assert_close(drawn.mean(), (q * cost).sum(), atol=0.03, rtol=0)
    (gradient,) = torch.autograd.grad(drawn.sum(), wide)
    exact = q[0] * (cost[0] - (q * cost).sum())
    torch.testing.assert_close(gradient.mean(0), exact, atol=0.03, rtol=0)
