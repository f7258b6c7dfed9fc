"""Importance sampling of log p(x), in chunks over examples and draws, summed as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.batch import Batch
from sfumato.evaluation.settings import generator
from sfumato.evaluation.subject import array, frozen_eval, rows
from sfumato.models.protocols import Bounds
from sfumato.objectives import importance_bound
from sfumato.training.hardware.device import keep_memory, side_by_side

DRAWS_STEP = 16
"""Draws are made by multiples of this: a stream of normal numbers is the same however it is cut at such places."""
PASS_NUMBERS, MAX_PAIRS = 1 << 21, 2048
"""Numbers side by side in the widest layer of one pass, about, and pairs of example and draw in it, at most. With
fewer, time is lost between passes; with more, none is won."""
GPU = 32
"""How many times as many pairs go through at once where there are that many more processors."""
LOTS = 2_000_000_000_000
"""Floating-point operations of all passes, about, where nobody said how many draws: half a minute of two cores."""


@dataclass(frozen=True)
class Weights:
    """What k draws z_i ~ q(z|x) of each of N examples say, as arrays (N,) in nats.

    Attributes:
        distortion: −1/k Σ_i log p(x|z_i).
        rate: 1/k Σ_i log q(z_i|x) − log p(z_i).
        evidence: log 1/k Σ_i w_i with w_i = p(x, z_i)/q(z_i|x), at most log p(x) in expectation; as
            `sfumato.objectives.importance_bound` of factors, where there are any.
        effective: (Σ w)²/Σ w², of how many equal weights the sum is worth: 1 … k; the least of all factors, where
            weights are products of factors with draws of their own.
        draws: k.
    """

    distortion: np.ndarray
    rate: np.ndarray
    evidence: np.ndarray
    effective: np.ndarray
    draws: int

    @property
    def negative_elbo(self) -> np.ndarray:
        """distortion + rate, (N,)."""
        return np.asarray(self.distortion + self.rate)


def weigh(model: Bounds, batch: Batch, draws: int, *, seed: int = 0, at_a_time: int | None = None) -> Weights:
    """The importance weights of every example, summed in double precision while they come.

        L_k(x) = log 1/k Σ_i p(x, z_i)/q(z_i|x),   z_i ~ q(z|x)          (Burda, Grosse and Salakhutdinov 2016, eq. 8)

    Nothing of the size of examples × draws is held: of each example the logarithms of Σ w and Σ w² are kept. Its noise
    is a function of `seed` and of its place alone, so the result does not depend on how examples and draws are cut
    into chunks. The model is judged in evaluation mode and without gradients; its mode and torch's own generator are
    left as they were.

    Args:
        model: whose weights; where nothing is drawn (discrete codes) one draw is all there is.
        draws: k.
        at_a_time: pairs of example and draw that go through the model together; by its width unless given.
    """
    with frozen_eval(cast(nn.Module, model), seed):
        return _weights(model, batch, draws, seed, at_a_time)


def _weights(model: Bounds, batch: Batch, draws: int, seed: int, at_a_time: int | None) -> Weights:
    keep_memory(batch.x.device)
    draws = draws if model.noise_size else 1
    pairs = at_a_time or cost(model, batch).at_a_time * (1 if batch.x.device.type == "cpu" else GPU)
    pairs = max(pairs // DRAWS_STEP, 1) * DRAWS_STEP
    group, chunk = max(pairs // draws, 1), min(pairs, draws)

    def some(start: int) -> Tensor:
        return _weigh(model, rows(batch, slice(start, start + group)), start, draws, chunk, seed)

    parts = side_by_side(some, range(0, len(batch), group), batch.x.device)
    distortion, rate, evidence, effective = torch.cat(parts, 1)
    return Weights(array(distortion), array(rate), array(evidence), array(effective), draws)


def _weigh(model: Bounds, batch: Batch, first: int, draws: int, chunk: int, seed: int) -> Tensor:
    """Distortion, rate, evidence and effective draws of a few examples, (4, n), in double precision."""
    device = batch.x.device
    streams = [generator(hashed(seed, first + place)) for place in range(len(batch))]
    parts_ = []
    for done in range(0, draws, chunk):
        k = min(chunk, draws - done)
        whole = -(-k // DRAWS_STEP) * DRAWS_STEP
        noise = torch.cat([torch.randn(whole, model.noise_size, generator=stream)[:k] for stream in streams])
        # Summed on the CPU: not every device has double precision.
        parts_.append(torch.stack(model.log_weight_parts(batch, k, noise.to(device))).cpu())
    log_p, log_ratio = torch.cat(parts_, 2).double().reshape(2, len(batch), draws, -1)
    weights = log_p + log_ratio
    effective = torch.exp(2 * weights.logsumexp(1) - (2 * weights).logsumexp(1)).amin(1)
    return torch.stack([-log_p.mean(1).sum(1), -log_ratio.mean(1).sum(1), importance_bound(weights), effective])


def hashed(seed: int, place: int) -> int:
    """A seed for the noise of one example, unlike that of any other.

    >>> hashed(0, 1) != hashed(1, 0)
    True
    """
    return int(np.random.SeedSequence((seed % 2**63, place)).generate_state(1, np.uint64)[0] >> 1)


class Cost(NamedTuple):
    """What one more draw of an example takes, counted, not timed.

    Attributes:
        work: floating-point operations in layers of weights.
        widest: numbers that the widest of them gives.
    """

    work: int
    widest: int

    @property
    def at_a_time(self) -> int:
        """Pairs of example and draw in one pass."""
        return min(max(PASS_NUMBERS // self.widest, DRAWS_STEP), MAX_PAIRS)

    def affordable(self, examples: int) -> int:
        """Draws of each example where nobody said how many: 256, fewer where that would take long, at least 16.

        >>> Cost(400_000, 784).affordable(10_000), Cost(100_000_000, 50_000).affordable(10_000)
        (256, 16)
        """
        return min(max(LOTS // (self.work * examples), 16), 256)


def cost(model: Bounds, batch: Batch) -> Cost:
    """The cost of a draw, from two passes of the first example with hooks on all layers of weights."""
    work = widest = 0

    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal work, widest
        if isinstance(module, nn.RNNBase):
            output = output[0]
            work += 2 * output.shape[:-1].numel() * sum(parameter.numel() for parameter in module.parameters())
        elif not isinstance(output, Tensor):
            return  # a net of somebody's own that gives a distribution, and happens to have a `weight`
        else:
            weight = cast(Tensor, module.weight)
            work += 2 * weight.numel() * output.numel() // weight.shape[0]
        widest = max(widest, output.numel())

    layers = [
        part
        for part in cast(nn.Module, model).modules()
        if isinstance(part, nn.RNNBase) or getattr(getattr(part, "weight", None), "ndim", 0) > 1
    ]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    works = []
    try:
        with torch.no_grad():
            for draws in (1, 5):
                work = widest = 0
                model.log_weight(rows(batch, slice(0, 1)), draws)
                works.append(work)
    finally:
        for hook in hooks:
            hook.remove()
    entries = batch.x[:1].numel()
    return Cost(max((works[1] - works[0]) // 4, 64 * entries), max(widest // 5, entries))
