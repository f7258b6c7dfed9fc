"""Expectations over the class of examples, of which some have a label."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sfumato.distributions.discrete import invert
from sfumato.distributions.noise import uniform

FEWER = 9
"""Examples without a label, at most, for each with one in a pass."""


class ClassRows(NamedTuple):
    """Examples with a class: those with a label once, those without for several classes.

    Attributes:
        example: which of the batch, (R,).
        y: the class, (R,).
        weight: 1 with a label; without, such that sums over the rows of an example are E_q(y|x), (R,).
        first: the row of each example with its label, or its most likely class, (B,).
    """

    example: Tensor
    y: Tensor
    weight: Tensor
    first: Tensor


def class_rows(label: Tensor, log_q: Tensor, summed: int | None = None) -> ClassRows:
    """The classes to evaluate for each example.

        E_q(y|x) f(y) = Σ_{y in top} q(y|x) f(y) + (1 − Σ_top q) E_q(y | y not in top) f(y)

    Where fewer classes are summed than there are, the last expectation is estimated by a single draw, which is unbiased
    and as exact as q is sure (Liu, Regier, Tripuraneni, Jordan and McAuliffe 2019, Rao-Blackwellized stochastic
    gradients for discrete distributions). The weight of the draw carries the gradient of its probability.

    Args:
        label: the class of each example, NaN where it is not known, (B,).
        log_q: log q(y | x), (B, K).
        summed: how many of the most likely classes are summed; None is all.

    >>> label, log_q = torch.tensor([1.0, torch.nan]), torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75]]))
    >>> rows = class_rows(label, log_q)
    >>> rows.example.tolist(), rows.y.tolist(), rows.weight
    ([0, 1, 1], [1, 1, 0], tensor([1.0000, 0.7500, 0.2500]))
    """
    (n, classes), known = log_q.shape, ~label.isnan()
    labelled, without = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
    own = log_q[without]
    order = own.detach().argsort(dim=1, descending=True, stable=True)
    if summed is None or summed >= classes - 1:
        y, weight = order, own.gather(1, order).exp()
    else:
        top = order[:, :summed]
        rest = own.detach().scatter(1, top, -torch.inf)
        mass = rest.logsumexp(1, keepdim=True)
        drawn = invert(rest - mass, uniform(log_q, n)[without])[:, None]
        log_p = own.gather(1, drawn)
        y = torch.cat([top, drawn], 1)
        weight = torch.cat([own.gather(1, top).exp(), (mass + log_p - log_p.detach()).exp()], 1)
    each = y.shape[1]
    first = torch.empty(n, dtype=torch.long, device=log_q.device)
    first[labelled] = torch.arange(len(labelled), device=log_q.device)
    first[without] = len(labelled) + each * torch.arange(len(without), device=log_q.device)
    return ClassRows(
        torch.cat([labelled, without.repeat_interleave(each)]),
        torch.cat([label[labelled].long(), y.flatten()]),
        torch.cat([log_q.new_ones(len(labelled)), weight.flatten()]),
        first,
    )


def expected(rows: ClassRows, values: Tensor, examples: int) -> Tensor:
    """E_q(y|x) of values (R,) of rows, (B,).

    The gradient of the weights sees how far a value is from that of the example's first row. As the weights sum to one
    this changes nothing but the noise of drawn classes.
    """
    base = values.detach()[rows.first][rows.example]
    weighed = rows.weight.detach() * values + (rows.weight - rows.weight.detach()) * (values.detach() - base)
    return values.new_zeros(examples).index_add(0, rows.example, weighed)


def labels_repeated(given: Tensor) -> Tensor | None:
    """Rows to draw a pass from, in which a tenth has a label; None where a tenth of the examples have one, or none has.

    Args:
        given: the label of every example, NaN where it is not known, (N, 1).

    >>> labels_repeated(torch.tensor([[0.0]] + 30 * [[torch.nan]])).bincount()[:3]
    tensor([4, 1, 1])
    """
    labelled = (~given[:, 0].isnan()).nonzero()[:, 0]
    often = -(-(len(given) - len(labelled)) // max(FEWER * len(labelled), 1))
    if not len(labelled) or often < 2:
        return None
    every = torch.arange(len(given), device=given.device)
    return torch.cat([every, labelled.repeat(often - 1)])
