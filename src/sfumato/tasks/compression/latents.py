"""Latents as symbols: the line cut where the prior has equal masses, and what the posterior has in each piece."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial, singledispatch
from typing import NamedTuple

import torch
from torch import Tensor

from sfumato.distributions import Latent, Normal, Posterior, StandardNormal
from sfumato.errors import SfumatoError
from sfumato.networks.hierarchical.hierarchy import HierarchicalPosterior, HierarchicalPrior
from sfumato.tasks.compression import functions, masses
from sfumato.tasks.compression.steps import Step, Steps, digits, viewed

BIN_BITS = 16
LATENT_BINS = 2**BIN_BITS
"""Pieces of equal prior mass that each latent is cut into."""

Layer = tuple[Normal | StandardNormal, Normal | None]
"""Prior and posterior of some latents, given those before them."""
Layers = Generator[Layer, Tensor, None]
"""Yields the layers, and is sent z of each."""


@singledispatch
def layers(prior: Latent, posterior: Posterior | None) -> Layers:
    """The layers of a prior and a posterior, from the top down; one for latents that are independent in both.

    Args:
        prior: p(z | c).
        posterior: q(z | x, c); None where only the prior is asked for.

    Raises:
        SfumatoError: for a prior or a posterior that is not normal.
    """
    raise SfumatoError(
        f"a prior of the kind {type(prior).__name__} has no quantiles to cut latents by; compress with a model whose "
        "prior is standard (train with --prior standard)"
    )


@layers.register(Normal)
@layers.register(StandardNormal)
def _(prior: Normal | StandardNormal, posterior: Posterior | None) -> Layers:
    if posterior is not None and not isinstance(posterior, Normal):
        raise SfumatoError(
            f"a posterior of the kind {type(posterior).__name__} has no distribution function to code latents by; "
            "compress with a model such as vae or cvae"
        )
    yield prior, posterior


@layers.register
def _(prior: HierarchicalPrior, posterior: Posterior | None) -> Layers:
    assert posterior is None or isinstance(posterior, HierarchicalPosterior), "a hierarchy has both in layers"
    net = prior.net
    state = net.start(prior.n, prior.given)
    for at in range(len(net.shapes)):
        p, state = net.prior(at, state)
        q = None if posterior is None else net.posterior(at, state, posterior.evidence[at], p)
        z = yield p, q
        state = net.below(at, state, z)


class Code(NamedTuple):
    """The latents of B examples, layers side by side.

    Attributes:
        bins: which pieces of the line, int64 (B, L).
        z: the middles of these, (B, L).
    """

    bins: Tensor
    z: Tensor


def code_steps(prior: Latent, posterior: Posterior | None = None) -> Generator[Step, Tensor, Code]:
    """The steps that code bins, with what q(z | x, c) has in each, or without a posterior with equal masses.

    Returns:
        The bins, and z in the middle of them.
    """
    bins: list[Tensor] = []
    z: list[Tensor] = []
    walk, start = layers(prior, posterior), 0
    try:
        p, q = next(walk)
        while True:
            shape = p.mode().shape
            end = start + shape[1:].numel()
            steps = digits(Tensor.double if q is None else _posterior(p, q), LATENT_BINS, shape, 16)
            bins.append((yield from viewed(steps, partial(_layer, at=slice(start, end), shape=shape))))
            z.append(middle(p, bins[-1]))
            start = end
            p, q = walk.send(z[-1])
    except StopIteration:
        return Code(*(torch.cat([layer.flatten(1) for layer in each], 1) for each in (bins, z)))


def bin_steps(prior: Latent, posterior: Posterior | None = None) -> Steps:
    """The steps of `code_steps`; return the bins alone, as they are pushed."""
    return (yield from code_steps(prior, posterior)).bins


def _posterior(p: Normal | StandardNormal, q: Normal) -> Callable[[Tensor], Tensor]:
    """The distribution function of q at the edges of bins."""
    mean, inverse = q.mean, functions.exp(-q.log_scale).expand_as(q.mean)
    if isinstance(p, Normal):
        scale = functions.exp(p.log_scale)
        mean, inverse = (mean - p.mean) / scale, inverse * scale
    edges, table = masses.normal_quantiles(LATENT_BINS), masses.normal()

    def cumulative(k: Tensor) -> Tensor:
        below = table.between((edges[k] - mean[..., None]) * inverse[..., None])
        return torch.where(k == 0, 0.0, torch.where(k == LATENT_BINS, masses.TABLE_TOTAL, below))

    return cumulative


def middle(p: Normal | StandardNormal, bins: Tensor) -> Tensor:
    """z in the middle of bins of p, by its mass; shape of `bins`."""
    z = masses.normal_quantiles(2 * LATENT_BINS)[2 * bins + 1]
    return z * functions.exp(p.log_scale) + p.mean if isinstance(p, Normal) else z


def _layer(x: Tensor, at: slice, shape: torch.Size) -> Tensor:
    """Columns `at` of what is coded, (B, L), in the shape of a layer."""
    return x[:, at].reshape(shape)
