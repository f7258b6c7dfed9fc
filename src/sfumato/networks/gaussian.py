"""Encoder, decoder and priors: modules whose forward returns a distribution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato.distributions import Distribution, Normal, NormalMixture, StandardNormal
from sfumato.networks.features import GivenFeatures
from sfumato.networks.heads.base import Head
from sfumato.networks.mlp import MLP

LOG_SCALE_LIMIT = 10.0
COMPONENT_SPREAD = 0.1
"""Standard deviation of the means of a mixture prior's components at the start."""


class NormalLayer(nn.Module):
    """One linear layer to μ and log σ of a normal.

    log σ = 10·tanh(raw/10): the identity near 0, within ±10 everywhere, so that no step can overflow.

    Shapes: (B, inputs) to `Normal` over (B, latent_dim).
    """

    def __init__(self, inputs: int, latent_dim: int) -> None:
        super().__init__()
        self.inputs, self.latent_dim = inputs, latent_dim
        self.linear = nn.Linear(inputs, 2 * latent_dim)

    def forward(self, h: Tensor) -> Normal:
        mean, log_scale = full(self.linear(h)).chunk(2, 1)
        return Normal(mean, bounded(log_scale))


class Encoder(nn.Module):
    """q(z | x, c) = N(μ(x, c), σ(x, c)²).

    Args:
        features: entries to numbers, `(x, mask) → tensor`.
        body: numbers to features, `.outputs` of them per example.
        latent_dim: number of latents L.
        given: features of the conditions, or None.

    Shapes: x (B, *shape), given (B, G) or None, mask like x or None; to `Normal` over (B, L).
    """

    def __init__(
        self,
        features: nn.Module,
        body: nn.Module,
        outputs: int,
        latent_dim: int,
        given: GivenFeatures | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.body = body
        self.given = given
        self.normal = NormalLayer(outputs + (given.outputs if given else 0), latent_dim)

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        return self.posterior(self.seen(x, mask), given)

    def seen(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What is made of x before the conditions join, (B, outputs)."""
        h: Tensor = self.body(self.features(x, mask))
        return h

    def posterior(self, h: Tensor, given: Tensor | None = None) -> Normal:
        """q(z | x, c) from `seen`, so that one example under several conditions is seen once."""
        if self.given is not None:
            h = torch.cat([h, self.given(given, h)], 1)
        return self.normal(h)


class Decoder(nn.Module):
    """p(x | z, c): a trunk, then the head of the likelihood.

    Args:
        trunk: (B, L + features of c) to raw outputs (B, *head.raw).
        head: raw outputs to the distribution of x.
        given: features of the conditions, or None.
    """

    def __init__(self, trunk: nn.Module, head: Head, given: GivenFeatures | None = None) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.given = given

    def forward(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        return self.head.under(self.raw(z, given), given)

    def raw(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        """What the head is given, shape (B, *head.raw)."""
        if self.given is not None:
            z = torch.cat([z, self.given(given, z)], 1)
        return full(self.trunk(z))


class StandardPrior(nn.Module):
    """p(z) = N(0, 1), independent of conditions."""

    like: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("like", torch.zeros(0), persistent=False)

    def forward(self, given: Tensor | None, n: int) -> StandardNormal:
        return StandardNormal(n, self.latent_dim, self.like)


class GivenPrior(nn.Module):
    """p(z | c) = N(μ(c), σ(c)²), learned with the rest (Sohn, Lee and Yan 2015)."""

    def __init__(self, given: GivenFeatures, latent_dim: int, width: int, depth: int = 1) -> None:
        super().__init__()
        self.given = given
        self.body = MLP(given.outputs, width, depth)
        self.normal = NormalLayer(self.body.outputs, latent_dim)
        nn.init.zeros_(self.normal.linear.weight)
        nn.init.zeros_(self.normal.linear.bias)

    def forward(self, given: Tensor | None, n: int) -> Normal:
        return self.normal(self.body(self.given(given, self.normal.linear.weight.new_empty(n, 0))))


class MixturePrior(nn.Module):
    """p(z) = Σ_k π_k N(z; m_k, s_k²), learned with the rest.

    The components start close together, as N(0, 1) in all: apart, they would pull codes in all directions before
    codes have any.

    Args:
        latent_dim: number of latents L.
        components: number of components K.
    """

    def __init__(self, latent_dim: int, components: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(COMPONENT_SPREAD * torch.randn(components, latent_dim))
        self.log_scales = nn.Parameter(torch.zeros(components, latent_dim))

    def forward(self, given: Tensor | None, n: int) -> NormalMixture:
        return NormalMixture(self.logits, self.means, bounded(self.log_scales), n)


def bounded(log_scale: Tensor) -> Tensor:
    """10·tanh(log σ/10)."""
    return LOG_SCALE_LIMIT * torch.tanh(log_scale / LOG_SCALE_LIMIT)


def full(x: Tensor) -> Tensor:
    """`x` in at least single precision, for what comes out of a network under mixed precision."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
