"""Several layers of latents, one above the other: the top-down pass through them, and their joint distributions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sfumato.distributions import Distribution, Latent, Normal, Posterior


class LayerState(NamedTuple):
    """What comes down to a layer.

    Attributes:
        h: what the layers above say, batch first.
        c: features of the conditions, (B, n), of no columns where there are none.
    """

    h: Tensor
    c: Tensor


class Hierarchy(nn.Module, ABC):
    """The networks of q(z_1 … z_L | x, c) and p(x, z_1 … z_L | c), both from the top layer z_L down to z_1.

    Attributes:
        shapes: shape of one example's latents in each layer. Everything is ordered top first.
    """

    shapes: tuple[tuple[int, ...], ...]

    @abstractmethod
    def evidence(self, x: Tensor, given: Tensor | None, mask: Tensor | None) -> list[Tensor]:
        """What the example says to each layer."""

    @abstractmethod
    def start(self, n: int, given: Tensor | None) -> LayerState:
        """The state above the top layer."""

    @abstractmethod
    def prior(self, at: int, state: LayerState) -> tuple[Normal, LayerState]:
        """p(z_l | z_>l, c) of layer number `at` from the top, and the state before z_l is known."""

    @abstractmethod
    def posterior(self, at: int, state: LayerState, evidence: Tensor, prior: Normal) -> Normal:
        """q(z_l | z_>l, x, c)."""

    @abstractmethod
    def below(self, at: int, state: LayerState, z: Tensor) -> LayerState:
        """The state under the layer, once z_l is known."""

    @abstractmethod
    def observe(self, state: LayerState) -> Distribution:
        """p(x | z, c) from the state under the lowest layer."""

    @property
    def sizes(self) -> list[int]:
        """Number of latents in each layer."""
        return [math.prod(shape) for shape in self.shapes]

    def pieces(self, z: Tensor) -> list[Tensor]:
        """All latents, (B, Σ sizes), cut into the layers."""
        cut = z.split(self.sizes, 1)
        return [piece.reshape(len(z), *shape) for piece, shape in zip(cut, self.shapes, strict=True)]


class Walk(NamedTuple):
    """One way down: what each layer's prior and posterior were, which z was taken, and the state at the end."""

    priors: list[Normal]
    posteriors: list[Normal]
    z: list[Tensor]
    end: LayerState


Choose = Callable[[int, Normal, Normal | None], Tensor]
"""Takes the number of the layer, its prior and its posterior, if there is evidence; gives z."""


def walk(
    net: Hierarchy, n: int, given: Tensor | None, choose: Choose, evidence: Sequence[Tensor] | None = None
) -> Walk:
    """From the top layer down: ask the prior, and the posterior where there is evidence, then let `choose` take z."""
    state = net.start(n, given)
    priors, posteriors, chosen = [], [], []
    for at in range(len(net.shapes)):
        prior, state = net.prior(at, state)
        posterior = None if evidence is None else net.posterior(at, state, evidence[at], prior)
        z = choose(at, prior, posterior)
        state = net.below(at, state, z)
        priors.append(prior)
        chosen.append(z)
        if posterior is not None:
            posteriors.append(posterior)
    return Walk(priors, posteriors, chosen, state)


def tempered(temperature: float) -> Choose:
    """z ~ N(μ, (t·σ)²) layer by layer, of q where there is evidence, else of p."""
    return lambda at, prior, posterior: (posterior or prior).sample(temperature)


draw = tempered(1.0)
"""z ~ q where there is evidence, else z ~ p."""


def middle(at: int, prior: Normal, posterior: Normal | None) -> Tensor:
    """The mean of q where there is evidence, else of p."""
    return (posterior or prior).mean


def taken(z: Sequence[Tensor]) -> Choose:
    """z as it is already known."""
    return lambda at, prior, posterior: z[at]


def flat(z: Sequence[Tensor]) -> Tensor:
    """The layers side by side, (B, Σ sizes), top first."""
    return torch.cat([piece.flatten(1) for piece in z], 1)


def log_density(distributions: Sequence[Normal], z: Sequence[Tensor]) -> Tensor:
    """Σ_l log N(z_l), shape (B,)."""
    return torch.stack(
        [distribution.log_prob(piece) for distribution, piece in zip(distributions, z, strict=True)]
    ).sum(0)


class HierarchicalPrior(Latent):
    """p(z | c) = Π_l p(z_l | z_>l, c) over all layers side by side, (n, Σ sizes), top first.

    Its mode is the mean of each layer given the means above it.
    """

    def __init__(self, net: Hierarchy, n: int, given: Tensor | None) -> None:
        self.net, self.n, self.given = net, n, given

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        z = self.net.pieces(x)
        return log_density(walk(self.net, self.n, self.given, taken(z)).priors, z)

    def sample(self, temperature: float = 1.0) -> Tensor:
        return flat(walk(self.net, self.n, self.given, tempered(temperature)).z)

    def mode(self) -> Tensor:
        return flat(walk(self.net, self.n, self.given, middle).z)

    def repeat(self, times: int) -> HierarchicalPrior:
        return HierarchicalPrior(self.net, self.n * times, repeated(self.given, times))


class HierarchicalPosterior(Posterior):
    """q(z | x, c) = Π_l q(z_l | z_>l, x, c) over all layers side by side, (B, Σ sizes), top first.

    Its mode is the mean of each layer given the means above it.
    """

    def __init__(self, net: Hierarchy, evidence: Sequence[Tensor], given: Tensor | None) -> None:
        self.net, self.evidence, self.given = net, evidence, given

    def walk(self, choose: Choose) -> Walk:
        """The way down with the evidence of these examples."""
        return walk(self.net, len(self.evidence[0]), self.given, choose, self.evidence)

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        z = self.net.pieces(x)
        return log_density(self.walk(taken(z)).posteriors, z)

    def sample(self, temperature: float = 1.0) -> Tensor:
        return flat(self.walk(tempered(temperature)).z)

    def draw(self, noise: Tensor) -> Tensor:
        return flat(self.walk(self.by(noise)).z)

    def by(self, noise: Tensor) -> Choose:
        """z ~ q made from this noise of shape (B, Σ sizes)."""
        pieces = self.net.pieces(noise)
        return lambda at, prior, posterior: (posterior or prior).draw(pieces[at])

    def mode(self) -> Tensor:
        return flat(self.walk(middle).z)

    def repeat(self, times: int) -> HierarchicalPosterior:
        evidence = [features.repeat_interleave(times, 0) for features in self.evidence]
        return HierarchicalPosterior(self.net, evidence, repeated(self.given, times))


def repeated(values: Tensor | None, times: int) -> Tensor | None:
    """Each row `times` times in a row."""
    return None if values is None else values.repeat_interleave(times, 0)
