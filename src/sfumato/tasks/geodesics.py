"""Geodesics: the shortest paths between two codes, as long as what the decoder makes of them is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from sfumato.distributions import Distribution
from sfumato.errors import SfumatoError
from sfumato.tasks.paths import straight

SEGMENTS, WAVES = 32, 16
"""Pieces that a curve is cut into while its energy is minimised, and sine waves that it is made of."""
MOST_ROUNDS = 150
TIE = 1e-4
"""Weight of the length in latents beside that in data, which alone says how latents move that no decoder hears."""
PIECES = 8
"""Pieces that each segment is cut into to measure lengths."""

MOST_NEAR = 1000
"""Examples that a path keeps near to, at most."""
SOFTNESS = 0.5
"""Width, in reaches, of the kernels that the distance to the nearest example is smooth by."""

Decoder = Callable[[Tensor], Distribution]
"""Codes (B, L) to p(x | z)."""


class Surroundings(NamedTuple):
    """What the decoder makes of examples, whose surroundings a path keeps to.

    Attributes:
        features: of the decoded codes of examples, (M, F).
        reach: the median distance from one to the nearest other, above 0.
    """

    features: Tensor
    reach: Tensor

    def weight(self, points: Tensor) -> Tensor:
        """1 + (d / reach)², d the distance of each of (B, F) to the nearest example, smoothly, (B,)."""
        width = 2 * (SOFTNESS * self.reach).square()
        squares = torch.cdist(points, self.features, compute_mode="donot_use_mm_for_euclid_dist").square()
        nearest = -width * torch.logsumexp(-squares / width, 1)
        return 1 + nearest.clamp_min(0) / self.reach.square()


def geodesic(decode: Decoder, start: Tensor, end: Tensor, steps: int, *, near: Tensor | None = None) -> Tensor:
    """Even steps along the shortest path between two codes under the metric that the decoder pulls back from data.

    With f(z) = E[φ(x) | z] (`Distribution.features`), a step dz is ‖J dz‖ long, J = ∂f/∂z, so the metric is JᵀJ. Of

        z(t) = (1 − t)·a + t·b + Σ_k w_k sin(πkt)/k

    the energy ∫ ‖J z'(t)‖² dt, a sum over `SEGMENTS` chords, is minimised in w by L-BFGS from the straight line. Where
    it is least the speed ‖J z'(t)‖ is constant and the curve is a geodesic, at least among those near; the steps are
    then put at even distances along it. A ten thousandth of the energy is that of the latents themselves, so that
    latents that the decoder does not hear go straight.

    That metric does not know where there are no data. With `near` a step is longer the farther it is from what the
    decoder makes of these codes, ‖J dz‖²·(1 + d²/r²) with d the distance to the nearest and r the median of theirs, and
    the path goes around or quickly across. Its steps are at even distances in data all the same. Arvanitidis, Hauberg
    and Schölkopf 2021, Geometrically enriched latent spaces, with a weight of our own.

    Shao, Kumar and Fletcher 2018, The Riemannian geometry of deep generative models; Arvanitidis, Hansen and Hauberg
    2018, Latent space oddity, with the decoder's mean alone: its noise is the same at all codes here.

    Args:
        decode: codes (B, L) to p(x | z), under one condition.
        start, end: codes a and b, (L,).
        steps: how many, 2 at least, both ends among them.
        near: codes of examples, (M, L), of which 1,000 are looked at, evenly spread; None for the plain metric.

    Returns:
        Codes, (steps, L).

    Raises:
        SfumatoError: if p(x | z) has no features that move smoothly with z, as text that is spelled symbol by symbol.

    >>> from sfumato.distributions import Normal
    >>> def plane(z):  # radius and angle
    ...     return Normal(torch.stack([z[:, 0] * z[:, 1].cos(), z[:, 0] * z[:, 1].sin()], 1), torch.zeros(()))
    >>> middle = geodesic(plane, torch.tensor([1.0, 0.0]), torch.tensor([1.0, torch.pi / 2]), 3)[1]
    >>> [round(value, 3) for value in middle.tolist()]  # of the chord from (1, 0) to (0, 1)
    [0.707, 0.785]
    """
    a, b = start.detach(), end.detach()
    weights = a.new_zeros(WAVES, len(a), requires_grad=True)
    with torch.enable_grad():
        tie = _tie(decode, a, b)
        if tie is None:
            return straight(a, b, steps)
        around = None if near is None else _surroundings(decode, near)
        unit = _energy(decode, straight(a, b, SEGMENTS + 1), tie, around).detach()
        optimizer = torch.optim.LBFGS(
            [weights], max_iter=MOST_ROUNDS, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            energy = _energy(decode, _curve(a, b, weights, SEGMENTS + 1), tie, around) / unit
            energy.backward()
            return energy

        optimizer.step(closure)
    with torch.no_grad():
        return _evenly(decode, a, b, weights.detach(), tie, steps)


def stretch_lengths(decode: Decoder, codes: Tensor, parts: int = PIECES) -> Tensor:
    """How far apart codes are along a path, in data: ‖f(z′) − f(z)‖ summed over the parts of each stretch, (N − 1,).

    Args:
        decode: codes (B, L) to p(x | z).
        codes: of the path, (N, L); between two of them it is straight.
        parts: pieces of a stretch.
    """
    with torch.no_grad():
        whole = torch.cat([straight(*ends, parts + 1)[:-1] for ends in pairwise(codes)])
        whole = torch.cat([whole, codes[-1:]])
        return decode(whole).features().diff(dim=0).norm(dim=1).view(-1, parts).sum(1)


def _tie(decode: Decoder, a: Tensor, b: Tensor) -> float | None:
    """What a squared length in latents weighs against one in data; None where the line between has no length.

    Raises:
        SfumatoError: if p(x | z) does not move smoothly with z.
    """
    z = straight(a, b, SEGMENTS + 1).requires_grad_()
    features = decode(z).features()
    if not features.requires_grad:
        raise SfumatoError(
            "a geodesic needs a decoder whose mean moves smoothly with the code, which symbols that are spelled one by "
            "one have not; choose the path straight or spherical"
        )
    lengths = [values.detach().diff(dim=0).square().sum() for values in (features, z)]
    return float(TIE * lengths[0] / lengths[1]) if lengths[0] > 0 and lengths[1] > 0 else None


def _surroundings(decode: Decoder, near: Tensor) -> Surroundings | None:
    """Those of codes; None where all decode to the same."""
    with torch.no_grad():
        # Spread over all of them: files are often sorted.
        chosen = torch.linspace(0, len(near) - 1, min(len(near), MOST_NEAR)).long()
        features = decode(near[chosen]).features()
        distances = torch.cdist(features, features).fill_diagonal_(torch.inf).amin(1)
        apart = distances[(distances > 0) & distances.isfinite()]
        return Surroundings(features, apart.median()) if len(apart) else None


def _energy(decode: Decoder, z: Tensor, tie: float, around: Surroundings | None = None) -> Tensor:
    """Σ over segments of their squared lengths, in data as `around` weighs them."""
    features = decode(z).features()
    squares = features.diff(dim=0).square().sum(1) + tie * z.diff(dim=0).square().sum(1)
    return squares.sum() if around is None else (squares * around.weight((features[1:] + features[:-1]) / 2)).sum()


def _curve(a: Tensor, b: Tensor, weights: Tensor, points: int) -> Tensor:
    """The curve of these waves at evenly spaced t, (points, L)."""
    waves = torch.arange(1, len(weights) + 1, dtype=a.dtype, device=a.device)
    t = torch.linspace(0, 1, points, dtype=a.dtype, device=a.device)[:, None]
    bent = (torch.sin(torch.pi * waves * t) / waves) @ weights
    # sin(πk) is not quite 0 in floating point, and the ends are the ends.
    bent[[0, -1]] = 0
    return straight(a, b, points) + bent


def _evenly(decode: Decoder, a: Tensor, b: Tensor, weights: Tensor, tie: float, steps: int) -> Tensor:
    """Codes at even distances along a curve, (steps, L)."""
    z = _curve(a, b, weights, SEGMENTS * PIECES + 1)
    squares = decode(z).features().diff(dim=0).square().sum(1) + tie * z.diff(dim=0).square().sum(1)
    reached = torch.cat([squares.new_zeros(1), squares.sqrt().cumsum(0)])
    wanted = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[1:-1] * reached[-1]
    after = torch.searchsorted(reached, wanted).clamp(1, len(reached) - 1)
    share = ((wanted - reached[after - 1]) / (reached[after] - reached[after - 1]))[:, None]
    return torch.cat([z[:1], z[after - 1] + share * (z[after] - z[after - 1]), z[-1:]])
