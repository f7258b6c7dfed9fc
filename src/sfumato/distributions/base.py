"""Base classes of all distributions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sfumato.distributions.restricted import Allowed


class Distribution(ABC):
    """A distribution over one example, for each of B examples.

    `log_prob` sums all event dimensions: nats per example, shape (B,). A distribution over x lives in the space of
    `Batch.x`: it takes uint8 pixels, cell numbers and category indices as they stand there, and gives them back.
    Noise comes from `sfumato.distributions.noise`, batch dimension first.
    """

    @abstractmethod
    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p(x) in nats, shape (B,). Entries where `mask` is False add nothing."""

    @abstractmethod
    def sample(self) -> Tensor:
        """One draw for each example, shape (B, *event); reparametrised where the distribution allows it."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The value that represents each example: the mean of numbers, the mode of categories. Shape (B, *event)."""

    def independent(self) -> Distribution:
        """Each entry given the latents alone; the distribution itself, where entries do not see each other."""
        return self

    def complete(self, x: Tensor, mask: Tensor, allowed: Mapping[int, Allowed] | None = None) -> tuple[Tensor, Tensor]:
        """Draws of the entries that are not known, and a weight.

        Here entries are independent: unknown ones are drawn from their own distributions, and the weight is
        p(x_known). Where they are not, draws and weights are such that draws of density r, weighted by w, are those of
        p(x_unknown, x_known): r(x_unknown)·w = p(x), so that E_r[w] = p(x_known).

        Args:
            x: (B, *event), of which those entries are looked at that are known.
            mask: True where an entry is known, the shape of x.
            allowed: place of an entry → the values it may take where it is not known; the weight is then
                p(x_known, x_unknown allowed). Of rows of columns only.

        Returns:
            (x, log w): x with the draws in it, and the log of the weight in nats, (B,).
        """
        drawn, log_weight = self.sample(), self.log_prob(x, mask)
        for place, values in (allowed or {}).items():
            drawn[:, place], log_p = self.restricted(place, values)
            log_weight = log_weight + log_p.masked_fill(mask[:, place], 0.0)
        return torch.where(mask, x.to(drawn.dtype), drawn), log_weight

    def restricted(self, place: int, allowed: Allowed) -> tuple[Tensor, Tensor]:
        """A draw of one entry from what is allowed, x ~ p(x | x ∈ A), and log p(x ∈ A) in nats, each (B,)."""
        raise ValueError("entries are restricted to sets of values in rows of columns only")

    def with_total_of(self, x: Tensor, mask: Tensor | None = None) -> Distribution:
        """The distribution of an example with the total of x, where it has one (counts); itself for all else."""
        return self

    def tempered(self, temperature: float, top_p: float = 1.0) -> Distribution:
        """The distribution whose draws of symbols are more typical; itself for all but sequences of symbols.

        Args:
            temperature: what the logits of each symbol are divided by; 0 takes the likeliest.
            top_p: each is drawn from the likeliest symbols that have this probability together.
        """
        return self

    def features(self) -> Tensor:
        """E[φ(x)], shape (B, F), which moves smoothly with the parameters: x itself unless overridden.

        φ puts values of every kind on scales that distances can be measured on: numbers standardised, pixels from 0 to
        1, a category as one column of zeros and ones for each of its values.
        """
        return self.mode().flatten(1)


class Latent(Distribution):
    """A distribution over z, which can be repeated for several draws per example and sampled with less noise."""

    @abstractmethod
    def sample(self, temperature: float = 1.0) -> Tensor:
        """One draw for each example, shape (B, *event).

        Args:
            temperature: factor on the standard normal noise that the draw is made from. What is chosen (the component
                of a mixture, spike or slab) is chosen by its weight at every temperature.
        """

    @abstractmethod
    def repeat(self, times: int) -> Latent:
        """Each example `times` times in a row, shape (B·times, *event)."""


class Posterior(Latent):
    """A distribution over z returned by an encoder, whose draws are a function of standard normal noise."""

    @abstractmethod
    def draw(self, noise: Tensor) -> Tensor:
        """The draw that standard normal `noise` of shape (B, *event) becomes: the same noise, the same draw."""

    def draw_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """`draw`, and the log-density of what was drawn, shape (B,)."""
        x = self.draw(noise)
        return x, self.log_prob(x)

    def log_prob_along(self, draw: Tensor) -> Tensor:
        """log q(z) of one of its own draws, differentiable by way of the draw alone where draws are reparametrised.

        What is left out, the gradient of log q at a z that stands still, is 0 in the mean and noise in each draw
        (Roeder, Wu and Duvenaud 2017, Sticking the landing). Where draws do not carry the whole gradient, as here, it
        stays.
        """
        return self.log_prob(draw)

    @abstractmethod
    def repeat(self, times: int) -> Posterior:
        """Each example `times` times in a row, shape (B·times, *event)."""


def observed(x: Tensor, mask: Tensor | None) -> Tensor:
    """x with 0 where `mask` is False: a NaN there adds nothing to a sum, but would to its gradient.

    >>> import torch
    >>> observed(torch.tensor([torch.nan, 2.0]), torch.tensor([False, True]))
    tensor([0., 2.])
    """
    return x if mask is None else x.masked_fill(~mask, 0)


def sum_event(log_density: Tensor, mask: Tensor | None = None) -> Tensor:
    """Σ over all dimensions but the first, entries where `mask` is False left out; shape (B,).

    >>> import torch
    >>> sum_event(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[True, False], [True, True]]))
    tensor([1., 7.])
    """
    if mask is not None:
        log_density = log_density.where(mask, 0.0)
    return log_density.flatten(1).sum(1)


def each(values: Tensor, times: int) -> Tensor:
    """Each row `times` times in a row, as `repeat_interleave` gives them; of a single row, views of it.

    >>> import torch
    >>> each(torch.tensor([[1.0], [2.0]]), 2).flatten()
    tensor([1., 1., 2., 2.])
    """
    return values.unsqueeze(1).expand(-1, times, *values.shape[1:]).flatten(0, 1)


def widened(*tensors: Tensor) -> tuple[Tensor, ...]:
    """In double precision, where the device has it: for sums of products that are large and nearly cancel.

    >>> import torch
    >>> [tensor.dtype for tensor in widened(torch.ones(2), torch.ones(3))]
    [torch.float64, torch.float64]
    """
    return tensors if tensors[0].device.type == "mps" else tuple(tensor.double() for tensor in tensors)
