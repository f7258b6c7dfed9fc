"""Examples as symbols: the integer masses that p(x | z) has for pixels, categories and symbols of text."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor

from sfumato.distributions import Bernoulli, Categorical, Distribution, LogisticMixture, Normal, Scaled
from sfumato.errors import SfumatoError
from sfumato.networks.symbols.spelled import Spelled
from sfumato.tasks.compression import functions, masses
from sfumato.tasks.compression.steps import Step, Steps, digits, viewed

WEIGHTS_TOTAL = 2.0**20
"""Sum of the whole weights of a mixture's components."""


@singledispatch
def observed(p: Distribution) -> Steps:
    """The steps that code x with p(x | z); return x, int64 in the shape of `Batch.x`.

    Raises:
        SfumatoError: for a distribution without a probability for each value that x can have.
    """
    raise _no_probability(type(p).__name__)


def _no_probability(name: str) -> SfumatoError:
    return SfumatoError(
        f"the model's likelihood ({name}) has no probability for each value of an example, only a density; train with "
        "one of whole values: logistic_mixture or bernoulli for images, the default for tables and text"
    )


@observed.register
def _(p: Bernoulli) -> Steps:
    found = yield Step(masses.binary(p.logits.reshape(-1)), lambda x: x.reshape(-1))
    return found.reshape(p.logits.shape)


@observed.register
def _(p: Categorical) -> Steps:
    shape, size = p.logits.shape[:-1], p.logits.shape[-1]
    found = yield Step(masses.categorical(p.logits.reshape(-1, size)), lambda x: x.reshape(-1))
    return found.reshape(shape)


@observed.register
def _(p: Scaled) -> Steps:
    """A normal of intensities from 0 to 1: the mass between the halves on both sides of each level."""
    if not isinstance(p.base, Normal):
        raise SfumatoError(
            "the likelihood bernoulli reads grey levels as probabilities of black and white, so that none has a "
            "probability of its own; train with --likelihood logistic_mixture, or with --binarise"
        )
    means, levels = p.base.mean, p.top + 1
    inverse = functions.exp(-p.base.log_scale).expand_as(means)
    return (yield from _levels(masses.normal(), means[None], inverse[None], None, levels, lambda k: (k - 0.5) / p.top))


@observed.register
def _(p: LogisticMixture) -> Steps:
    """Channel by channel: weights of the components follow what the channels before say of them."""
    weights = functions.softmax(p.logits, 1).movedim(1, 0)
    inverse = functions.exp(-p.log_scales)
    channels = p.means.shape[2]
    channel_values: list[Tensor] = []
    table, top = masses.logistic(), p.levels - 1

    def edge(k: Tensor) -> Tensor:
        return (2.0 * k - 1.0) / top - 1.0

    for channel in range(channels):
        y = torch.stack(channel_values, 1).unsqueeze(1) if channel_values else p.means[:, :, :0]
        mean, sharp = p.mean_given(channel, 2.0 * y / top - 1.0).movedim(1, 0), inverse[:, :, channel].movedim(1, 0)
        steps = _levels(table, mean, sharp, weights, p.levels, edge)
        found = yield from viewed(steps, lambda x, channel=channel: x[:, channel])  # type: ignore[misc]
        channel_values.append(found.double())
        if channel + 1 < channels:
            above, below = (table.nearest((edge(found + step) - mean) * sharp) for step in (1.0, 0.0))
            mass = torch.where(found == top, masses.TABLE_TOTAL, above) - torch.where(found == 0, 0.0, below)
            weights = weights * (mass + 1.0)
            weights = weights / functions.total(weights, (0,))
    return torch.stack(channel_values, 1).long()


@observed.register
def _(p: Spelled) -> Steps:
    """Symbol by symbol; what stands behind the end is certain."""
    rows = p.rows
    symbols, going = torch.zeros(rows, p.length, dtype=torch.int64), torch.ones(rows, dtype=torch.bool)
    places = p.one_by_one()
    logits = next(places)
    for place in range(p.length):
        if not bool(going.any()):
            break

        def read(x: Tensor, place: int = place, going: Tensor = going) -> Tensor:
            return x[:, place, 0][going]

        symbol = torch.full((rows,), p.size - 1 if p.end is None else p.end, dtype=torch.int64)
        symbol[going] = yield Step(masses.categorical(logits[going]), read)
        symbols[:, place] = symbol
        if p.end is not None:
            going = going & (symbol != p.end)
            symbols[:, place + 1 :][~going] = p.end
        if place + 1 < p.length:
            logits = places.send(symbol)
    return symbols[:, :, None]


def _levels(
    table: masses.Table,
    means: Tensor,
    inverse: Tensor,
    weights: Tensor | None,
    levels: int,
    edge: Callable[[Tensor], Tensor],
) -> Steps:
    """Levels with the masses of a mixture between their edges; the outermost reach to ±∞.

    Args:
        table: the components' distribution function.
        means, inverse: of M components, (M, *shape); one over their scales.
        weights: (M, *shape), in sum 1; None for a single component.
        levels: number of levels.
        edge: lower edge of a level, in the units of means.
    """
    whole = None if weights is None else torch.round(weights * WEIGHTS_TOTAL)
    top = masses.TABLE_TOTAL if whole is None else functions.total(whole, (0,))[..., None] * masses.TABLE_TOTAL

    def cumulative(k: Tensor) -> Tensor:
        at = edge(k.double())
        below = table.nearest((at - means[..., None]) * inverse[..., None])
        below = below[0] if whole is None else functions.total(below * whole[..., None], (0,))
        return torch.where(k == 0, 0.0, torch.where(k == levels, top, below))

    return digits(cumulative, levels, means.shape[1:])
