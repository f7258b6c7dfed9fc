"""Where new codes come from, fitted to the codes of the training split after training: ex-post density estimation.

A decoder has seen the codes of the training examples, which need not fill the prior. A density fitted to them
(Ghosh et al. 2020, From variational to deterministic autoencoders, section 4) draws codes where the decoder has been.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.core.batches import Batches
from sfumato.distributions import Normal, StandardNormal, noise
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.generators import current, redirected, seeded
from sfumato.models.base import Model
from sfumato.models.protocols import LatentSpace, require
from sfumato.networks import FlowPrior

Name = Literal["prior", "mixture", "flow"]
SAMPLERS = ("prior", "mixture", "flow")
COMPONENTS = 10
MAX_FITTED_CODES = 20_000
"""Codes that a sampler is fitted to, at most."""
FLOW_STEPS, FLOW_BATCH = 600, 256
"""Steps of the flow's training, and codes in each."""
Sampler = Callable[[int, float], Tensor]
"""n draws of shifted codes, (n, L), the noise inside a component or the flow multiplied by a temperature."""


@dataclass(frozen=True)
class Mixture:
    """Draws from a mixture of normals: weights (K,), means (K, L), roots of the covariances (K, L, L)."""

    weights: Tensor
    means: Tensor
    roots: Tensor

    def __call__(self, n: int, temperature: float = 1.0) -> Tensor:
        chosen = torch.multinomial(self.weights, n, replacement=True, generator=current(self.weights.device))
        standard = temperature * noise.normal(self.means, n, self.means.shape[1], 1)
        return self.means[chosen] + (self.roots[chosen] @ standard)[..., 0]


@dataclass(frozen=True)
class Flow:
    """Draws from a flow over (z − shift)/scale."""

    flow: FlowPrior
    shift: Tensor
    scale: Tensor

    @torch.no_grad()
    def __call__(self, n: int, temperature: float = 1.0) -> Tensor:
        return self.shift + self.scale * self.flow(None, n).sample(temperature)


def fit(name: str, model: Model, train: Batches, *, components: int = COMPONENTS, seed: int = 0) -> Sampler:
    """A sampler of the codes of `train`; what it draws goes through `placed` before it is decoded.

    "mixture" is a mixture of normals with full covariances by expectation maximisation; "flow" a neural spline flow
    by maximum likelihood. Where the prior is a normal, they are fitted to (z − μ(c))/σ(c) with z ~ q(z | x, c), so
    that the draws serve under any condition.

    Args:
        name: "mixture" or "flow".
        model: its encoder gives the codes, one draw from q for each example.
        train: at most 20,000 of these examples are used.
        components: of the mixture.
        seed: of the choice, the draws and the fit.

    Raises:
        SfumatoError: if the name is unknown, the codes are discrete, or there are too few examples.
    """
    if name not in SAMPLERS[1:]:
        raise SfumatoError(f"no sampler is called {name!r}: {did_you_mean(name, SAMPLERS)}")
    if components < 1:
        raise SfumatoError(f"components is {components}: give a whole number of at least 1")
    device = next(model.parameters()).device
    with seeded(device, seed, model):
        codes = _codes(require(model, LatentSpace, f"take a {name} fitted to its codes"), train, device, seed)
        if len(codes) <= components:
            raise SfumatoError(
                f"{len(codes)} training rows are too few for {components} components; use fewer components"
            )
        return _mixture(codes, components, seed) if name == "mixture" else _flow(codes)


def placed(model: LatentSpace, codes: Tensor, given: Tensor | None) -> Tensor:
    """μ(c) + σ(c)·code: where a sampler's draws lie under conditions c, (n, L)."""
    prior = model.prior(len(codes), given)
    return prior.mean + prior.scale * codes if isinstance(prior, Normal) else codes


def _codes(model: LatentSpace, train: Batches, device: torch.device, seed: int) -> Tensor:
    index = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:MAX_FITTED_CODES]
    codes = []
    with torch.no_grad():
        for part in index.split(FLOW_BATCH):
            batch = train.take(part).to(device)
            codes.append(_shifted(model, batch).float().cpu())
    return torch.cat(codes)


def _shifted(model: LatentSpace, batch: Batch) -> Tensor:
    z, prior = model.encode(batch).sample(), model.prior(len(batch), batch.given)
    if batch.given is not None and not isinstance(prior, Normal | StandardNormal):
        raise SfumatoError(
            "no sampler is available: the prior depends on the conditions and is not a normal distribution"
        )
    return (z - prior.mean) / prior.scale if isinstance(prior, Normal) else z


def _mixture(codes: Tensor, components: int, seed: int) -> Sampler:
    mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-6).fit(codes.double().numpy())
    roots = np.linalg.cholesky(mixture.covariances_)
    return Mixture(*map(torch.as_tensor, (mixture.weights_, mixture.means_, roots)))


def _flow(codes: Tensor) -> Sampler:
    shift, scale = codes.mean(0), codes.std(0).clamp_min(1e-6)
    with redirected():
        flow = FlowPrior(codes.shape[1])
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, FLOW_STEPS)
    standard = (codes - shift) / scale
    for _ in range(FLOW_STEPS):
        rows = standard[torch.randint(len(standard), (FLOW_BATCH,), generator=current(standard.device))]
        loss = -flow(None, len(rows)).log_prob(rows).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    return Flow(flow, shift, scale)
