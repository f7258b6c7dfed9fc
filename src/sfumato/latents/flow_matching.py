"""Flow matching over codes: straight paths from noise to the codes of examples, and their densities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from sfumato.batch import Batch, Loss
from sfumato.distributions import StandardNormal, noise
from sfumato.distributions.base import each
from sfumato.models.base import Model
from sfumato.networks.features import GivenFeatures
from sfumato.networks.velocity import Velocity
from sfumato.randomness.generators import current
from sfumato.spec import Field

HEUN_STEPS = 10
"""Steps of Heun's method from noise to a code, each of two evaluations."""
MAX_EXACT_DIVERGENCE = 64
"""Latents up to which a divergence is summed exactly; above, it is estimated (Hutchinson)."""
HUTCHINSON_PROBES = 4
VALIDATION_DRAWS = 8
"""Times and noises that a code is validated with; one when it is trained on."""


class FlowMatching(Model):
    """Lipman et al. 2023, Flow matching for generative modeling; Liu, Gong and Liu 2023, Rectified flow.

        x_t = (1 − t)·ε + t·z      t ~ U(0, 1), ε ~ N(0, 1), z a standardised code
        loss(z, c) = ‖v(x_t, t, c) − (z − ε)‖²

    The minimiser is v(x, t, c) = E[z − ε | x_t = x, c], and the solution of dx/dt = v(x, t, c) from x_0 ~ N(0, 1) is at
    t = 1 distributed as the codes under c are. It is solved by Heun's method.

    All conditions of an example are left out with probability `condition_dropout`, and each by itself as often, so that
    one network holds p(z), p(z | a) and p(z | a, b), and a sample can be guided (Ho and Salimans 2021): v is then
    v(x, t) + g·(v(x, t, c) − v(x, t)).

    Arguments:
        latent_dim: numbers of a code L.
        given: the conditions, as the spec of the data has them.
        width, depth: of the network.
        condition_dropout: see above.

    >>> model = FlowMatching(2)
    >>> model.losses(Batch(torch.zeros(5, 2)), step=0)["model"].per_example.shape, model.sample(3).shape
    (torch.Size([5]), torch.Size([3, 2]))
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        latent_dim: int,
        given: Sequence[Field] = (),
        *,
        width: int = 128,
        depth: int = 3,
        condition_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.sizes = {"width": width, "depth": depth}
        self.condition_dropout = condition_dropout
        self.velocity = Velocity(latent_dim, width, depth, GivenFeatures(given) if given else None)
        self.register_buffer("shift", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    @torch.no_grad()
    def standardise(self, codes: Tensor) -> None:
        """Take mean and deviation of these codes, (N, L), for the origin and unit of paths."""
        self.shift.copy_(codes.mean(0))
        self.scale.copy_(codes.std(0).clamp_min(1e-6))

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        draws = 1 if self.training else VALIDATION_DRAWS
        z = each((batch.x - self.shift) / self.scale, draws)
        given = None if batch.given is None else each(batch.given, draws)
        if self.training and given is not None:
            given = self._left_out(given)
        epsilon, t = noise.normal(z), noise.uniform(z, len(z))
        x = torch.lerp(epsilon, z, t[:, None])
        error = (self.velocity(x, t, given) - (z - epsilon)).square().sum(1)
        return {"model": Loss({"velocity_error": error.view(-1, draws).mean(1)})}

    def _left_out(self, given: Tensor) -> Tensor:
        some, every = noise.uniform(given), noise.uniform(given, len(given), 1)
        return given.masked_fill((some < self.condition_dropout) | (every < self.condition_dropout), torch.nan)

    def sample(
        self,
        n: int,
        given: Tensor | None = None,
        *,
        temperature: float = 1.0,
        guidance: float = 1.0,
        steps: int = HEUN_STEPS,
    ) -> Tensor:
        """n codes, (n, L), under the conditions `given`, (n, G).

        Arguments:
            temperature: factor on the noise that a path starts from.
            guidance: g; 1 is the conditional field as it was learned, above 1 codes are more typical of c.
            steps: of Heun's method.
        """
        x = noise.tempered(temperature, self.shift, n, self.latent_dim)
        times = torch.linspace(0, 1, steps + 1, device=x.device, dtype=x.dtype)
        for start, end in pairwise(times):
            first = self._guided(x, start, given, guidance)
            second = self._guided(x + (end - start) * first, end, given, guidance)
            x = x + (end - start) / 2 * (first + second)
        return self.shift + self.scale * x

    def _guided(self, x: Tensor, t: Tensor, given: Tensor | None, guidance: float) -> Tensor:
        times = t.expand(len(x))
        v: Tensor = self.velocity(x, times, given)
        if guidance == 1.0 or given is None:
            return v
        free: Tensor = self.velocity(x, times, None)
        return torch.lerp(free, v, guidance)

    def log_prob(self, z: Tensor, given: Tensor | None = None, *, steps: int = 2 * HEUN_STEPS) -> Tensor:
        """log p(z | c) in nats, (n,), by the probability flow (Chen et al. 2018, Neural ODEs).

            log p(z) = log N(x_0; 0, 1) − ∫₀¹ Σ_i ∂v_i/∂x_i dt − Σ_i log scale_i

        along the path that ends in z, solved backwards by Heun's method. The divergence is exact up to 64 latents;
        above it is estimated by random signs (Hutchinson), which stay the same along a path, without bias.

        Arguments:
            steps: of Heun's method; the error falls with their square.
        """
        x = (z - self.shift) / self.scale
        probes = self._probes(x)
        times = torch.linspace(1, 0, steps + 1, device=x.device, dtype=x.dtype)
        change = x.new_zeros(len(x))
        for start, end in pairwise(times):
            first, spread = self._with_divergence(x, start, given, probes)
            second, later = self._with_divergence(x + (end - start) * first, end, given, probes)
            x = x + (end - start) / 2 * (first + second)
            change = change + (end - start) / 2 * (spread + later)
        # The integral runs from 1 to 0 here.
        return StandardNormal(len(x), self.latent_dim, x).log_prob(x) + change - self.scale.log().sum()

    def _probes(self, x: Tensor) -> Tensor:
        """Directions (K, n or 1, L) along which the divergence is taken: each axis, or random signs over √K."""
        if self.latent_dim <= MAX_EXACT_DIVERGENCE:
            return torch.eye(self.latent_dim, device=x.device, dtype=x.dtype)[:, None]
        coins = torch.rand(HUTCHINSON_PROBES, *x.shape, device=x.device, dtype=x.dtype, generator=current(x.device))
        return (2 * (coins < 0.5).to(x.dtype) - 1) / HUTCHINSON_PROBES**0.5

    @torch.enable_grad()
    def _with_divergence(self, x: Tensor, t: Tensor, given: Tensor | None, probes: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        v = self.velocity(x, t.expand(len(x)), given)
        total = x.new_zeros(len(x))
        for probe in probes:
            (along,) = torch.autograd.grad(v, x, probe.expand_as(x), retain_graph=True)
            total = total + (along * probe).sum(1)
        return v.detach(), total
