"""Elementary functions whose last bit is the same on every machine, from operations that IEEE 754 rounds exactly.

A file is decoded from probabilities that must be those it was encoded with, to the last bit. Sums, products, quotients,
square roots and roundings of single numbers are the same everywhere; exponentials and logarithms of different libraries
are not, nor is a sum of many terms, whose order depends on threads and processor. Here all of them are made of single
operations in a fixed order, in double precision; each is accurate to a few 1e-16.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOG2_HIGH, LOG2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""log 2 in two parts, the first with so few bits that its products with exponents are exact."""
EXP_TERMS, LOG_TERMS = 14, 13
LEAST_EXPONENT, LARGEST_EXPONENT = -1022, 1023
"""Exponents of doubles."""
POWERS = torch.tensor([2.0**e for e in range(LEAST_EXPONENT, LARGEST_EXPONENT + 1)], dtype=torch.float64)


def power_of_two(exponent: Tensor) -> Tensor:
    """2^e of whole numbers e as doubles, exact.

    >>> power_of_two(torch.tensor([3.0, -1.0])).tolist()
    [8.0, 0.5]
    """
    return POWERS[exponent.clamp(LEAST_EXPONENT, LARGEST_EXPONENT).long() - LEAST_EXPONENT]


def exp(x: Tensor) -> Tensor:
    """e^x: 2^k times a polynomial of x − k log 2; 0 below −700, and e^700 above 700.

    >>> x = torch.tensor([1.0, -30.0]).double()
    >>> bool((exp(x) / torch.exp(x) - 1).abs().max() < 1e-14)
    True
    """
    bounded = x.double().clamp(-700.0, 700.0)
    k = torch.floor(bounded * (1.0 / math.log(2.0)) + 0.5)
    rest = (bounded - k * LOG2_HIGH) - k * LOG2_LOW
    value = torch.ones_like(rest)
    for term in range(EXP_TERMS, 0, -1):
        value = value * rest
        value = value / float(term)
        value = value + 1.0
    return (value * power_of_two(k)).masked_fill(x < -700.0, 0.0)


def log(x: Tensor) -> Tensor:
    """log x: with x = m 2^e and m from √½ to √2, e log 2 + 2 artanh((m − 1)/(m + 1)); −∞ at 0.

    >>> x = torch.tensor([1e-9, 3.0]).double()
    >>> bool((log(x) - torch.log(x)).abs().max() < 1e-14)
    True
    """
    wide = x.double()
    mantissa, exponent = torch.frexp(wide)
    low = mantissa < math.sqrt(0.5)
    mantissa = torch.where(low, mantissa + mantissa, mantissa)
    e = torch.where(low, exponent - 1, exponent).double()
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square = ratio * ratio
    series = torch.full_like(ratio, 1.0 / (2 * LOG_TERMS + 1))
    for term in range(LOG_TERMS - 1, -1, -1):
        series = series * square
        series = series + 1.0 / (2 * term + 1)
    value = 2.0 * ratio * series
    value = value + e * LOG2_LOW
    value = value + e * LOG2_HIGH
    value = torch.where(wide == math.inf, wide, value)
    return torch.where(wide > 0, value, torch.where(wide == 0, -math.inf, math.nan))


def sigmoid(x: Tensor) -> Tensor:
    """1/(1 + e^−x), from e^−|x|."""
    small = exp(-x.abs())
    return torch.where(x >= 0, 1.0, small) / (1.0 + small)


def tanh(x: Tensor) -> Tensor:
    """tanh x, from e^−2|x|; near 0 by its series."""
    small = exp(-2.0 * x.abs())
    value = (1.0 - small) / (1.0 + small)
    square = x * x
    series = 1.0 - square * (1.0 / 3.0)
    series = series + (square * square) * (2.0 / 15.0)
    near = x.abs() * series
    return torch.where(x.abs() < 1e-4, near, value) * torch.sign(x)


def erf(x: Tensor) -> Tensor:
    """The error function, to 1.5e-7, by a polynomial in 1/(1 + p|x|) (Abramowitz and Stegun 1964, 7.1.26).

    >>> x = torch.tensor([-0.7, 0.0, 2.0]).double()
    >>> bool((erf(x) - torch.erf(x)).abs().max() < 2e-7)
    True
    """
    size = x.abs()
    t = 1.0 / (1.0 + 0.3275911 * size)
    value = torch.full_like(t, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        value = value * t
        value = value + coefficient
    value = 1.0 - (value * t) * exp(-(size * size))
    return value * torch.sign(x)


def expm1(x: Tensor) -> Tensor:
    """e^x − 1, near 0 as 2 tanh(x/2)/(1 − tanh(x/2))."""
    half = tanh(x * 0.5)
    return torch.where(x.abs() < 0.5, (half + half) / (1.0 - half), exp(x) - 1.0)


def log1p(x: Tensor) -> Tensor:
    """log(1 + x), near 0 by the series of the rounding that 1 + x suffers."""
    whole = 1.0 + x
    lost = x - (whole - 1.0)
    safe = torch.where(whole > 0, whole, 1.0)
    return log(whole) + torch.where(whole > 0, lost / safe, 0.0)


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x)."""
    return x.clamp_min(0.0) + log1p(exp(-x.abs()))


def total(x: Tensor, dims: tuple[int, ...], *, keepdim: bool = False) -> Tensor:
    """Σ over dimensions, halves added to halves: one order, whatever the machine.

    >>> total(torch.arange(6.0).view(2, 3).double(), (1,)).tolist()
    [3.0, 12.0]
    """
    dims = tuple(sorted(dim % x.dim() for dim in dims))
    kept = [dim for dim in range(x.dim()) if dim not in dims]
    value = x.permute(*kept, *dims).reshape(*(x.shape[dim] for dim in kept), -1)
    if not value.shape[-1]:
        value = value.new_zeros(*value.shape[:-1], 1)
    while value.shape[-1] > 1:
        half, odd = divmod(value.shape[-1], 2)
        halves = value[..., :half] + value[..., half : 2 * half]
        value = torch.cat([halves, value[..., -1:]], -1) if odd else halves
    value = value[..., 0]
    if keepdim:
        value = value.reshape([1 if dim in dims else x.shape[dim] for dim in range(x.dim())])
    return value


def logsumexp(x: Tensor, dims: tuple[int, ...], *, keepdim: bool = False) -> Tensor:
    """log Σ e^x over dimensions."""
    most = x.amax(dims, keepdim=True)
    most = torch.where(most.isinf(), 0.0, most)
    value = log(total(exp(x - most), dims, keepdim=True)) + most
    return value if keepdim else value.squeeze(dims)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """x − log Σ e^x."""
    return x - logsumexp(x, (dim,), keepdim=True)


def softmax(x: Tensor, dim: int) -> Tensor:
    """e^x / Σ e^x."""
    value = exp(x - x.amax(dim, keepdim=True))
    return value / total(value, (dim,), keepdim=True)


def cumsum(x: Tensor, dim: int) -> Tensor:
    """Running sums, by doubling: each of log₂ n steps adds what lies one, two, four, … places before."""
    value, step = x.movedim(dim, -1), 1
    while step < value.shape[-1]:
        value = torch.cat([value[..., :step], value[..., step:] + value[..., :-step]], -1)
        step *= 2
    return value.movedim(-1, dim)


class Whole(NamedTuple):
    """A matrix as whole numbers, and the power of two that each of its rows or columns is a multiple of."""

    numbers: Tensor
    scale: Tensor


def whole(x: Tensor, dim: int) -> Whole:
    """x rounded to whole multiples of a power of two, one for each slice along `dim`, the dimension to be summed over.

    They are so coarse that sums of products of two such matrices are below 2^53: (53 − log₂ k)/2 bits for k terms.
    """
    bits = (53 - math.ceil(math.log2(max(x.shape[dim], 2)))) // 2
    exponent = torch.frexp(x.abs().amax(dim, keepdim=True)).exponent.double()
    return Whole(torch.round(x * power_of_two(bits - exponent)), power_of_two(exponent - bits))


def product(a: Whole, b: Whole) -> Tensor:
    """a @ b, exact: products and their sums are whole numbers that doubles hold, in whatever order they are added."""
    return torch.matmul(a.numbers, b.numbers) * a.scale * b.scale


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a @ b of (…, n, k) and (…, k, m), the same bits in whatever order the k products are added; see `whole`.

    >>> a, b = torch.randn(3, 400).double(), torch.randn(400, 2).double()
    >>> bool((matmul(a, b) == matmul(a.flip(1), b.flip(0))).all()), bool((matmul(a, b) - a @ b).abs().max() < 1e-3)
    (True, True)
    """
    if not a.shape[-1]:
        return a.new_zeros(*a.shape[:-1], b.shape[-1])
    return product(whole(a, -1), whole(b, -2))
