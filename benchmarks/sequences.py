"""TD-VAE on a ring of pixels, jumping held against stepping; and against the Kalman filter, which knows the truth."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from registry import Measure, Setting, system
from sfumato import data
from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Batches, Resident
from sfumato.data.core.options import DataOptions
from sfumato.models import build
from sfumato.models.td_vae import TDVAE
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit

SEEN, AHEAD = 12, 8
"""Steps of the ring that are shown, and how far beyond them the forecast looks."""
LENGTH, DECAY, ANGLE, NOISE = 20, 0.95, 0.5, 0.25
"""A state that turns by `ANGLE` and decays by `DECAY` a step, of which one coordinate is seen with variance `NOISE`."""


def ring(setting: Setting) -> tuple[TDVAE, Batches]:
    """A TD-VAE after 16,000 steps on 8,000 sequences of the ring, and the 1,000 of the test split."""
    found = data.open("ring", options=DataOptions(seed=setting.seed))
    torch.manual_seed(setting.seed)
    model = build("td_vae", found.schema.spec, warmup=2400)
    assert isinstance(model, TDVAE)
    settings = Settings(
        steps=16_000, batch_size=128, lr=2e-3, validate_every=500, seed=setting.seed, device=setting.device
    )
    fit(model, found.train, found.valid, settings=settings)
    return model.eval().cpu(), found.test


@torch.no_grad()
def named_by_belief(model: TDVAE, x: Tensor) -> float:
    """Share of the steps in which the brightest pixel of the belief's reconstruction is that of the step."""
    return float((model.reconstruct(Batch(x)).argmax(2) == x.argmax(2)).float().mean())


@torch.no_grad()
def named_ahead(model: TDVAE, x: Tensor, jump: int, n: int = 20) -> float:
    """Share of `n` drawn futures whose brightest pixel, 8 steps after a prefix of 12, is where the bump will be."""
    futures = model.forecast(Batch(x[:, :SEEN]), [float(jump)] * (AHEAD // jump), n, noise=False)[:, :, -1]
    return float((futures.argmax(2) == x[:, SEEN + AHEAD - 1].argmax(1)[:, None]).float().mean())


@system(
    "td-vae-ring",
    Measure("belief names the pixel (share)", "pilot 1.00", low=0.97),
    Measure("8 ahead by 1s (share)", "pilot .926"),
    Measure("8 ahead by 2s (share)", "pilot .966"),
    Measure("8 ahead by 4s (share)", "pilot .992", low=0.95),
    Measure("8 ahead: by 4s less by 1s", "Gregor et al.: jumping beats stepping", low=0.0),
)
def td_vae_ring(setting: Setting) -> dict[str, float]:
    """A smooth bump on a ring of 16 pixels, 16,000 steps of 128, warm-up 2,400, one-cycle 2e-3, defaults."""
    model, test = ring(setting)
    torch.manual_seed(setting.seed)
    x = test.take(slice(None)).x
    by = {jump: named_ahead(model, x, jump) for jump in (1, 2, 4)}
    return {
        "belief names the pixel (share)": named_by_belief(model, x),
        **{f"8 ahead by {jump}s (share)": share for jump, share in by.items()},
        "8 ahead: by 4s less by 1s": by[4] - by[1],
    }


def swing(count: int, seed: int) -> Tensor:
    """Sequences (N, T, 1) of the linear-Gaussian state space z′ = ρ R(θ) z + √(1 − ρ²) ε, x = z_1 + √r ε′."""
    noise = torch.Generator().manual_seed(seed)
    turn = torch.tensor([[math.cos(ANGLE), -math.sin(ANGLE)], [math.sin(ANGLE), math.cos(ANGLE)]])
    z, seen = torch.randn(count, 2, generator=noise), []
    for _ in range(LENGTH):
        seen.append(z[:, 0] + math.sqrt(NOISE) * torch.randn(count, generator=noise))
        z = DECAY * z @ turn.t() + math.sqrt(1 - DECAY**2) * torch.randn(count, 2, generator=noise)
    return torch.stack(seen, 1).unsqueeze(2)


def kalman_log_likelihood(x: Tensor) -> Tensor:
    """log p(x) of each sequence, by the filter's predictions of each step from those before it, (N,) in nats."""
    turn = torch.tensor([[math.cos(ANGLE), -math.sin(ANGLE)], [math.sin(ANGLE), math.cos(ANGLE)]], dtype=torch.float64)
    mean, spread = x.new_zeros(len(x), 2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    total = x.new_zeros(len(x), dtype=torch.float64)
    for t in range(x.shape[1]):
        surprise, variance = x[:, t, 0].double() - mean[:, 0], spread[0, 0] + NOISE
        total -= 0.5 * (surprise.square() / variance + torch.log(2 * math.pi * variance))
        gain = spread[:, 0] / variance
        mean, spread = mean + surprise[:, None] * gain, spread - torch.outer(gain, spread[0])
        mean = DECAY * mean @ turn.t()
        spread = DECAY**2 * turn @ spread @ turn.t() + (1 - DECAY**2) * torch.eye(2, dtype=torch.float64)
    return total


@torch.no_grad()
def bound_of(model: TDVAE, x: Tensor, draws: int = 20) -> float:
    """The mean over sequences and draws of the log-weights: a lower bound on log p(x), in nats."""
    return float(model.log_weight(Batch(x), draws).double().sum(2).mean())


@system(
    "td-vae-kalman",
    Measure("log-likelihood of the Kalman filter (nats)", "the truth"),
    Measure("bound of the TD-VAE (nats)"),
    Measure("Kalman less bound (nats)", "a bound", low=0.0),
    Measure("distance in parts of the Kalman log-likelihood", high=0.05),
)
def td_vae_kalman(setting: Setting) -> dict[str, float]:
    """A damped rotation seen through one noisy coordinate, 20 steps, 8,000 sequences; jumps of 1, 8,000 steps."""
    parts = [swing(count, 10 * setting.seed + part) for part, count in enumerate((8000, 1000, 4000))]
    torch.manual_seed(setting.seed)
    spec = DataSpec((LENGTH, 1), (Field("real"),), examples=len(parts[0]))
    model = build("td_vae", spec, jump=1, sigma=0.0, warmup=1200)
    assert isinstance(model, TDVAE)
    settings = Settings(
        steps=8000, batch_size=128, lr=1e-3, validate_every=500, seed=setting.seed, device=setting.device
    )
    fit(model, Resident(parts[0]), Resident(parts[1]), settings=settings)
    model.eval().cpu()
    torch.manual_seed(setting.seed)
    truth, bound = float(kalman_log_likelihood(parts[2]).mean()), bound_of(model, parts[2])
    return {
        "log-likelihood of the Kalman filter (nats)": truth,
        "bound of the TD-VAE (nats)": bound,
        "Kalman less bound (nats)": truth - bound,
        "distance in parts of the Kalman log-likelihood": abs(truth - bound) / abs(truth),
    }
