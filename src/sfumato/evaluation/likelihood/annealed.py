"""Annealed importance sampling of log p(x): a check of the importance-weighted bound that does without the encoder."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.batch import Batch
from sfumato.distributions import Latent, SpikeSlab, SpikeSlabMixture, noise
from sfumato.evaluation.likelihood.importance import cost
from sfumato.evaluation.subject import Subject, array, rows
from sfumato.models.protocols import Bounds, Classifies, LatentSpace, require
from sfumato.networks.hierarchical.hierarchy import repeated
from sfumato.training.validation import evaluating

CHAINS = 16
LEAPS = 10
TARGET, STEP_SIZE_PACE = 0.65, 0.1
"""The acceptance that steps are made for, and how fast log ε follows: 0.1 for each unit of acceptance missed."""
FIRST_STEP = 0.2
RADIUS = 4.0

Schedule = Literal["sigmoid", "linear"]


def applies(subject: Subject) -> bool:
    """Whether the code is a point of a space with a density everywhere: with spikes at zero it has none.

    Nor where a class is a part of the code that is not given: annealing walks through z alone.
    """
    space, given = subject.space, subject.batch.given
    if isinstance(space, Classifies) and (given is None or bool(given.isnan().any())):
        return False
    return space is not None and not isinstance(
        space.prior(1, None if subject.batch.given is None else subject.batch.given[:1]), SpikeSlab | SpikeSlabMixture
    )


def log_evidence(
    model: LatentSpace,
    batch: Batch,
    steps: int,
    *,
    chains: int = CHAINS,
    schedule: Schedule = "sigmoid",
) -> np.ndarray:
    """An estimate of log p(x | c) of each example, (N,) in nats, at most log p on average.

        f_t(z) = p(z) p(x|z)^β_t,   0 = β_0 < … < β_T = 1
        z_0 ~ p(z),   w = Π_t p(x|z_{t−1})^(β_t − β_{t−1}),   z_t from z_{t−1} by a move that leaves f_t as it is
        log p(x) ≈ log mean of w over chains

    The moves are Hamiltonian Monte Carlo: `LEAPS` leapfrog steps of size ε, then acceptance or not; ε follows the mean
    acceptance of the chains of an example towards 0.65. Neal 2001, Annealed importance sampling; Wu et al. 2017, On the
    quantitative analysis of decoder-based generative models, section 3. The noise is that of the call.

    Args:
        steps: T; some hundreds for a few latents, thousands for dozens.
        chains: independent chains of each example.
        schedule: "sigmoid" takes its smallest steps at both ends, as Wu et al. do.
    """
    with evaluating(cast(nn.Module, model)), torch.no_grad():
        group = max(cost(require(model, Bounds, "be weighed"), batch).at_a_time // chains, 1)
        parts = [
            _anneal(model, rows(batch, slice(start, start + group)), temperatures(steps, schedule), chains)
            for start in range(0, len(batch), group)
        ]
    return array(torch.cat(parts))


def temperatures(steps: int, schedule: Schedule) -> list[float]:
    """β_0 = 0 … β_T = 1.

    >>> [round(beta, 3) for beta in temperatures(4, "sigmoid")], temperatures(2, "linear")
    ([0.0, 0.105, 0.5, 0.895, 1.0], [0.0, 0.5, 1.0])
    """
    places = np.linspace(-1, 1, steps + 1)
    if schedule == "sigmoid":
        places = np.tanh(RADIUS / 2 * places)
    grid: list[float] = ((places - places[0]) / (places[-1] - places[0])).tolist()
    return grid


class Energy(NamedTuple):
    """log p(z) and log p(x|z) of each row, and the gradient of log p(z) + β log p(x|z)."""

    prior: Tensor
    likelihood: Tensor
    slope: Tensor


class Target:
    """p(z|c) p(x|z, c)^β for the chains of some examples."""

    def __init__(self, model: LatentSpace, batch: Batch, chains: int) -> None:
        self.model = model
        self.x, self.given, self.mask = (repeated(part, chains) for part in (batch.x, batch.given, batch.mask))
        self.prior: Latent = model.prior(len(batch) * chains, self.given)

    def at(self, z: Tensor, beta: float) -> Energy:
        """Densities and gradient at z, (rows, L)."""
        assert self.x is not None
        # A recurrent decoder on a GPU has no backward pass in evaluation mode but without cuDNN.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            z = z.detach().requires_grad_()
            prior = self.prior.log_prob(z)
            likelihood = self.model.decode(z, self.given).log_prob(self.x, self.mask)
            (slope,) = torch.autograd.grad((prior + beta * likelihood).sum(), z)
        return Energy(prior.detach(), likelihood.detach(), slope)


def _anneal(model: LatentSpace, batch: Batch, betas: list[float], chains: int) -> Tensor:
    target = Target(model, batch, chains)
    z = target.prior.sample()
    step = torch.full((len(batch), 1), FIRST_STEP, dtype=z.dtype, device=z.device)
    log_weight = torch.zeros(len(z), dtype=torch.float64)
    likelihood = target.at(z, 0.0).likelihood
    for before, beta in pairwise(betas):
        log_weight += (beta - before) * likelihood.cpu().double()
        if beta == 1.0:
            break
        z, likelihood, accepted = _moved(target, z, beta, step.repeat_interleave(chains, 0))
        step = step * torch.exp(STEP_SIZE_PACE * (accepted.view(-1, chains).mean(1, keepdim=True) - TARGET))
    return log_weight.view(-1, chains).logsumexp(1) - math.log(chains)


def _moved(target: Target, z: Tensor, beta: float, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One move of Hamiltonian Monte Carlo: where it led, log p(x|z) there, and the probability of acceptance."""
    start = target.at(z, beta)
    momentum = noise.normal(z)
    place, speed, there = z, momentum, start
    for _ in range(LEAPS):
        speed = speed + 0.5 * step * there.slope
        place = place + step * speed
        there = target.at(place, beta)
        speed = speed + 0.5 * step * there.slope
    before = start.prior + beta * start.likelihood - 0.5 * momentum.square().sum(1)
    after = there.prior + beta * there.likelihood - 0.5 * speed.square().sum(1)
    # Where a leap ended beyond all numbers it is not accepted.
    accepted = torch.exp((after - before).clamp_max(0.0)).nan_to_num(0.0)
    takes = noise.uniform(accepted) < accepted
    likelihood = torch.where(takes, there.likelihood, start.likelihood)
    return torch.where(takes[:, None], place, z), likelihood, accepted
