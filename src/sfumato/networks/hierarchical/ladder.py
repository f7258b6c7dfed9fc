"""The ladder: fully connected layers of latents, whose posteriors merge encoder and top-down prior."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import Distribution, Normal
from sfumato.distributions.noise import place
from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import full
from sfumato.networks.heads.base import Head
from sfumato.networks.hierarchical.hierarchy import Hierarchy, LayerState
from sfumato.objectives.joint import joint

LEAST_VARIANCE = 1e-6


def merge(estimate: Normal, prior: Normal) -> Normal:
    """The normal proportional to the product of two: precisions add up, means are weighted by them.

        σ_q⁻² = σ̂⁻² + σ_p⁻²,    μ_q = (μ̂ σ̂⁻² + μ_p σ_p⁻²) / σ_q⁻²        (Sønderby et al. 2016, eq. 19)

    >>> q = merge(Normal(torch.ones(1, 1), torch.zeros(1, 1)), Normal(torch.zeros(1, 1), torch.zeros(1, 1)))
    >>> q.mean, q.scale.square()
    (tensor([[0.5000]]), tensor([[0.5000]]))
    """
    log_ratio = 2 * (prior.log_scale - estimate.log_scale)
    mean = prior.mean + torch.sigmoid(log_ratio) * (estimate.mean - prior.mean)
    return Normal(mean, prior.log_scale - 0.5 * F.softplus(log_ratio))


class VarianceLayer(nn.Module):
    """One linear layer to μ and σ² = softplus(raw) of a normal, as in the paper.

    A layer of latents that is not yet of use has its σ̂ raised, and in `merge` its gradient is as 1/σ̂². Here σ̂² grows as
    the raw number does. Where log σ̂ did, three of five layers were beyond return before they were of use (on MNIST).

    Shapes: (B, inputs) to `Normal` over (B, latents).
    """

    def __init__(self, inputs: int, latents: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * latents)

    def forward(self, h: Tensor) -> Normal:
        mean, raw = full(self.linear(h)).chunk(2, 1)
        return Normal(mean, 0.5 * torch.log(F.softplus(raw) + LEAST_VARIANCE))


class JointBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the rows of the joint batch, whichever processes hold them.

    A batch of one row, which has no spread, is normalised as in evaluation: by the running statistics.
    """

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return super().forward(h)
        start, total = place(len(h))
        if total == 1:
            return F.batch_norm(h, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(joint(h))[start : start + len(h)]


def layers(inputs: int, width: int, depth: int) -> nn.Sequential:
    """Fully connected layers of one width, with batch normalisation, without which upper layers stay unused."""
    modules: list[nn.Module] = []
    for _ in range(depth):
        modules += [nn.Linear(inputs, width, bias=False), JointBatchNorm(width), nn.LeakyReLU()]
        inputs = width
    return nn.Sequential(*modules)


class Ladder(Hierarchy):
    """Sønderby et al. 2016, Ladder variational autoencoders.

        d_l = MLP(d_{l−1}),  d_0 = x                     up, without noise
        μ̂_l, σ̂_l² = Linear(d_l), softplus(Linear(d_l))
        p(z_l | z_{l+1}) = N(μ_p, σ_p²)(MLP(z_{l+1}))    down
        q(z_L | x) = N(μ̂_L, σ̂_L²),  q(z_l | z_{l+1}, x) = `merge` of N(μ̂_l, σ̂_l²) and p(z_l | z_{l+1})
        p(x | z_1) = head(MLP(z_1))

    Conditions are seen at every layer on the way down, and by the encoder together with x.

    Args:
        features: entries to numbers, (x, mask) → tensor; flattened here.
        inputs: how many those are.
        head: raw outputs to the distribution of x; what `trunk_end` makes of the last width is its input.
        latents: number of latents of each layer, from z_1 (next to x) to z_L.
        widths: hidden width next to each layer, in the same order.
        depth: hidden layers of each MLP.
        given: features of the conditions, or None.
        trunk_end: the last width to the head's input.
        merged: False leaves the posterior to the encoder alone: N(μ̂_l, σ̂_l²) at every layer.
    """

    def __init__(
        self,
        features: nn.Module,
        inputs: int,
        head: Head,
        latents: Sequence[int],
        widths: Sequence[int],
        depth: int,
        given: GivenFeatures | None,
        trunk_end: nn.Module,
        *,
        merged: bool = True,
    ) -> None:
        super().__init__()
        self.shapes = tuple((count,) for count in reversed(latents))
        self.merged = merged
        self.features, self.given = features, given
        c = given.outputs if given else 0
        into = [inputs + c, *widths[:-1]]
        self.up = nn.ModuleList(map(partial(layers, depth=depth), into, widths))
        self.estimates = nn.ModuleList(map(VarianceLayer, widths, latents))
        # The top prior is N(0, 1), or has the conditions alone to go by.
        above = [*(count + c for count in latents[1:]), c][::-1]
        self.down = nn.ModuleList(
            layers(count, width, depth) if count else nn.Identity()
            for count, width in zip(above, [*widths[1:], widths[-1]][::-1], strict=True)
        )
        priors = [VarianceLayer(width, count) for width, count in zip([*widths[1:], widths[-1]], latents, strict=True)]
        self.priors = nn.ModuleList(priors[::-1] if c else priors[-2::-1])
        self.trunk = nn.Sequential(*layers(latents[0] + c, widths[0], depth), trunk_end)
        self.head = head

    def evidence(self, x: Tensor, given: Tensor | None, mask: Tensor | None) -> list[Tensor]:
        d = self.features(x, mask).flatten(1)
        if self.given is not None:
            d = torch.cat([d, self.given(given, d)], 1)
        features = []
        for up in self.up:
            d = up(d)
            features.append(d)
        return features[::-1]

    def start(self, n: int, given: Tensor | None) -> LayerState:
        nothing = next(self.parameters()).new_zeros(n, 0)
        return LayerState(nothing, nothing if self.given is None else self.given(given, nothing))

    def prior(self, at: int, state: LayerState) -> tuple[Normal, LayerState]:
        known = torch.cat(state, 1)
        if not known.shape[1]:
            zeros = known.new_zeros(len(known), *self.shapes[at])
            return Normal(zeros, zeros), state
        skipped = len(self.shapes) - len(self.priors)
        return self.priors[at - skipped](self.down[at](known)), state

    def posterior(self, at: int, state: LayerState, evidence: Tensor, prior: Normal) -> Normal:
        estimate: Normal = self.estimates[len(self.shapes) - 1 - at](evidence)
        return merge(estimate, prior) if at and self.merged else estimate

    def below(self, at: int, state: LayerState, z: Tensor) -> LayerState:
        return LayerState(z, state.c)

    def observe(self, state: LayerState) -> Distribution:
        return self.head(full(self.trunk(torch.cat(state, 1))))
