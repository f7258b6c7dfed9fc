"""The papers' fully connected networks, as modules that return distributions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sfumato.distributions import Bernoulli, Normal
from sfumato.networks import MLP


class Encoder(nn.Module):
    """q(z | x, c): flat inputs through an MLP to μ and log σ."""

    def __init__(
        self, inputs: int, width: int, depth: int, latent_dim: int, activation: type[nn.Module] = nn.ReLU
    ) -> None:
        super().__init__()
        self.body = MLP(inputs, width, depth, activation)
        self.mean, self.log_scale = nn.Linear(width, latent_dim), nn.Linear(width, latent_dim)

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        flat = x.flatten(1).float()
        h = self.body(flat if given is None else torch.cat([flat, given], 1))
        return Normal(self.mean(h), self.log_scale(h))


class Prior(nn.Module):
    """p(z | c): conditions through an MLP to μ and log σ."""

    def __init__(self, inputs: int, width: int, depth: int, latent_dim: int) -> None:
        super().__init__()
        self.net = Encoder(inputs, width, depth, latent_dim)

    def forward(self, given: Tensor, n: int) -> Normal:
        return self.net(given)


class BinaryDecoder(nn.Module):
    """p(x | z, c): an MLP to the log-odds of every pixel."""

    def __init__(
        self,
        inputs: int,
        width: int,
        depth: int,
        shape: tuple[int, ...],
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.net = nn.Sequential(MLP(inputs, width, depth, activation), nn.Linear(width, math.prod(shape)))

    def begin_at(self, mean: Tensor) -> None:
        """Let the network say the data's mean before it has learned anything, as Burda et al.'s own code does."""
        with torch.no_grad():
            self.net[-1].bias.copy_(torch.logit(mean.flatten().clamp(1e-3, 1 - 1e-3)))

    def forward(self, z: Tensor, given: Tensor | None = None) -> Bernoulli:
        inputs = z if given is None else torch.cat([z, given], 1)
        return Bernoulli(self.net(inputs).view(-1, *self.shape))
