"""Where new codes come from besides the prior: densities fitted to the codes of the training split after training.

A decoder has seen the codes of the training examples, which need not fill the prior. A density fitted to them draws
codes where the decoder has been (Ghosh et al. 2020, From variational to deterministic autoencoders, section 4).
All are over the coordinates of `codes.relative`.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.distributions import StandardNormal, noise
from sfumato.errors import SfumatoError
from sfumato.latents.codes import Codes
from sfumato.latents.flow_matching import FlowMatching
from sfumato.networks import FlowPrior
from sfumato.randomness.generators import current, redirected, seeded
from sfumato.spec import Field

Name = Literal["prior", "mixture", "flow", "flow-matching"]
NAMES: tuple[Name, ...] = get_args(Name)
COMPONENT_COUNTS = (1, 4, 10, 25)
"""Numbers of components that are tried, as long as validation codes are the likelier for more."""
MAX_FITTED_CODES = 20_000
"""Codes that a mixture or a spline flow is fitted to, at most."""
SPLINE_STEPS, SPLINE_BATCH = 600, 256
"""Steps of the spline flow's training, and codes in each."""
MIN_VARIANCE = 1e-6
"""Variance that is added to the covariances of a mixture, and the least deviation of a code."""


class Sampler(Protocol):
    """A density over codes, fitted to some: a module whose `state_dict` and `sizes` are all of it."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """What `unfitted` makes one of the same shape from."""

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
        """n codes, (n, L), under the conditions `given`, (n, G); `temperature` multiplies noise in a component."""

    def log_prob(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        """Log-density of codes (n, L) in nats, (n,)."""


class Mixture(nn.Module):
    """p(z) = Σ_k π_k N(z; m_k, S_k), with full covariances S_k = R_k R_kᵀ.

    Args:
        latent_dim: L.
        components: K.
    """

    weights: Tensor
    means: Tensor
    roots: Tensor

    def __init__(self, latent_dim: int, components: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, latent_dim))
        self.register_buffer("roots", torch.eye(latent_dim).repeat(components, 1, 1))

    @property
    def sizes(self) -> Mapping[str, int]:
        return {"components": len(self.weights)}

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
        chosen = torch.multinomial(self.weights, n, replacement=True, generator=current(self.weights.device))
        standard = noise.tempered(temperature, self.means, n, self.means.shape[1], 1)
        return self.means[chosen] + (self.roots[chosen] @ standard)[..., 0]

    def log_prob(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        normals = torch.distributions.MultivariateNormal(self.means.to(z), scale_tril=self.roots.to(z))
        return torch.logsumexp(normals.log_prob(z[:, None]) + self.weights.to(z).log(), 1)


class SplineFlow(nn.Module):
    """A neural spline flow over (z − shift)/scale.

    Args:
        latent_dim: L.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.flow = FlowPrior(latent_dim)
        self.register_buffer("shift", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    @property
    def sizes(self) -> Mapping[str, int]:
        return {}

    @torch.no_grad()
    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
        return self.shift + self.scale * self.flow(None, n).sample(temperature)

    def log_prob(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        return self.flow(None, len(z)).log_prob((z - self.shift) / self.scale) - self.scale.log().sum()


class ActiveLatents(nn.Module):
    """p(z) = p_s(z_A) Π_{i ∉ A} N(z_i; 0, 1): a sampler of the latents A that carry something.

    The others are the prior for every example. What a density of 64 latents learns of noise where 8 carry something is
    worth less than nothing: a normal fitted to 13,500 such codes is 0.06 nats behind the prior.

    Args:
        sampler: p_s.
        active: A, indices of latents.
        latent_dim: L.

    >>> ActiveLatents(Mixture(2, 1), torch.tensor([0, 3]), 5).sample(7).shape
    torch.Size([7, 5])
    """

    active: Tensor

    def __init__(self, sampler: nn.Module, active: Tensor, latent_dim: int) -> None:
        super().__init__()
        self.sampler: Any = sampler
        self.latent_dim = latent_dim
        self.register_buffer("active", active)

    @property
    def sizes(self) -> Mapping[str, int]:
        return {**self.sampler.sizes, "active": len(self.active)}

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, **options: Any) -> Tensor:
        codes: Tensor = self.sampler.sample(n, given, temperature=temperature, **options)
        z = noise.tempered(temperature, codes, n, self.latent_dim)
        z[:, self.active] = codes
        return z

    def log_prob(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        idle = torch.ones(self.latent_dim, dtype=torch.bool, device=z.device)
        idle[self.active] = False
        others = StandardNormal(len(z), int(idle.sum()), z).log_prob(z[:, idle])
        return self.sampler.log_prob(z[:, self.active], given) + others


def is_flow_matching(sampler: object) -> bool:
    """Whether it is flow matching, of all latents or of the active ones."""
    return isinstance(sampler.sampler if isinstance(sampler, ActiveLatents) else sampler, FlowMatching)


def unfitted(name: str, latent_dim: int, given: Sequence[Field], sizes: Mapping[str, Any]) -> nn.Module:
    """The sampler called `name`, for codes of `latent_dim` numbers, to be fitted or loaded."""
    if "active" in sizes:
        inner = {size: value for size, value in sizes.items() if size != "active"}
        active = torch.zeros(sizes["active"], dtype=torch.long)
        return ActiveLatents(unfitted(name, len(active), given, inner), active, latent_dim)
    if name == "mixture":
        return Mixture(latent_dim, **sizes)
    return SplineFlow(latent_dim) if name == "flow" else FlowMatching(latent_dim, given, **sizes)


def fit_mixture(
    train: Codes,
    valid: Codes | None,
    components: int | None = None,
    *,
    seed: int = 0,
    seconds: float = math.inf,
) -> Mixture:
    """A mixture of normals by expectation maximisation.

    Args:
        train: its codes, a draw of each of at most 20,000.
        valid: codes by whose likelihood the number of components is chosen, of 1, 4, 10 and 25.
        components: their number, where it is not to be chosen; 10 without `valid`.
        seed: of the draws and the start.
        seconds: what the choice of their number may take; larger numbers that would take longer are left out.

    Raises:
        SfumatoError: if there are no more codes than components.
    """
    from sklearn.mixture import GaussianMixture

    if components is not None and components < 1:
        raise SfumatoError(f"components is {components}: give a whole number of at least 1")
    counts = COMPONENT_COUNTS if components is None and valid is not None else (components or 10,)
    codes = _some(train, seed).double().numpy()
    if len(codes) <= counts[0]:
        raise SfumatoError(f"{len(codes)} training rows are too few for {counts[0]} components; ask for fewer")
    held_out = None if valid is None else valid.draw(seed + 1).x.double().numpy()
    best, highest = None, -np.inf
    begun, pace = time.perf_counter(), 0.0
    for count in counts:
        fit_begun = time.perf_counter()
        if best is not None and fit_begun - begun + pace * count > seconds:
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fits that stop before they have converged, which validation judges
            fitted = GaussianMixture(count, random_state=seed % 2**32, reg_covar=MIN_VARIANCE).fit(codes)
        log_likelihood = 0.0 if held_out is None else fitted.score(held_out)
        if log_likelihood <= highest or len(codes) <= count:
            break
        best, highest = fitted, log_likelihood
        pace = (time.perf_counter() - fit_begun) / count
    assert best is not None
    mixture = Mixture(codes.shape[1], len(best.weights_))
    roots = np.linalg.cholesky(best.covariances_)
    for name, values in (("weights", best.weights_), ("means", best.means_), ("roots", roots)):
        getattr(mixture, name).copy_(torch.as_tensor(values))
    return mixture


def fit_spline_flow(train: Codes, *, seed: int = 0) -> SplineFlow:
    """A neural spline flow by maximum likelihood."""
    codes = _some(train, seed)
    with seeded(codes.device, seed), redirected():
        flow = SplineFlow(codes.shape[1])
        flow.shift.copy_(codes.mean(0))
        flow.scale.copy_(codes.std(0).clamp_min(MIN_VARIANCE))
        optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, SPLINE_STEPS)
        for _ in range(SPLINE_STEPS):
            rows = codes[torch.randint(len(codes), (SPLINE_BATCH,), generator=current(codes.device))]
            loss = -flow.log_prob(rows).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return flow.requires_grad_(False)


def _some(codes: Codes, seed: int) -> Tensor:
    """A draw of each of at most `MAX_FITTED_CODES` codes, on the CPU."""
    index = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))[:MAX_FITTED_CODES]
    return codes.draw(seed).x[index].cpu()
