"""The temporal-difference VAE: a belief about the state of a sequence, and jumps from one state to a later one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Distribution
from sfumato.distributions.noise import normal, spread, uniform
from sfumato.models._model import Model
from sfumato.networks import MLP, sizes_for
from sfumato.networks.features import VectorFeatures
from sfumato.networks.heads import for_likelihood
from sfumato.networks.state_space import After, Layered, LayeredNormal, Past, StepNormal, Steps
from sfumato.objectives import Ramp
from sfumato.ranges import Count, Natural, Weight
from sfumato.spec import DataSpec, Size

FOR_SEQUENCES = True
FLOOR = 0.1
"""The least σ of an observation that may be learned, in deviations of its channel."""


class TDVAE(Model):
    """Gregor et al. 2019, Temporal difference variational auto-encoder.

    For two steps t₁ < t₂ of each example, δ apart in time, with beliefs b₁, b₂ about the state after each:

        z₂ ~ p_B(z₂|b₂)      z₁ ~ q_S(z₁|z₂, b₁, b₂, δ)
        loss = −log p(x₂|z₂)                                                                  (`distortion`)
             + log q_S(z₁|z₂, b₁, b₂, δ) − log p_B(z₁|b₁) + log p_B(z₂|b₂) − log p_T(z₂|z₁, δ)   (`rate`)

    Its expectation is at least −log p(x₂ | x up to t₁), where p(x₂ | …) = ∫∫ p_B(z₁|b₁) p_T(z₂|z₁, δ) p(x₂|z₂). t₂ is
    drawn among the observed steps and t₂ − t₁ in 1 … `jump`, for each example by itself. Step 0 lies before the first:
    its belief is that of knowing nothing. Steps that are missing, and padding, are never t₂.

    The two parts of the rate are measured as `smoothing_rate` (z₁) and `transition_rate` (z₂).

    Arguments:
        past: past(x, mask, passed) → b of shape (B, T + 1, width); `passed` (B, T) is the time since the step before.
        belief: belief(b) → p_B(z | b) over (B, Z).
        transition: transition(z₁, δ) → p_T(z₂ | z₁, δ); δ has shape (B,).
        smoothing: smoothing(z₂, b₁, b₂, δ) → q_S(z₁ | z₂, b₁, b₂, δ).
        decoder: decoder(z) → p(x_t | z_t) over (B, D).
        steps: greatest number of steps T of a sequence.
        latents: Z, the numbers of a state.
        jump: greatest t₂ − t₁.
        pairs: pairs (t₁, t₂) drawn for each example; the loss is their mean.
        warmup: weight of the rate as a function of the step.

    >>> from sfumato.models import build
    >>> from sfumato.spec import Field
    >>> model = build("td_vae", DataSpec((6, 2), (Field("real"), Field("real"))))
    >>> batch = Batch(torch.zeros(4, 6, 2))
    >>> sorted(model.losses(batch, step=0)["model"].terms), model.forecast(batch, (1.0, 3.0), n=5).shape
    (['distortion', 'rate'], torch.Size([4, 5, 2, 2]))
    """

    def __init__(
        self,
        past: nn.Module,
        belief: nn.Module,
        transition: nn.Module,
        smoothing: nn.Module,
        decoder: nn.Module,
        *,
        steps: int,
        latents: int,
        jump: int = 4,
        pairs: int = 1,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__()
        self.past, self.belief, self.transition = past, belief, transition
        self.smoothing, self.decoder = smoothing, decoder
        self.steps, self.latents = steps, latents
        self.jump, self.pairs = jump, pairs
        self.warmup = warmup

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        b, time = self._seen(batch)
        n, k = len(batch), self.pairs
        rows = torch.arange(n, device=b.device).repeat_interleave(k)
        first, second = _pairs(_observed(batch)[rows], uniform(time, n * k, 2), self.jump)
        b1, b2 = b[rows, first], b[rows, second]
        passed = time[rows, second] - time[rows, first]
        z2, log_p2 = self.belief(b2).draw_and_log_prob(normal(b2, n * k, self.latents))
        z1, log_q1 = self.smoothing(z2, b1, b2, passed).draw_and_log_prob(normal(b2, n * k, self.latents))
        mask = None if batch.mask is None else batch.mask[rows, second - 1]
        distortion = -self.decoder(z2).log_prob(batch.x[rows, second - 1], mask)
        smoothing = log_q1 - self.belief(b1).log_prob(z1)
        transition = log_p2 - self.transition(z1, passed).log_prob(z2)
        distortion, smoothing, transition = (one.view(n, k).mean(1) for one in (distortion, smoothing, transition))
        if batch.mask is not None:
            # Of a sequence with nothing to be seen there is nothing to say, nor to pay for.
            seen = _observed(batch).any(1)
            distortion, smoothing, transition = seen * distortion, seen * smoothing, seen * transition
        return {
            "model": Loss(
                {"distortion": distortion, "rate": smoothing + transition},
                {"rate": self.warmup(step)},
                also={"smoothing_rate": smoothing, "transition_rate": transition},
            )
        }

    @property
    def code_size(self) -> int:
        """Numbers of a state."""
        return self.latents

    @property
    def noise_size(self) -> int:
        """For each step its state, and the state before it as it looks from there."""
        return 2 * self.latents * self.steps

    def encode(self, batch: Batch) -> Distribution:
        """p_B(z | b) over (B, Z) after the last observed step of each sequence."""
        return self.belief(self._last(batch))

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """p(x_t | z_t) over (B, 1, D): the one step whose state is z."""
        return Steps(self.decoder(z), 1)

    def reconstruct(self, batch: Batch, *, given: Tensor | None = None, noise: bool = False) -> Tensor:
        """Each step as the belief after it has it, (B, T, D); what is missing is filled in from what came before."""
        b = self._seen(batch)[0][:, 1:]
        p = self.belief(b.flatten(0, 1))
        steps = Steps(self.decoder(p.sample() if noise else p.point()), b.shape[1])
        return steps.sample() if noise else steps.point()

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        """Sequences of `steps` even steps from the belief of knowing nothing, (n, T, D).

        Arguments:
            temperature: factor on the noise of the states.
            noise: draw x from p(x | z); False gives its `point`.
        """
        like = next(self.parameters())
        empty = Batch(like.new_zeros(n, 1, *self._channels(like)))
        z = self._drawn(self.belief(self._seen(empty)[0][:, 0]), n, temperature)
        return self._rolled(z, like.new_ones(self.steps), temperature, noise)

    def forecast(self, batch: Batch, jumps: Sequence[float], n: int = 1, *, noise: bool = True) -> Tensor:
        """n futures of each sequence after its last observed step, (B, n, len(jumps), D).

        z ~ p_B(z | b), then z ← p_T(z | z, δ) for each δ in `jumps`, each from where the one before ended. Only where
        a jump lands is x made; nothing is, of the steps between.

        Arguments:
            jumps: lengths in time, in the units of `Batch.time`.
            noise: draw x from p(x | z); False gives its `point`.
        """
        b = self._last(batch).repeat_interleave(n, 0)
        z = self.belief(b).sample()
        rolled = self._rolled(z, torch.as_tensor(jumps, dtype=z.dtype, device=z.device), 1.0, noise)
        return rolled.view(len(batch), n, len(jumps), -1)

    def log_weight(self, batch: Batch, k: int, noise: Tensor | None = None) -> Tensor:
        """log of the weights of step t given all before it, (B, k, T), in nats; 0 for missing steps.

        Each weight is minus the loss with t₂ = t, t₁ = t − 1. The draws of one step depend on no draws of another, so
        each step is averaged by itself: Σ_t log (1/k) Σ_i w_ti ≤ log p(x) in expectation, far closer than the mean of
        k products over all steps.
        """
        return sum(self.log_weight_parts(batch, k, noise))  # type: ignore[return-value]

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`log_weight` as (log p(x_t|z), the rest), each (B, k, T)."""
        b, time = self._seen(batch)
        n, seen = len(batch), _observed(batch)
        if noise is None:
            noise = normal(time, n * k, self.noise_size)
        else:
            noise = spread(noise.to(time), n, k)
        b, time, x = (one.repeat_interleave(k, 0) for one in (b, time, batch.x))
        mask = None if batch.mask is None else batch.mask.repeat_interleave(k, 0)
        log_p, log_ratio = [], []
        for t in range(1, b.shape[1]):
            here, there = noise[:, 2 * self.latents * (t - 1) : 2 * self.latents * t].chunk(2, 1)
            held = seen[:, t - 1].repeat_interleave(k)
            passed = time[:, t] - time[:, t - 1]
            z2, log_p2 = self.belief(b[:, t]).draw_and_log_prob(here)
            z1, log_q1 = self.smoothing(z2, b[:, t - 1], b[:, t], passed).draw_and_log_prob(there)
            ratio = self.belief(b[:, t - 1]).log_prob(z1) + self.transition(z1, passed).log_prob(z2)
            ratio = ratio - log_q1 - log_p2
            log_p.append(self.decoder(z2).log_prob(x[:, t - 1], None if mask is None else mask[:, t - 1]))
            log_ratio.append(ratio.where(held, 0.0))
        return torch.stack(log_p, 1).view(n, k, -1), torch.stack(log_ratio, 1).view(n, k, -1)

    def _seen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Beliefs (B, T + 1, width), and when they were held (B, T + 1): the first, one unit before the first step."""
        n, steps = batch.x.shape[:2]
        time = torch.arange(steps, dtype=batch.x.dtype, device=batch.x.device).expand(n, -1)
        if batch.time is not None:
            time = batch.time.to(batch.x.dtype)
        time = torch.cat([time[:, :1] - 1, time], 1)
        return self.past(batch.x, batch.mask, time.diff(dim=1)), time

    def _last(self, batch: Batch) -> Tensor:
        """The belief after the last observed step, (B, width)."""
        seen = _observed(batch)
        places = torch.arange(1, seen.shape[1] + 1, device=seen.device)
        return self._seen(batch)[0][torch.arange(len(batch), device=seen.device), (places * seen).amax(1)]

    def _rolled(self, z: Tensor, jumps: Tensor, temperature: float, noise: bool) -> Tensor:
        landed = []
        for passed in jumps:
            z = self._drawn(self.transition(z, passed.expand(len(z))), len(z), temperature)
            landed.append(z)
        steps = Steps(self.decoder(torch.stack(landed, 1).flatten(0, 1)), len(landed))
        return steps.sample() if noise else steps.point()

    def _drawn(self, p: Layered, n: int, temperature: float) -> Tensor:
        if temperature == 1.0:
            return p.sample()
        return p.draw(temperature * normal(next(self.parameters()), n, self.latents))

    def _channels(self, like: Tensor) -> tuple[int, ...]:
        return tuple(self.decoder(like.new_zeros(1, self.latents)).point().shape[1:])


def _observed(batch: Batch) -> Tensor:
    """(B, T): whether anything of a step was seen."""
    if batch.mask is None:
        return torch.ones(batch.x.shape[:2], dtype=torch.bool, device=batch.x.device)
    return batch.mask.flatten(2).any(2)


def _pairs(observed: Tensor, uniform: Tensor, jump: int) -> tuple[Tensor, Tensor]:
    """t₁ and t₂ in 0 … T for each row: t₂ uniform among the observed steps, t₂ − t₁ uniform in 1 … min(jump, t₂)."""
    count = observed.sum(1).clamp(min=1)
    rank = torch.minimum((uniform[:, 0] * count).long(), count - 1)
    second = (observed.cumsum(1) > rank[:, None]).int().argmax(1) + 1
    farthest = second.clamp(max=jump)
    return second - 1 - torch.minimum((uniform[:, 1] * farthest).long(), farthest - 1), second


def build(
    spec: DataSpec,
    size: Size,
    *,
    jump: Count = 4,
    pairs: Count = 4,
    sigma: Weight = 0.3,
    warmup: Natural = 750,
) -> TDVAE:
    """A TD-VAE for sequences of `spec`; `latent_dim` is of each of the two layers of a state.

    Args:
        jump: longest jump that is learned, in steps
        pairs: pairs of steps drawn for each sequence at each training step
        sigma: deviation of an observation around what its state says, in deviations of its channel; 0 learns it
        warmup: steps over which the weight of the rate rises from 0; 750 are the first 15% of the shortest training
    """
    sizes = sizes_for(spec, size)
    width, latents = sizes.width, 2 * sizes.latent_dim
    entry = VectorFeatures(spec.step)
    output: nn.Module = StepNormal(spec.shape[-1], sigma, FLOOR)
    raw = spec.shape[-1]
    if spec.likelihood != "gaussian":
        output = head = for_likelihood(spec.step)
        raw = head.raw[0]
    body = MLP(latents, width, sizes.depth)
    return TDVAE(
        Past(entry, entry.outputs, width),
        LayeredNormal(width, width, sizes.latent_dim),
        After(latents, width, sizes.latent_dim),
        After(latents + 2 * width, width, sizes.latent_dim),
        nn.Sequential(*body, nn.Linear(body.outputs, raw), output),
        steps=spec.shape[0],
        latents=latents,
        jump=jump,
        pairs=pairs,
        warmup=Ramp(warmup),
    )
