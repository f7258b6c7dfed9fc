"""Small models and data for tests of the loop."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.batch import Batch, Loss
from sfumato.data.core.batching.batches import Resident
from sfumato.distributions import noise
from sfumato.models.base import Model
from sfumato.objectives import free_bits


def data(rows: int = 200, seed: int = 0) -> Resident:
    """Points near a line in the plane."""
    draw = torch.Generator().manual_seed(seed)
    along = torch.randn(rows, 1, generator=draw)
    return Resident(torch.cat([along, -along], 1) + 0.1 * torch.randn(rows, 2, generator=draw))


class Line(Model):
    """A one-player model with noise: a linear VAE with unit decoder variance."""

    def __init__(self, seed: int = 0, width: int = 8) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.encoder = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 2))
            self.decoder = nn.Linear(1, 2)

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        mean, log_scale = self.encoder(batch.x).float().chunk(2, 1)
        z = mean + log_scale.exp() * noise.normal(mean)
        error = self.decoder(z).float() - batch.x
        rate = 0.5 * (mean**2 + (2 * log_scale).exp() - 1) - log_scale
        return {"model": Loss({"distortion": 0.5 * error.square().sum(1), "rate": rate.sum(1)})}


class Floored(Line):
    """A line whose rate is compared over the joint batch, so that processes wait for each other in each batch."""

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        loss = super().losses(batch, step)["model"]
        return {"model": Loss({**loss.terms, "rate": free_bits(loss.terms["rate"].unsqueeze(1), 0.5)})}


class Duel(Model):
    """Two players: a generator and the discriminator that tells its points from the data."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.generator = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
            self.critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {"generator": list(self.generator.parameters()), "critic": list(self.critic.parameters())}

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        fake = self.generator(noise.normal(batch.x))
        true, false = self.critic(batch.x)[:, 0], self.critic(fake)[:, 0]
        return {
            "generator": Loss({"fooled": F.softplus(-false)}),
            "critic": Loss({"gan": F.softplus(-true) + F.softplus(false)}),
        }


class Standing(Line):
    """A model with a buffer that each forward pass in training moves: a running mean of the data."""

    mean: Tensor

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.register_buffer("mean", torch.zeros(2))

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        if self.training:
            self.mean.lerp_(batch.x.mean(0).detach(), 0.1)
        return super().losses(Batch(batch.x - self.mean), step)


class Poison(Line):
    """A model whose distortion is not finite at some steps."""

    def __init__(self, steps: set[int], value: float = float("nan")) -> None:
        super().__init__()
        self.steps, self.value = steps, value
        self.register_buffer("seen", torch.zeros(()))

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        loss = super().losses(batch, step)["model"]
        bad = step in self.steps
        if self.training:
            self.seen += self.value if bad else 1.0
        spoiled = loss.terms["distortion"] * (self.value if bad else 1.0)
        return {"model": Loss({**loss.terms, "distortion": spoiled})}


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two models have the same parameters and buffers, bit for bit."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Judged(Line):
    """A line that in eval mode also measures samples, which get worse with every look while its loss gets better."""

    looks: Tensor

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.register_buffer("looks", torch.zeros(()))

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        loss = super().losses(batch, step)["model"]
        if not self.training:
            self.looks += 1
            return {"model": Loss(loss.terms, metrics={"energy_distance": self.looks.expand(len(batch))})}
        return {"model": loss}
