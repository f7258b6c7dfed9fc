"""Discrete distributions: binary images and categories."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sfumato.distributions import noise
from sfumato.distributions.base import Distribution, observed, sum_event


class Bernoulli(Distribution):
    """Independent entries in {0, 1} with log-odds `logits`.

    log p(x) = Σ_d [ x_d log σ(l_d) + (1 − x_d) log(1 − σ(l_d)) ]

    For x between 0 and 1 this is the expectation of log p over the binary image with E = x, the usual objective
    on grey images; it is a log-likelihood only where x is 0 or 1.

    >>> Bernoulli(torch.zeros(1, 3)).log_prob(torch.ones(1, 3)) / torch.log(torch.tensor(0.5))
    tensor([3.])
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x.to(self.logits.dtype)
        wide = self.logits.dtype.itemsize >= 4  # a product of 32 factors is too small for half precision
        if mask is None and wide and not (torch.is_grad_enabled() and self.logits.requires_grad):
            logits = self.logits.flatten(1)
            # Σ max(l, 0) − xl, then Σ log σ(|l|): what both are sums of stays small.
            sure = logits.clamp_min(0).addcmul_(x.flatten(1), logits, value=-1).sum(1)
            return sum_log(logits.abs().sigmoid_()) - sure
        losses = F.binary_cross_entropy_with_logits(self.logits, observed(x, mask), reduction="none")
        return -sum_event(losses, mask)

    def sample(self) -> Tensor:
        return (noise.uniform(self.logits) < torch.sigmoid(self.logits)).to(self.logits.dtype)

    def mode(self) -> Tensor:
        return torch.sigmoid(self.logits)


class Categorical(Distribution):
    """Independent entries, each an index 0 … K − 1.

    Args:
        logits: log-probabilities up to a constant, shape (B, *event, K).
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        chosen = self.logits.gather(-1, observed(x, mask).long().unsqueeze(-1)).squeeze(-1)
        return sum_event(chosen - self.logits.logsumexp(-1), mask)

    def sample(self) -> Tensor:
        return draw(self.logits).to(self.logits.dtype)

    def mode(self) -> Tensor:
        return self.logits.argmax(-1).to(self.logits.dtype)

    def features(self) -> Tensor:
        return torch.softmax(self.logits, -1).flatten(1)


def sum_log(factors: Tensor) -> Tensor:
    """Σ_d log f_d of factors from ½ to 2, shape (B, D) to (B,), by products of up to 32 of them; overwrites them.

    A logarithm takes ten times as long as a product.

    >>> sum_log(torch.tensor([[1.0, 2.0, 2.0]])) / torch.log(torch.tensor(2.0))
    tensor([2.])
    """
    for _ in range(5):
        half, odd = divmod(factors.shape[1], 2)
        if not half:
            break
        if odd:
            factors[:, 0] *= factors[:, -1]
        factors = factors[:, :half].mul_(factors[:, half : 2 * half])
    return factors.log().sum(1)


def draw(logits: Tensor) -> Tensor:
    """A draw from softmax(logits) over the last dimension, by the Gumbel-max rule.

    >>> draw(torch.tensor([[0.0, 1e9]]))
    tensor([1])
    """
    tiny = torch.finfo(logits.dtype).tiny
    gumbel = -torch.log(-torch.log(noise.uniform(logits).clamp_min(tiny)))
    return (logits + gumbel).argmax(-1)


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """The logits of the likeliest values that have probability `top_p` together, −∞ for all others; shape (…, K).

    Holtzman et al. 2020, The curious case of neural text degeneration.

    >>> nucleus(torch.log(torch.tensor([[0.5, 0.3, 0.2]])), 0.6).exp()
    tensor([[0.5000, 0.3000, 0.0000]])
    """
    ordered, places = torch.softmax(logits, -1).sort(-1, descending=True)
    likelier = ordered.cumsum(-1) - ordered
    left_out = torch.zeros_like(likelier, dtype=torch.bool).scatter(-1, places, likelier >= top_p)
    return logits.masked_fill(left_out, -torch.inf)


def invert(log_p: Tensor, uniform: Tensor) -> Tensor:
    """The class in whose part of [0, 1) each uniform number lies.

    Shapes: log-probabilities (B, K) with uniform (B,), or (K,) with uniform (n,); to the shape of `uniform`.

    >>> invert(torch.log(torch.tensor([0.2, 0.8])), torch.tensor([0.1, 0.3]))
    tensor([0, 1])
    """
    cumulative = log_p.exp().cumsum(-1)
    if log_p.dim() == 1:
        return torch.searchsorted(cumulative, uniform).clamp_max(len(log_p) - 1)
    return torch.searchsorted(cumulative, uniform[:, None].contiguous()).clamp_max(log_p.shape[1] - 1)[:, 0]


def median(logits: Tensor) -> Tensor:
    """The median of a line cut into cells, uniform inside each: cell index + position, shape (…).

    >>> median(torch.log(torch.tensor([[0.25, 0.5, 0.25]])))
    tensor([1.5000])
    """
    probability = torch.softmax(logits, -1)
    cumulative = probability.cumsum(-1)
    cell = (cumulative < 0.5).sum(-1, keepdim=True).clamp_max(logits.shape[-1] - 1)
    inside = probability.gather(-1, cell)
    before = cumulative.gather(-1, cell) - inside
    position = ((0.5 - before) / inside).clamp(0.0, 0.999)
    return (cell + position).squeeze(-1)
