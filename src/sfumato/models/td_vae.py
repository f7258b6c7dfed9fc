"""The temporal-difference VAE: a belief about the state of a sequence, and jumps from one state to a later one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Distribution, Normal
from sfumato.distributions.noise import normal, spread, uniform
from sfumato.models.base import Model
from sfumato.networks import MLP, sizes_for
from sfumato.networks.features import VectorFeatures
from sfumato.networks.heads import for_likelihood
from sfumato.networks.state_space import (
    After,
    Clock,
    LayeredNormal,
    Past,
    Seasons,
    StepNormal,
    Steps,
    Timed,
    TwoLayerNormal,
)
from sfumato.objectives import Ramp, energy_score, importance_bound
from sfumato.randomness.generators import seeded
from sfumato.ranges import Count, Natural, Weight
from sfumato.spec import DataSpec, Size

FLOOR = 0.1
"""The least σ of an observation that may be learned, in deviations of its channel."""
SPREADS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4)
"""Factors on the noise of states that `TDVAE.finish` tries."""
FEWEST_TO_CALIBRATE, MOST_TO_CALIBRATE = 20, 256
STEPS_TO_CALIBRATE, DRAWS_TO_CALIBRATE = 12, 16
CALIBRATION_SEED = 20190505
NEARLY_NOTHING = 1e-6
"""Time by which rounding may make a jump longer than it is."""


class TDVAE(Model):
    """Gregor et al. 2019, Temporal difference variational auto-encoder.

    For two steps t₁ < t₂ of each example, δ apart in time, with beliefs b₁, b₂ about the state after each:

        z₂ ~ p_B(z₂|b₂)      z₁ ~ q_S(z₁|z₂, b₁, b₂, δ)
        loss = −log p(x₂|z₂)                                                                  (`distortion`)
             + log q_S(z₁|z₂, b₁, b₂, δ) − log p_B(z₁|b₁) + log p_B(z₂|b₂) − log p_T(z₂|z₁, δ)   (`rate`)

    Its expectation is at least −log p(x₂ | x up to t₁), where p(x₂ | …) = ∫∫ p_B(z₁|b₁) p_T(z₂|z₁, δ) p(x₂|z₂). The gap
    grows with all that z₂ holds besides x₂, so this loss alone removes from a state what only later steps need. Hence
    λ times the energy score of K forecasts is added (Gneiting and Raftery 2007, section 4.3), which in the mean is
    least where they are distributed as x₂ is:

        1/K Σ_k ‖x₂ₖ − x₂‖ − 1/(2K(K − 1)) Σ_kl ‖x₂ₖ − x₂ₗ‖                                          (`prediction`)
        z₁ₖ ~ p_B(z₁|b₁)      z₂ₖ ~ p_T(z₂|z₁ₖ, δ) in 1, 2, 4 or 8 even jumps      x₂ₖ ~ p(x₂|z₂ₖ)

    It is the mean over the ends of all these jumps where a step was observed; how many there are alternates from one
    training step to the next. Where the likelihood is no normal it is −log (1/K) Σ_k p(x₂|z₂ₖ) in place of the score.
    λ = 0 is the paper's loss.

    t₂ is drawn among the observed steps and t₂ − t₁ in 1 … `jump`, independently for each example. Step 0 lies before
    the first: its belief is that of knowing nothing. Steps that are missing, and padding, are never t₂.

    The two parts of the rate are measured as `smoothing_rate` (z₁) and `transition_rate` (z₂).

    Args:
        past: past(x, mask, time) → b of shape (B, T + 1, width); `time` (B, T + 1) is when each belief was held.
        belief: belief(b) → p_B(z | b) over (B, Z).
        transition: transition(z₁, δ) → p_T(z₂ | z₁, δ); δ has shape (B,). With a clock transition(z₁, clock(t₂), δ).
        smoothing: smoothing(z₂, b₁, b₂, δ) → q_S(z₁ | z₂, b₁, b₂, δ).
        decoder: decoder(z) → p(x_t | z_t) over (B, D). With a clock z and clock(t) stand side by side.
        steps: greatest number of steps T of a sequence.
        latents: Z, the numbers of a state.
        jump: greatest t₂ − t₁.
        pairs: pairs (t₁, t₂) drawn for each example; the loss is their mean.
        warmup: weight of the rate as a function of the step.
        clock: clock(t) → features (…, C) of the time t since the sequence began, one unit before its first step, or
            where it is `absolute` of the times of the batch; None for a process that knows no time of day.
        prediction: λ.
        draws: K, 2 at least.
        rollout: most jumps that a forecast takes in training, a power of 2.

    >>> from sfumato.models import build
    >>> from sfumato.spec import Field
    >>> model = build("td_vae", DataSpec((6, 2), (Field("real"), Field("real"))))
    >>> batch = Batch(torch.zeros(4, 6, 2))
    >>> sorted(model.losses(batch, step=0)["model"].terms), model.forecast(batch, (1.0, 3.0), n=5).shape
    (['distortion', 'prediction', 'rate'], torch.Size([4, 5, 2, 2]))
    """

    spread: Tensor
    """Factor on the noise of states in forecasts of single steps, see `finish`."""

    data_forms = ("sequence",)
    remedies: ClassVar = {"warmup": "warmup"}

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
        clock: Clock | Seasons | None = None,
        prediction: float = 0.0,
        draws: int = 4,
        rollout: int = 8,
    ) -> None:
        super().__init__()
        self.past, self.belief, self.transition = past, belief, transition
        self.smoothing, self.decoder = smoothing, decoder
        self.steps, self.latents = steps, latents
        self.jump, self.pairs = jump, pairs
        self.warmup = warmup
        self.clock, self.prediction = clock, prediction
        self.draws, self.rollout = draws, rollout
        self.register_buffer("spread", torch.tensor(1.0))

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
        x2, at = batch.x[rows, second - 1], time[rows, second]
        terms = {
            "distortion": -self._observation(z2, at).log_prob(x2, mask),
            "smoothing_rate": log_q1 - self.belief(b1).log_prob(z1),
            "transition_rate": log_p2 - self._transition(z1, at, passed).log_prob(z2),
        }
        if self.prediction:
            halts = _halts(first, second, self._jumps_at(step))
            terms["prediction"] = self._prediction(batch, b1, rows, first, halts, time)
        terms = {name: term.view(n, k).mean(1) for name, term in terms.items()}
        if batch.mask is not None:
            # Of a sequence with nothing to be seen there is nothing to say, nor to pay for.
            terms = {name: _observed(batch).any(1) * term for name, term in terms.items()}
        rates = {name: terms.pop(name) for name in ("smoothing_rate", "transition_rate")}
        return {
            "model": Loss(
                terms | {"rate": rates["smoothing_rate"] + rates["transition_rate"]},
                {"rate": self.warmup(step), "prediction": self.prediction},
                metrics=rates,
            )
        }

    def _jumps_at(self, step: int) -> int:
        """Jumps that forecasts take at a step of training: 1, 2, 4, … `rollout` in turn; the most in validation."""
        return 2 ** (step % self.rollout.bit_length()) if self.training else self.rollout

    def _prediction(self, batch: Batch, b1: Tensor, rows: Tensor, first: Tensor, halts: Tensor, time: Tensor) -> Tensor:
        """The mean cost of forecasts from the beliefs `b1` after the steps `first` at each of the `halts`, (n,)."""
        count = halts.shape[1]
        when = time[rows[:, None], halts]
        x = batch.x[rows[:, None], halts - 1].flatten(0, 1)
        mask = None if batch.mask is None else batch.mask[rows[:, None], halts - 1].flatten(0, 1)
        z = self._foretold(b1, time[rows, first], when)
        p = self._observation(z.flatten(0, 1), self._repeated(when).flatten())
        # A halt that repeats the one before, or of which nothing was observed, is not scored.
        scored = halts.diff(dim=1, prepend=first[:, None]) > 0
        if mask is not None:
            scored = scored & mask.flatten(1).any(1).view_as(scored)
        weights = scored / scored.sum(1, keepdim=True).clamp(min=1)
        if isinstance(p, Normal):
            drawn = p.draw(normal(b1, *p.mean.shape)).view(len(b1), self.draws, count, -1)
            costs = energy_score(drawn.transpose(1, 2).flatten(0, 1), x, mask)
        else:
            log_p = p.log_prob(self._to_draws(x, count), None if mask is None else self._to_draws(mask, count))
            costs = -importance_bound(log_p.view(len(b1), self.draws, count).transpose(1, 2).flatten(0, 1))
        return (weights * costs.view_as(weights)).sum(1)

    def _foretold(self, b1: Tensor, start: Tensor, halts: Tensor) -> Tensor:
        """`draws` states for each belief at `start`, at each of the times `halts` (n, J) in turn, (n·K, J, Z)."""
        b1, time, times = (self._repeated(values) for values in (b1, start, halts))
        z, states = self.belief(b1).draw(normal(b1, len(b1), self.latents)), []
        for halt in times.unbind(1):
            passed = halt - time
            later = self._transition(z, halt, passed).draw(normal(b1, len(b1), self.latents))
            z, time = torch.where((passed > 0)[:, None], later, z), halt
            states.append(z)
        return torch.stack(states, 1)

    def _to_draws(self, values: Tensor, count: int) -> Tensor:
        """What belongs to halts (n·J, …), for each draw of each, (n·K·J, …)."""
        return self._repeated(values.unflatten(0, (-1, count))).flatten(0, 1)

    def _repeated(self, values: Tensor) -> Tensor:
        return values.repeat_interleave(self.draws, 0)

    def _transition(self, z: Tensor, time: Tensor, passed: Tensor) -> TwoLayerNormal:
        """p_T(z at `time` | z `passed` before)."""
        clock = () if self.clock is None else (self.clock(time),)
        p: TwoLayerNormal = self.transition(z, *clock, passed)
        return p

    def _observation(self, z: Tensor, time: Tensor) -> Distribution:
        """p(x_t | z_t)."""
        p: Distribution = self.decoder(z if self.clock is None else torch.cat([z, self.clock(time)], 1))
        return p

    @property
    def code_size(self) -> int:
        """Numbers of a state, and with a clock the time since the sequence began."""
        return self.latents + (self.clock is not None)

    @property
    def noise_size(self) -> int:
        """For each step its state, and the state before it as it looks from there."""
        return 2 * self.latents * self.steps

    def encode(self, batch: Batch) -> Distribution:
        """p_B(z | b) after the last observed step of each sequence, and with a clock its time: (B, `code_size`)."""
        b, time = self._last(batch)
        p: Distribution = self.belief(b)
        return p if self.clock is None else Timed(p, time)

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """p(x_t | z_t) over (B, 1, D): the one step whose state, and with a clock whose time, z is."""
        return Steps(self._observation(z[:, : self.latents], z[:, -1]), 1)

    def reconstruct(self, batch: Batch, *, given: Tensor | None = None, noise: bool = False) -> Tensor:
        """Each step as the belief after it has it, (B, T, D); what is missing is filled in from what came before."""
        b, time = (tensor[:, 1:] for tensor in self._seen(batch))
        p = self.belief(b.flatten(0, 1))
        steps = Steps(self._observation(p.sample() if noise else p.mode(), time.flatten()), b.shape[1])
        return steps.sample() if noise else steps.mode()

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        """Sequences of `steps` even steps from the belief of knowing nothing, (n, T, D).

        Args:
            temperature: factor on the noise of the states.
            noise: draw x from p(x | z); False gives its `mode`.
        """
        like = next(self.parameters())
        empty = Batch(like.new_zeros(n, 1, *self._channels(like)))
        b, time = self._seen(empty)
        z = self._drawn(self.belief(b[:, 0]), n, temperature)
        return self._rolled(z, time[:, 0], like.new_ones(self.steps), temperature, noise)

    def forecast(
        self, batch: Batch, jumps: Sequence[float], n: int = 1, *, noise: bool = True, chained: bool = True
    ) -> Tensor:
        """n futures of each sequence after its last observed step, (B, n, len(jumps), D).

        z ~ p_B(z | b), then z ← p_T(z | z, δ) for each δ in `jumps`, each from where the one before ended. Only where
        a jump lands is x made; nothing is, of the steps between.

        Args:
            jumps: lengths in time, in the units of `Batch.time`.
            noise: draw x from p(x | z); False gives its `mode`.
            chained: False reaches each end from z by one jump of the whole length, or beyond `jump` by as few as there
                can be, with the noise of states times `spread`. Every jump adds noise that training has not quite
                taken out again, so this is the better law of each x by itself, but not of how they go together.
        """
        b, time = (tensor.repeat_interleave(n, 0) for tensor in self._last(batch))
        p = self.belief(b)
        if chained:
            walked = self._walked(p.sample(), time, self._lengths(jumps, b), 1.0)
        else:
            walked = self._reached(p.draw(self.spread * normal(b, len(b), self.latents)), time, jumps)
        return self._observed_at(*walked, noise).view(len(batch), n, len(jumps), -1)

    def finish(self, held_out: Iterable[Batch]) -> None:
        """Choose the `spread` of forecasts of single steps whose CRPS is least, of at most 256 held-out examples.

        The rate keeps the noise of states away from what forecasts need, more or less as the data are. The last `jump`
        steps, half of a sequence at most, are forecast from those before. It stays 1 with fewer than 20 examples, and
        where the likelihood is no normal.
        """
        batches = list(held_out)
        parts = [[getattr(batch, name) for batch in batches] for name in ("x", "mask", "time")]
        joined = [None if not part or part[0] is None else torch.cat(part) for part in parts]
        if joined[0] is None or len(joined[0]) < FEWEST_TO_CALIBRATE:
            return
        count = len(joined[0])
        index = torch.linspace(0, count - 1, min(count, MOST_TO_CALIBRATE)).round().long().to(joined[0].device)
        x, mask, time = (None if each is None else each[index] for each in joined)
        assert x is not None, "a batch has values"
        with seeded(x.device, CALIBRATION_SEED, self):
            self._choose_spread(Batch(x, None, mask, time))

    def _choose_spread(self, batch: Batch) -> None:
        steps = batch.x.shape[1]
        horizon = min(self.jump, steps // 2)
        if horizon < 1:
            return
        mask, when = (None if each is None else each[:, :-horizon] for each in (batch.mask, batch.time))
        b, time = self._last(Batch(batch.x[:, :-horizon], None, mask, when))
        at = torch.linspace(1, horizon, min(horizon, STEPS_TO_CALIBRATE)).round().long().to(b.device) + steps - horizon
        ends = self._seen(batch)[1][:, at]
        x, seen = (None if each is None else each[:, at - 1].flatten(0, 1) for each in (batch.x, batch.mask))
        assert x is not None, "a batch has values"
        b, time = (each.repeat_interleave(len(at) * DRAWS_TO_CALIBRATE, 0) for each in (b, time))
        ends = ends.flatten().repeat_interleave(DRAWS_TO_CALIBRATE, 0)
        noise = [normal(b, len(b), size) for size in (self.latents, self.latents, batch.x.shape[2])]
        costs = []
        for factor in SPREADS:
            z = self.belief(b).draw(factor * noise[0])
            p = self._observation(self._transition(z, ends, ends - time).draw(factor * noise[1]), ends)
            if not isinstance(p, Normal):
                return
            draws = p.draw(noise[2]).view(len(x), DRAWS_TO_CALIBRATE, -1)
            costs.append(float(energy_score(draws, x, seen).mean()))
        self.spread.fill_(SPREADS[costs.index(min(costs))])

    def imagine(self, z: Tensor, jumps: Sequence[float]) -> Tensor:
        """Codes (B, len(jumps), `code_size`) of states that follow those of codes z (B, `code_size`) of `encode`.

        z ← p_T(z | z, δ) for each δ in `jumps`, each from where the one before ended; nothing is decoded.

        Args:
            jumps: lengths in time, in the units of `Batch.time`.
        """
        states, times = self._walked(z[:, : self.latents], z[:, -1], self._lengths(jumps, z), 1.0)
        return states if self.clock is None else torch.cat([states, times[..., None]], 2)

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
        b, time, x = (tensor.repeat_interleave(k, 0) for tensor in (b, time, batch.x))
        mask = None if batch.mask is None else batch.mask.repeat_interleave(k, 0)
        log_p, log_ratio = [], []
        for t in range(1, b.shape[1]):
            here, there = noise[:, 2 * self.latents * (t - 1) : 2 * self.latents * t].chunk(2, 1)
            observed = seen[:, t - 1].repeat_interleave(k)
            passed = time[:, t] - time[:, t - 1]
            z2, log_p2 = self.belief(b[:, t]).draw_and_log_prob(here)
            z1, log_q1 = self.smoothing(z2, b[:, t - 1], b[:, t], passed).draw_and_log_prob(there)
            ratio = self.belief(b[:, t - 1]).log_prob(z1) + self._transition(z1, time[:, t], passed).log_prob(z2)
            ratio = ratio - log_q1 - log_p2
            p = self._observation(z2, time[:, t])
            log_p.append(p.log_prob(x[:, t - 1], None if mask is None else mask[:, t - 1]))
            log_ratio.append(ratio.where(observed, 0.0))
        return torch.stack(log_p, 1).view(n, k, -1), torch.stack(log_ratio, 1).view(n, k, -1)

    def _seen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Beliefs (B, T + 1, width), and when they were held (B, T + 1): the first one unit before the steps.

        That is at 0, unless the clock takes times as they are.
        """
        n, steps = batch.x.shape[:2]
        time = torch.arange(steps, dtype=batch.x.dtype, device=batch.x.device).expand(n, -1)
        if batch.time is not None:
            time = batch.time.to(batch.x.dtype)
        time = torch.cat([time[:, :1] - 1, time], 1)
        if self.clock is None or not self.clock.absolute:
            time = time - time[:, :1]
        return self.past(batch.x, batch.mask, time), time

    def _last(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The belief after the last observed step, (B, width), and when it was held, (B,)."""
        seen = _observed(batch)
        places = torch.arange(1, seen.shape[1] + 1, device=seen.device)
        rows, last = torch.arange(len(batch), device=seen.device), (places * seen).amax(1)
        b, time = self._seen(batch)
        return b[rows, last], time[rows, last]

    def _rolled(self, z: Tensor, time: Tensor, jumps: Tensor, temperature: float, noise: bool) -> Tensor:
        return self._observed_at(*self._walked(z, time, jumps, temperature), noise)

    def _observed_at(self, states: Tensor, times: Tensor, noise: bool) -> Tensor:
        """x at states (B, J, Z) and their times (B, J), (B, J, D)."""
        steps = Steps(self._observation(states.flatten(0, 1), times.flatten()), states.shape[1])
        return steps.sample() if noise else steps.mode()

    def _reached(self, z: Tensor, time: Tensor, jumps: Sequence[float]) -> tuple[Tensor, Tensor]:
        """`_walked` with each state by one jump from `z`, or from the last one that lies within `jump` of there.

        All jumps have the same noise, so that quantiles change smoothly from step to step.
        """
        states: list[Tensor] = []
        times: list[Tensor] = []
        origin, passed, noise = z, 0.0, self.spread * normal(z, len(z), self.latents)
        for jump in jumps:
            if states and passed + jump > self.jump + NEARLY_NOTHING:
                origin, passed = states[-1], 0.0
                noise = self.spread * normal(z, len(z), self.latents)
            passed += jump
            time = time + jump
            states.append(self._transition(origin, time, torch.full_like(time, passed)).draw(noise))
            times.append(time)
        return torch.stack(states, 1), torch.stack(times, 1)

    def _walked(self, z: Tensor, time: Tensor, jumps: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The states after each jump from `z` at `time`, (B, J, Z), and when they are, (B, J)."""
        states, times = [], []
        for passed in jumps:
            time = time + passed
            z = self._drawn(self._transition(z, time, passed.expand(len(z))), len(z), temperature)
            states.append(z)
            times.append(time)
        return torch.stack(states, 1), torch.stack(times, 1)

    def _lengths(self, jumps: Sequence[float], like: Tensor) -> Tensor:
        return torch.as_tensor(jumps, dtype=like.dtype, device=like.device)

    def _drawn(self, p: TwoLayerNormal, n: int, temperature: float) -> Tensor:
        if temperature == 1.0:
            return p.sample()
        return p.draw(temperature * normal(next(self.parameters()), n, self.latents))

    def _channels(self, like: Tensor) -> tuple[int, ...]:
        return tuple(self._observation(like.new_zeros(1, self.latents), like.new_zeros(1)).mode().shape[1:])

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        jump: Count | None = None,
        pairs: Count = 4,
        sigma: Weight = 0.0,
        warmup: Natural = 2500,
        waves: Natural = 4,
        prediction: Weight = 30.0,
    ) -> Self:
        """A TD-VAE for sequences of `spec`; `latent_dim` is of each of the two layers of a state.

        Args:
            jump: longest jump that is learned, in steps; half of the longest sequence, or the horizon, unless given
            pairs: pairs of steps drawn for each sequence at each training step
            sigma: deviation of an observation around what its state says, in deviations of its channel; 0 learns it
            waves: waves of the clock for the time since a sequence began, or of each season; 0 for no clock
            prediction: weight of the score of forecasts from the belief in the loss; 0 is the paper's loss
            warmup: steps over which the weight of the rate rises from 0; 2500 are half of the shortest training
        """
        sizes = sizes_for(spec, size)
        width, latents = sizes.width, 2 * sizes.latent_dim
        entry = VectorFeatures(spec.step)
        output: nn.Module = StepNormal(spec.shape[-1], sigma, FLOOR)
        raw = spec.shape[-1]
        if spec.likelihood != "gaussian":
            output = head = for_likelihood(spec.step)
            raw = head.raw[0]
        clock: Clock | Seasons | None = Clock(spec.shape[0], waves) if waves else None
        if spec.horizon:
            # Windows of a series begin at no time of its own, but its seasons are the same in all of them.
            clock = Seasons(spec.seasons, waves) if waves and spec.seasons else None
        clock_size = 0 if clock is None else clock.outputs
        body = MLP(latents + clock_size, width, sizes.depth)
        seen = width + clock_size
        return cls(
            Past(entry, entry.outputs, width, clock),
            LayeredNormal(seen, width, sizes.latent_dim),
            After(latents + clock_size, width, sizes.latent_dim, stays=True),
            After(latents + 2 * seen, width, sizes.latent_dim),
            nn.Sequential(*body, nn.Linear(body.outputs, raw), output),
            steps=spec.shape[0],
            latents=latents,
            jump=jump or spec.horizon or max(spec.shape[0] // 2, 1),
            pairs=pairs,
            warmup=Ramp(warmup),
            clock=clock,
            prediction=prediction,
        )


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


def _halts(first: Tensor, second: Tensor, jumps: int) -> Tensor:
    """Steps (n, jumps) on the way from `first` to `second` by even jumps, some of them of no length if it is short."""
    jump = torch.arange(1, jumps + 1, device=first.device)
    return first[:, None] + (second - first)[:, None] * jump // jumps
